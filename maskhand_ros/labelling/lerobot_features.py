"""Features of a LeRobotDataset of hands: labels of resampled frames as vectors with a name for each element.

Where a hand is absent the elements are NaN (integers: -1) and `observation.hands.valid` is false; elements of
an unknown scale or visibility are NaN: LeRobot's reader takes no nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskhand_ros.geometry import matrix_to_quaternion, matrix_to_rotvec
from maskhand_ros.labelling.parquet import slots
from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.labelling.schema import HANDS
from maskhand_ros.skeleton import JOINT_NAMES, KEYPOINT_NAMES

VIDEO = 'observation.images.camera'
"""Key of the video."""
_XYZ, _QUATERNION = ('x', 'y', 'z'), ('qx', 'qy', 'qz', 'qw')


def _of_keypoints(axes: Sequence[str]) -> list[str]:
    return [f'{point}.{axis}' for point in KEYPOINT_NAMES for axis in axes]


@dataclass(frozen=True)
class _Vector:
    """A feature of one hand: an element for each of `names`."""

    names: list[str]
    dtype: str = 'float32'


_VECTORS = {
    'kp2d': _Vector(_of_keypoints('uv')),
    'kp3d': _Vector(_of_keypoints(_XYZ)),
    'kp3d_wrist': _Vector(_of_keypoints(_XYZ)),
    'kp_stddev': _Vector(_of_keypoints(('across', 'along'))),
    'kp_visibility': _Vector(list(KEYPOINT_NAMES)),
    'wrist_position': _Vector(list(_XYZ)),
    'wrist_orientation': _Vector(list(_QUATERNION)),
    'wrist_covariance': _Vector(
        [f'{a}.{b}' for a in (*_XYZ, 'rx', 'ry', 'rz') for b in (*_XYZ, 'rx', 'ry', 'rz')]
    ),
    'global_orient': _Vector(list(_XYZ)),
    'hand_pose': _Vector([f'{joint}.{axis}' for joint in JOINT_NAMES[1:] for axis in _XYZ]),
    'betas': _Vector([f'beta_{k}' for k in range(10)]),
    'size': _Vector(['size']),
    'confidence': _Vector(['confidence']),
    'presence': _Vector(['presence']),
    'handedness_probability': _Vector(['handedness_probability']),
    'track_id': _Vector(['track_id'], 'int64'),
    'scale_source': _Vector(['scale_source'], 'int64'),
    'observed': _Vector(['observed'], 'bool'),
    'operator': _Vector(['operator'], 'bool'),
}
"""Fields of a hand."""
_CONVERTED = {
    'wrist_orientation': lambda hand: matrix_to_quaternion(hand.wrist_rotation),
    'global_orient': lambda hand: matrix_to_rotvec(hand.global_orient),
    'hand_pose': lambda hand: matrix_to_rotvec(hand.hand_pose),
}
_OF_FRAME = {
    'observation.intrinsics': _Vector(
        [f'K{row}{column}' for row in range(3) for column in range(3)], 'float64'
    ),
    'source_time': _Vector(['source_time'], 'float64'),
    'source_frame_index': _Vector(['source_frame_index'], 'int64'),
}
_DEFAULT = {
    'timestamp': 'float32',
    'frame_index': 'int64',
    'episode_index': 'int64',
    'index': 'int64',
    'task_index': 'int64',
}
"""Features that every LeRobotDataset has."""


def features(size: tuple[int, int] | None, fps: int) -> dict[str, dict[str, Any]]:
    """`features` of info.json. `size`: width and height of the video, px; None: without video."""
    found = {f'{HANDS}valid': _feature('bool', ['left.valid', 'right.valid'])}
    for name, vector in _VECTORS.items():
        names = [f'{side}.{element}' for side in ('left', 'right') for element in vector.names]
        found[HANDS + name] = _feature(vector.dtype, names)
    found |= {name: _feature(vector.dtype, vector.names) for name, vector in _OF_FRAME.items()}
    if size:
        info = {'video.fps': fps, 'video.channels': 3, 'video.is_depth_map': False, 'has_audio': False}
        shape = {'shape': [size[1], size[0], 3], 'names': ['height', 'width', 'channels']}
        found[VIDEO] = {'dtype': 'video', **shape, 'info': info}
    return found | {name: {'dtype': dtype, 'shape': [1], 'names': None} for name, dtype in _DEFAULT.items()}


def _feature(dtype: str, names: list[str]) -> dict[str, Any]:
    return {'dtype': dtype, 'shape': [len(names)], 'names': names}


def columns(frames: Sequence[FrameLabels]) -> dict[str, np.ndarray]:
    """Arrays (T, elements) of the features of hands and frames, by name."""
    pairs = [slots(frame.hands)[0] for frame in frames]
    found = {f'{HANDS}valid': np.array([[hand is not None for hand in pair] for pair in pairs])}
    for name, vector in _VECTORS.items():
        rows = [np.concatenate([_values(hand, name, vector) for hand in pair]) for pair in pairs]
        found[HANDS + name] = np.array(rows, vector.dtype)
    unknown = np.full((3, 3), np.nan)
    matrices = [unknown if frame.intrinsics is None else frame.intrinsics for frame in frames]
    found['observation.intrinsics'] = np.array(matrices, float).reshape(-1, 9)
    found['source_time'] = np.array([[frame.source_time_s] for frame in frames])
    found['source_frame_index'] = np.array([[frame.frame_index] for frame in frames])
    return found


def _values(hand: HandLabels | None, name: str, vector: _Vector) -> np.ndarray:
    value: Any = None
    if hand is not None:
        value = _CONVERTED[name](hand) if name in _CONVERTED else getattr(hand, name)
    if value is None:
        return np.full(len(vector.names), {'float32': np.nan, 'int64': -1, 'bool': False}[vector.dtype])
    return np.asarray(value, float).reshape(-1)


def statistics(values: np.ndarray) -> dict[str, np.ndarray]:
    """min, max, mean, std and count of each element of values (T, E) that are not NaN; 0 where all are."""
    values = values.astype(float)
    there = np.isfinite(values)
    count = there.sum(0)
    filled = np.where(there, values, 0.0)
    mean = filled.sum(0) / np.maximum(count, 1)
    variance = np.square(np.where(there, values - mean, 0.0)).sum(0) / np.maximum(count, 1)
    low, high = (np.where(there, values, sign * np.inf) for sign in (1, -1))
    return {
        'min': np.where(count, low.min(0), 0.0),
        'max': np.where(count, high.max(0), 0.0),
        'mean': mean,
        'std': np.sqrt(variance),
        'count': np.array([int(count.max(initial=0))]),
    }
