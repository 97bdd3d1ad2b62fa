"""LeRobotDataset v3.0 from finished clips: one episode a clip, at a constant frame rate.

Row k of an episode is the frame nearest to k / fps; `source_time` and `source_frame_index` say which that is.
Every episode has a Parquet file and a video of its own. A video that has these frames already is linked,
others are encoded. All videos of a data set have one size, so there is a data set for each. `meta/info.json`
is written last: a folder without it is no data set.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from maskhand_ros import files
from maskhand_ros.labelling.episode_video import episode_video
from maskhand_ros.labelling.finished import FinishedClip
from maskhand_ros.labelling.lerobot_features import VIDEO, columns, features, statistics
from maskhand_ros.labelling.parquet import read_clip
from maskhand_ros.labelling.records import FrameLabels
from maskhand_ros.labelling.schema import HANDS
from maskhand_ros.progress import progress

CHUNK = 1000
"""Files in a folder."""
DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO_PATH = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
EPISODES_PATH = 'meta/episodes/chunk-000/file-000.parquet'
TASKS_PATH = 'meta/tasks.parquet'
DEFAULT_TASK = 'human hands'


@dataclass(frozen=True)
class LeRobotOptions:
    """`fps`: frame rate; None: the most frequent one of the clips, rounded. `task`: what people do, as text.
    `videos`: whether the data set has videos."""

    fps: int | None = None
    task: str = DEFAULT_TASK
    videos: bool = True


@dataclass
class _Sums:
    """Statistics of all episodes, by feature."""

    episodes: list[dict[str, dict[str, np.ndarray]]] = field(default_factory=list)
    weights: list[dict[str, np.ndarray]] = field(default_factory=list)
    """Numbers of values that are not NaN, of each element."""

    def add(self, arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """Adds an episode's arrays; returns its statistics."""
        found = {name: statistics(values) for name, values in arrays.items()}
        self.episodes.append(found)
        self.weights.append({n: np.isfinite(v.astype(float)).sum(0) for n, v in arrays.items()})
        return found

    def total(self) -> dict[str, dict[str, list[float]]]:
        """Statistics over all episodes."""
        return {name: self._pooled(name) for name in self.episodes[0]}

    def _pooled(self, name: str) -> dict[str, list[float]]:
        weights = np.stack([each[name] for each in self.weights]).astype(float)
        parts = {
            key: np.stack([each[name][key] for each in self.episodes])
            for key in ('min', 'max', 'mean', 'std')
        }
        count = np.maximum(weights.sum(0), 1)
        mean = (weights * parts['mean']).sum(0) / count
        variance = (weights * (parts['std'] ** 2 + np.square(parts['mean'] - mean))).sum(0) / count
        there = weights > 0
        low = np.where(there, parts['min'], np.inf).min(0)
        high = np.where(there, parts['max'], -np.inf).max(0)
        seen = there.any(0)
        return {
            'min': np.where(seen, low, 0.0).tolist(),
            'max': np.where(seen, high, 0.0).tolist(),
            'mean': mean.tolist(),
            'std': np.sqrt(variance).tolist(),
            'count': [int(weights.sum(0).max(initial=0))],
        }


def resampled(frames: Sequence[FrameLabels], fps: float) -> list[int]:
    """Indices of the frames nearest to 0, 1 / fps, 2 / fps, ... seconds of a clip."""
    seconds = np.array([frame.source_time_s for frame in frames])
    wanted = np.arange(int(np.floor(seconds[-1] * fps + 1e-6)) + 1) / fps
    middles = (seconds[1:] + seconds[:-1]) / 2
    return [int(index) for index in np.searchsorted(middles, wanted, side='left')]


def write_datasets(
    clips: Sequence[FinishedClip],
    folder: Path,
    options: LeRobotOptions,
) -> list[Path]:
    """Writes a data set for each size of image into `folder`, named WIDTHxHEIGHT. Old ones are replaced."""
    sizes: dict[tuple[int, int], list[FinishedClip]] = {}
    for clip in clips:
        sizes.setdefault((clip.metadata['width'], clip.metadata['height']), []).append(clip)
    roots = []
    for size, of_size in sorted(sizes.items()):
        root = folder / f'{size[0]}x{size[1]}'
        (root / 'meta' / 'info.json').unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        _write(of_size, root, size, options)
        roots.append(root)
    return roots


