"""Summary and overlay video of a demo, from its MCAP file."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rosbags.rosbag2 import Reader

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.geometry import Camera, procrustes_align, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import OPEN_HAND, HandModel
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.message_types import typestore
from maskhand_ros.nodes.messages import msg_to_hand, stamp_to_ns
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.types import Hand
from maskhand_ros.skeleton import LEFT, RIGHT, Handedness
from maskhand_ros.video_writer import VideoWriter

SIDES = (LEFT, RIGHT)
"""Order of the ground truth's second axis."""

Truth = dict[str, np.ndarray]
"""Ground truth of T images: `keypoints` (T, 2, 21, 3) metres in the camera frame in the order of SIDES, and
`visible` (T, 2)."""

THUMB_TIP, INDEX_TIP = 4, 8


class Recording(NamedTuple):
    """Contents of a demo's file, in the order of arrival."""

    hands: dict[int, list[Hand]]
    """{image stamp (ns): hands}"""
    latency_s: np.ndarray
    """(N,) seconds from an image's stamp to the arrival of its HandArray."""
    dropped: int
    """Images dropped by the node or lost by the middleware, from diagnostics."""
    transforms: int
    """Transforms received on /tf."""
    camera: Camera | None
    """None if there is no CameraInfo."""


def report(folder: Path, player_report: Path, shown: Path) -> dict[str, Any]:
    """Writes summary.json and hands.mp4 next to hands.mcap in `folder`, prints the table, returns the
    summary. `player_report`: of clip_player. `shown`: the folder that the table names."""
    played = json.loads(Path(player_report).read_text())
    recording = read_recording(folder / 'hands.mcap')
    truth_path = Path(played['source']).with_suffix('.npz')
    truth = dict(np.load(truth_path, allow_pickle=False)) if truth_path.is_file() else None
    summary = summarize(recording, played['stamps_ns'], truth)
    write_video(folder / 'hands.mcap', folder / 'hands.mp4', recording)
    (folder / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    print_table(summary, recording, shown)
    return summary


def read_recording(path: Path) -> Recording:
    """The Recording of an MCAP file, without its images (`write_video` reads them)."""
    hands: dict[int, list[Hand]] = {}
    latency: list[float] = []
    camera: Camera | None = None
    dropped = transforms = 0
    for topic, arrival, msg in _messages(path, lambda topic: not topic.endswith(('/compressed', '/markers'))):
        if topic.endswith('/hands'):
            stamp = stamp_to_ns(msg.header.stamp)
            hands[stamp] = [msg_to_hand(hand) for hand in msg.hands]
            latency.append((arrival - stamp) * 1e-9)
        elif topic == '/tf':
            transforms += len(msg.transforms)
        elif topic == '/diagnostics':
            counts = [v.value for s in msg.status for v in s.values if v.key in ('dropped', 'lost')]
            dropped = sum(map(int, counts)) if counts else dropped
        elif topic.endswith('/camera_info') and camera is None:
            camera = decode_camera_info(msg, msg.width, msg.height)
    return Recording(hands, np.array(latency), dropped, transforms, camera)


def summarize(recording: Recording, stamps_ns: list[int], truth: Truth | None = None) -> dict[str, Any]:
    """{name: figure} of a demo, without the unknown ones. `stamps_ns`: of the published images; `truth` has
    their order."""
    stamps = np.array(sorted(recording.hands))
    seconds = (stamps[-1] - stamps[0]) * 1e-9 if len(stamps) > 1 else 0.0
    summary: dict[str, Any] = {
        'frames_in': len(stamps_ns),
        'frames_processed': len(stamps),
        'frames_dropped': recording.dropped,
        'both_hands_fraction': _both_hands(recording, stamps_ns, truth),
        'rate_hz': round((len(stamps) - 1) / seconds, 2) if seconds else 0.0,
    }
    if len(stamps):
        p50, p99 = np.percentile(recording.latency_s, (50, 99)) * 1e3
        summary['latency_ms'] = {'p50': round(float(p50), 1), 'p99': round(float(p99), 1)}
    if truth is not None:
        summary.update(_errors(recording, stamps_ns, truth))
    return {name: value for name, value in summary.items() if value is not None}


def write_video(bag: Path, path: Path, recording: Recording) -> None:
    """Writes a video of the processed images with their hands, each at the time of its stamp."""
    faces, start = HandModel.load().faces, 0
    writer: VideoWriter | None = None
    with contextlib.ExitStack() as stack:
        for _, _, msg in _messages(bag, lambda topic: topic.endswith('/compressed')):
            stamp = stamp_to_ns(msg.header.stamp)
            hands = recording.hands.get(stamp)
            if hands is None:
                continue
            drawn = draw_hands(decode_compressed(msg), hands, recording.camera, faces)
            if writer is None:
                height, width = drawn.shape[:2]
                writer, start = stack.enter_context(VideoWriter(path, width, height)), stamp
            writer.write(drawn, stamp - start)


def print_table(summary: dict[str, Any], recording: Recording, folder: Path) -> None:
    """Prints the summary of a demo whose files are in `folder`."""
    per_frame = [len(hands) for hands in recording.hands.values()]
    rows: list[tuple[str, Any]] = [
        ('images published', summary['frames_in']),
        ('images processed', summary['frames_processed']),
        ('images dropped or lost', summary['frames_dropped']),
        ('hands per image', f'{np.mean(per_frame):.2f}' if per_frame else 'none'),
        ('both hands found', _percent(summary.get('both_hands_fraction'))),
        ('rate', f'{summary["rate_hz"]:.1f} Hz'),
        ('TF frames broadcast', recording.transforms),
    ]
    if 'latency_ms' in summary:
        p50, p99 = summary['latency_ms'].values()
        rows.append(('latency p50 / p99', f'{p50} / {p99} ms (image stamp to HandArray received)'))
    if 'pa_mpjpe_mm' in summary:
        rows += [
            ('keypoint error', f'{summary["keypoint_error_mm"]:.1f} mm (wrist aligned)'),
            (
                'PA-MPJPE',
                f'{summary["pa_mpjpe_mm"]:.1f} mm (the mean hand: {summary["mean_hand_pa_mpjpe_mm"]:.1f} mm)',
            ),
            ('wrist depth error', f'{summary["wrist_depth_error_percent"]:.1f} %'),
        ]
    if 'thumb_index_correlation' in summary:
        correlation = f'{summary["thumb_index_correlation"]:.3f} correlation with the ground truth'
        rows.append(('thumb-index distance', correlation))
    width = max(len(name) for name, _ in rows)
    print('\n' + '\n'.join(f'  {name:<{width}}  {value}' for name, value in rows))
    print(
        f'\n  Play {folder / "hands.mp4"}; open {folder / "hands.mcap"} in Foxglove or Lichtblick.\n',
        flush=True,
    )


def _errors(recording: Recording, stamps_ns: list[int], truth: Truth) -> dict[str, float | None]:
    """{name: error} over the visible hands that were reported in the processed images."""
    mean_hand = _mean_hand_keypoints()
    errors: dict[str, list[float]] = defaultdict(list)
    pinches: dict[Handedness, tuple[list[float], list[float]]] = {side: ([], []) for side in SIDES}
    for index, stamp in enumerate(stamps_ns):
        for column, side in enumerate(SIDES):
            hand = _best(recording.hands.get(stamp, []), side)
            if hand is None or hand.keypoints is None or not truth['visible'][index, column]:
                continue
            true = truth['keypoints'][index, column].astype(float)
            of_mean = procrustes_align(mean_hand[side], true)
            rooted = hand.keypoints - hand.keypoints[0], true - true[0]
            errors['keypoint_error_mm'].append(_millimetres(*rooted))
            errors['pa_mpjpe_mm'].append(_millimetres(procrustes_align(hand.keypoints, true), true))
            errors['mean_hand_pa_mpjpe_mm'].append(_millimetres(of_mean, true))
            errors['wrist_depth_error_percent'].append(100 * abs(hand.keypoints[0, 2] / true[0, 2] - 1))
            for pinch, points in zip(pinches[side], (hand.keypoints, true), strict=True):
                pinch.append(float(np.linalg.norm(points[THUMB_TIP] - points[INDEX_TIP])))
    if not errors:
        return {}
    correlations = [
        np.corrcoef(found, true)[0, 1] for found, true in pinches.values() if np.std(found) > 0 < np.std(true)
    ]
    return {
        **{name: round(float(np.mean(values)), 2) for name, values in errors.items()},
        'thumb_index_correlation': round(float(np.mean(correlations)), 4) if correlations else None,
    }


def _both_hands(recording: Recording, stamps_ns: list[int], truth: Truth | None) -> float | None:
    """Fraction of the processed images with both hands reported: of those in which both are visible by the
    ground truth, or without one of those since both were first reported. None if there are none."""
    found = [
        {hand.side for hand in recording.hands[stamp]} == set(SIDES) if stamp in recording.hands else None
        for stamp in stamps_ns
    ]
    if truth is not None:
        # With `--seconds` the images end before the ground truth.
        in_view: np.ndarray = np.all(truth['visible'][: len(found)], axis=1)
    else:
        first = next((i for i, both in enumerate(found) if both), len(found))
        in_view = np.arange(len(found)) >= first
    counted = [both for both, visible in zip(found, in_view, strict=True) if visible and both is not None]
    return round(float(np.mean(counted)), 4) if counted else None


def _mean_hand_keypoints() -> dict[Handedness, np.ndarray]:
    """{side: keypoints (21, 3) metres} of the mean shape in the mean pose: the baseline that ignores the
    image."""
    with np.load(OPEN_HAND, allow_pickle=False) as file:
        pose = rotvec_to_matrix(file['hands_mean'].reshape(1, 15, 3))
    keypoints = HandModel.load()(np.zeros((1, 10)), np.eye(3)[None], pose, vertices=False).keypoints[0]
    return {RIGHT: keypoints, LEFT: keypoints * [-1, 1, 1]}


def _messages(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, Any]]:
    """Triples (topic, arrival in ns, message of rosbags) of the topics for which `wanted(topic)` holds."""
    store = typestore()
    with Reader(path) as reader:
        chosen = [connection for connection in reader.connections if wanted(connection.topic)]
        for connection, arrival, data in reader.messages(chosen):
            yield connection.topic, arrival, store.deserialize_cdr(data, connection.msgtype)


def _best(hands: Iterable[Hand], side: Handedness) -> Hand | None:
    """The hand of a side with the highest score."""
    return max((hand for hand in hands if hand.side == side), key=lambda hand: hand.score, default=None)


def _millimetres(found: np.ndarray, true: np.ndarray) -> float:
    """Mean distance in mm between points (N, 3) and (N, 3), both in metres."""
    return 1e3 * float(np.linalg.norm(found - true, axis=1).mean())


def _percent(fraction: float | None) -> str:
    if fraction is None:
        return 'never both in view'
    return f'{fraction * 100:.1f} % of the images with both in view'
