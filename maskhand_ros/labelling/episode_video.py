"""Video of an episode: the clip's own file where it has the episode's frames at their times, else encoded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from maskhand_ros.labelling.finished import FinishedClip
from maskhand_ros.labelling.records import FrameLabels

_TOLERANCE = 1e-4
"""Maximum difference between a frame's time and its row's, seconds: LeRobotDataset's tolerance_s."""
_CODECS = {'h264', 'hevc', 'av1', 'vp9'}
"""Codecs that readers of LeRobotDatasets decode."""
_KEY_FRAMES = 10
"""Frames from one key frame to the next: a data loader reads frames in random order."""


def episode_video(
    clip: FinishedClip, frames: Sequence[FrameLabels], chosen: Sequence[int], fps: int, path: Path
) -> None:
    """Writes to `path` the video of the `chosen` ones of a clip's frames at `fps`. A link (or a copy, on
    another file system) of the clip's file if its frames are these."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = Path(clip.source)
    seconds = np.array([frame.source_time_s for frame in frames])
    same = list(chosen) == list(range(len(frames)))
    regular = same and np.abs(seconds - np.arange(len(frames)) / fps).max() < _TOLERANCE
    if regular and not clip.metadata['damaged'] and _is_readable(source):
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)
        return
    _encode(clip.images(chosen), clip.metadata['width'], clip.metadata['height'], fps, path)


def _is_readable(source: Path) -> bool:
    """Whether a file is an MP4 video that begins at 0 and needs no turning."""
    import av

    if source.suffix.lower() != '.mp4' or not source.is_file():
        return False
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        first = next(container.decode(stream))
        starts = first.time is not None and abs(first.time) < _TOLERANCE
        return bool(starts and not round(first.rotation) and stream.codec_context.name in _CODECS)


def _encode(images: Iterator[np.ndarray], width: int, height: int, fps: int, path: Path) -> None:
    """An MP4 file of images at a constant rate, H.264, or MPEG-4 where PyAV has no H.264 encoder."""
    import av

    codec = 'libx264' if 'libx264' in av.codecs_available else 'mpeg4'
    partial = path.with_name(f'.{path.stem}.part.mp4')
    with av.open(str(partial), 'w') as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.width, stream.height = width, height
        stream.pix_fmt = 'yuv444p' if width % 2 or height % 2 else 'yuv420p'  # 4:2:0 needs even sides
        stream.gop_size, stream.thread_count = _KEY_FRAMES, 1
        if codec == 'libx264':
            stream.options = {'crf': '20', 'preset': 'veryfast'}
        for number, rgb in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format='rgb24')
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    partial.replace(path)