def _write(
    clips: Sequence[FinishedClip],
    root: Path,
    size: tuple[int, int],
    options: LeRobotOptions,
) -> None:
    fps, sums = options.fps or _usual_rate(clips), _Sums()
    described = features(size if options.videos else None, fps)
    episodes: list[dict[str, Any]] = []
    first = 0
    for number, clip in enumerate(progress(clips, len(clips), 'clips to LeRobot')):
        frames = read_clip(clip.file)
        chosen = resampled(frames, fps)
        arrays = columns([frames[index] for index in chosen])
        place = {'chunk_index': number // CHUNK, 'file_index': number % CHUNK}
        _write_data(root / DATA_PATH.format(**place), arrays, described, number, first, fps)
        episode = {
            'episode_index': number,
            'tasks': [options.task],
            'length': len(chosen),
            'dataset_from_index': first,
            'dataset_to_index': first + len(chosen),
            'data/chunk_index': place['chunk_index'],
            'data/file_index': place['file_index'],
            'meta/episodes/chunk_index': 0,
            'meta/episodes/file_index': 0,
            'source': clip.source,
        }
        if options.videos:
            path = root / VIDEO_PATH.format(video_key=VIDEO, **place)
            episode_video(clip, frames, chosen, fps, path)
            episode |= {f'videos/{VIDEO}/{name}': value for name, value in place.items()}
            episode[f'videos/{VIDEO}/from_timestamp'] = 0.0
            episode[f'videos/{VIDEO}/to_timestamp'] = len(chosen) / fps
        for name, values in sums.add(arrays).items():
            episode |= {f'stats/{name}/{key}': value.tolist() for key, value in values.items()}
        episodes.append(episode)
        first += len(chosen)
    _write_table(root / EPISODES_PATH, pa.Table.from_pylist(episodes))
    _write_tasks(root / TASKS_PATH, options.task)
    files.write_json(root / 'meta' / 'stats.json', sums.total())
    files.write_json(root / 'meta' / 'info.json', _info(described, fps, episodes, first, options))


def _usual_rate(clips: Sequence[FinishedClip]) -> int:
    # Of rates that are as frequent the highest, which leaves out no frames.
    rates = [max(round(clip.metadata['rate']), 1) for clip in clips]
    return max(set(rates), key=lambda rate: (rates.count(rate), rate))


def _write_data(
    path: Path,
    arrays: dict[str, np.ndarray],
    described: dict[str, dict[str, Any]],
    episode: int,
    first: int,
    fps: int,
) -> None:
    """The Parquet file of one episode: the columns of the features, vectors as lists of fixed length."""
    count = len(arrays[f'{HANDS}valid'])
    index = np.arange(count)
    values = {
        **arrays,
        'timestamp': index / fps,
        'frame_index': index,
        'episode_index': np.full(count, episode),
        'index': first + index,
        'task_index': np.zeros(count, int),
    }
    table = {}
    for name, feature in described.items():
        if feature['dtype'] == 'video':
            continue
        kind = pa.bool_() if feature['dtype'] == 'bool' else pa.type_for_alias(feature['dtype'])
        flat = pa.array(values[name].reshape(-1)).cast(kind)
        length = feature['shape'][0]
        table[name] = flat if length == 1 else pa.FixedSizeListArray.from_arrays(flat, length)
    _write_table(path, pa.table(table))


def _write_tasks(path: Path, task: str) -> None:
    """tasks.parquet, whose index in pandas is the text of the task."""
    schema = pa.schema([('task_index', pa.int64()), ('task', pa.string())])
    described = {
        'index_columns': ['task'],
        'column_indexes': [],
        'columns': [
            {'name': name, 'field_name': name, 'pandas_type': kind, 'numpy_type': numpy, 'metadata': None}
            for name, kind, numpy in (('task_index', 'int64', 'int64'), ('task', 'unicode', 'object'))
        ],
        'creator': {'library': 'pyarrow', 'version': pa.__version__},
        'pandas_version': '2.0.0',
    }
    schema = schema.with_metadata({b'pandas': json.dumps(described).encode()})
    _write_table(path, pa.table({'task_index': [0], 'task': [task]}, schema=schema))


def _write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression='snappy')


def _info(
    described: dict[str, Any],
    fps: int,
    episodes: Sequence[dict[str, Any]],
    frames: int,
    options: LeRobotOptions,
) -> dict[str, Any]:
    return {
        'codebase_version': 'v3.0',
        'robot_type': 'human_hands',
        'total_episodes': len(episodes),
        'total_frames': frames,
        'total_tasks': 1,
        'chunks_size': CHUNK,
        'data_files_size_in_mb': 100,
        'video_files_size_in_mb': 200,
        'fps': fps,
        'splits': {'train': f'0:{len(episodes)}'},
        'data_path': DATA_PATH,
        'video_path': VIDEO_PATH if options.videos else None,
        'features': described,
    }
