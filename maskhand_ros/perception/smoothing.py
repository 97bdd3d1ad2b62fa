"""Adaptive smoothing of hands: strong at rest, weak in motion.

The One Euro filter (Casiez, Roussel and Vogel 2012) smooths joint rotations on SO(3), the direction of the
wrist, and the logarithm of its depth. The shape is a running mean. A finger whose predicted uncertainty rises
suddenly (an occlusion) is filtered more strongly.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from maskhand_ros.geometry import matrix_to_rotvec, rotvec_to_matrix
from maskhand_ros.perception.types import SCALE_DEPTH, PlacedHand
from maskhand_ros.skeleton import JOINT_NAMES, KEYPOINT_NAMES


@dataclasses.dataclass(frozen=True)
class OneEuro:
    """Parameters of a One Euro filter: cutoff at rest (Hz), its increase with speed (Hz per unit/s), and
    the cutoff of the low pass on the speed (Hz)."""

    rest: float
    slope: float
    speed: float = 1.0

    def gains(self, speeds: Any, dt: float, weights: np.ndarray | float = 1.0) -> Any:
        """Filter gains (K,) at `speeds` (K,), units/s, after `dt` seconds; `weights` scale the cutoff."""
        return smoothing_gain(weights * (self.rest + self.slope * speeds), dt)


def smoothing_gain(cutoff: Any, dt: float) -> Any:
    """Gain of a first-order low pass of `cutoff` Hz after `dt` seconds."""
    return 1 / (1 + 1 / (2 * math.pi * np.maximum(cutoff, 1e-6) * dt))


ROTATION = OneEuro(rest=1.2, slope=8.0)
"""Filter of joint and wrist rotations, radians."""
DIRECTION = OneEuro(rest=1.5, slope=22.0)
"""Filter of the direction from camera to wrist, radians."""
LOG_DEPTH = OneEuro(rest=0.5, slope=9.0)
"""Filter of the logarithm of the wrist's depth, without a depth image."""
LOG_DEPTH_MEASURED = OneEuro(rest=1.5, slope=40.0)
"""The same with a depth image, which jitters far less."""
SHIFT_CUTOFF = 3.0
"""Cutoff of PlacedHand.shift, Hz."""
SHAPE_FRAMES = 300
"""Frames over which betas are averaged; then they stay fixed."""
RESTART = 0.5
"""Seconds without a measurement after which the filter restarts."""
WEIGHT_MARGIN, WEIGHT_POWER, WEIGHT_FRAMES = 1.3, 4, 30
"""The weight of a joint is 1 up to WEIGHT_MARGIN times its usual standard deviation, the median of the last
WEIGHT_FRAMES frames. Above, it falls with the power WEIGHT_POWER of the ratio."""

_MEAN_OF_FINGER = np.array(
    [[name.startswith(joint.split('_')[0]) for name in KEYPOINT_NAMES] for joint in JOINT_NAMES], float
)
_MEAN_OF_FINGER[0] = 1
_MEAN_OF_FINGER /= _MEAN_OF_FINGER.sum(1, keepdims=True)
"""(16, 21) averages over keypoints for each joint: those of its finger; all for the wrist."""


class JointWeights:
    """Weight of a frame for each joint, from the predicted standard deviations of the keypoints."""

    def __init__(self) -> None:
        self._past, self._frames = np.empty((WEIGHT_FRAMES, 16)), 0

    def __call__(self, stddev: np.ndarray) -> np.ndarray:
        """Weights (16,) in (0, 1], given the standard deviations (21,) of one frame's keypoints, metres."""
        deviations = _MEAN_OF_FINGER @ np.maximum(stddev, 1e-6)
        self._past[self._frames % WEIGHT_FRAMES] = deviations
        self._frames += 1
        known = min(self._frames, WEIGHT_FRAMES)
        usual = np.sort(self._past[:known], 0)[known // 2]
        return np.minimum(1, (WEIGHT_MARGIN * usual / deviations) ** WEIGHT_POWER)


class HandFilter:
    """Filter of one track's PlacedHands. `direction` and `distance`: OneEuro parameters of the wrist."""

    def __init__(self, direction: OneEuro = DIRECTION, distance: OneEuro = LOG_DEPTH) -> None:
        self._direction, self._distance = direction, distance
        self._last: _State | None = None
        self._joint_weights = JointWeights()

    def __call__(self, placed: PlacedHand, stamp: float, stddev: np.ndarray) -> tuple[PlacedHand, float]:
        """The smoothed PlacedHand at `stamp` seconds, and the delay of its wrist in seconds. `stddev`
        (21,): lateral standard deviations of the keypoints, metres."""
        weights = self._joint_weights(stddev)
        last, dt = self._last, 0.0 if self._last is None else stamp - self._last.stamp
        if last is None or not 0 < dt < RESTART or last.placed.side != placed.side:
            self._last = _State.start(placed, stamp)
            return placed, 0.0
        raw, before = placed.rotations, last.placed.rotations
        turn, remaining = _rotation_between(np.stack([last.raw_rotations, before]), raw)
        rotation_speed = _low_pass(last.rotation_speed, turn / dt, ROTATION.speed, dt)
        gain = ROTATION.gains(np.sqrt(np.square(rotation_speed).sum(1)), dt, weights)
        rotations = before @ rotvec_to_matrix(gain[:, None] * remaining)

        coordinates, raw_coordinates = _to_log_depth(last.placed.position), _to_log_depth(placed.position)
        step = (raw_coordinates - last.raw_coordinates) / dt
        coordinate_speed = _low_pass(last.coordinate_speed, step, self._direction.speed, dt)
        direction_gain = self._direction.gains(math.hypot(*coordinate_speed[:2]), dt)
        by_depth = placed.source == last.placed.source == SCALE_DEPTH
        depth_gain = (LOG_DEPTH_MEASURED if by_depth else self._distance).gains(abs(coordinate_speed[2]), dt)
        gains = np.array([direction_gain, direction_gain, depth_gain])
        coordinates = coordinates + gains * (raw_coordinates - coordinates)

        count = last.count + 1
        weight = 1 / count if count <= SHAPE_FRAMES else 0.0
        smoothed = dataclasses.replace(
            placed,
            orient=rotations[0],
            pose=rotations[1:],
            position=_from_log_depth(coordinates),
            betas=last.placed.betas + weight * (placed.betas - last.placed.betas),
            shift=last.placed.shift + smoothing_gain(SHIFT_CUTOFF, dt) * (placed.shift - last.placed.shift),
        )
        self._last = _State(smoothed, stamp, count, raw, rotation_speed, raw_coordinates, coordinate_speed)
        lag = dt * (1 - direction_gain) / direction_gain  # of a first-order low pass, in steady motion
        return smoothed, float(lag)


@dataclasses.dataclass
class _State:
    """Filter state: the last smoothed PlacedHand, its unfiltered values, and the filtered speeds."""

    placed: PlacedHand
    stamp: float
    count: int
    raw_rotations: np.ndarray
    rotation_speed: np.ndarray
    raw_coordinates: np.ndarray
    """(3,) of the wrist, by _to_log_depth."""
    coordinate_speed: np.ndarray

    @classmethod
    def start(cls, placed: PlacedHand, stamp: float) -> _State:
        coordinates = _to_log_depth(placed.position)
        return cls(placed, stamp, 1, placed.rotations, np.zeros((16, 3)), coordinates, np.zeros(3))


def _low_pass(old: np.ndarray, new: np.ndarray, cutoff: float, dt: float) -> np.ndarray:
    return old + smoothing_gain(cutoff, dt) * (new - old)


def _rotation_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) from `start` to `end` (..., 3, 3), in the frames of `start`."""
    return matrix_to_rotvec(np.swapaxes(start, -1, -2) @ end)


def _to_log_depth(position: np.ndarray) -> np.ndarray:
    """A point (3,) in metres as x / z, y / z and log z."""
    return np.array([position[0] / position[2], position[1] / position[2], math.log(max(position[2], 1e-3))])


def _from_log_depth(coordinates: np.ndarray) -> np.ndarray:
    """The inverse of `_to_log_depth`."""
    depth = math.exp(coordinates[2])
    return np.array([coordinates[0] * depth, coordinates[1] * depth, depth])
