"""Takes the jitter out of a hand that rests and leaves one that moves nearly alone.

By the One Euro filter (Casiez, Roussel and Vogel 2012), on what a hand is made of: rotations on SO(3), the
wrist as a direction and the logarithm of its distance, the shape by its running mean. A finger of which the
model is suddenly less sure than usual, since something passes in front of it, is held where it was.
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
    """Cutoff in Hz at rest, how much it rises with the speed (Hz for each unit a second), and the cutoff of
    the speed itself."""

    rest: float
    slope: float
    speed: float = 1.0

    def gains(self, speeds: Any, dt: float, trust: np.ndarray | float = 1.0) -> Any:
        """Share (K,) of an innovation that is taken at `speeds` (K,), units a second, after `dt` seconds."""
        return smoothing_gain(trust * (self.rest + self.slope * speeds), dt)


def smoothing_gain(cutoff: Any, dt: float) -> Any:
    """Share of an innovation that a first-order low pass of `cutoff` Hz takes after `dt` seconds."""
    return 1 / (1 + 1 / (2 * math.pi * np.maximum(cutoff, 1e-6) * dt))


ROTATION = OneEuro(rest=1.2, slope=8.0)
"""Of joints and wrist, radians."""
DIRECTION = OneEuro(rest=1.5, slope=22.0)
"""Of the wrist seen from the camera, radians."""
RANGE = OneEuro(rest=0.5, slope=9.0)
"""Of the logarithm of the wrist's distance, as one camera tells it."""
RANGE_BY_DEPTH = OneEuro(rest=1.5, slope=40.0)
"""The same where a depth picture tells it, which jitters far less."""
SHIFT_CUTOFF = 3.0
"""Hz, of where keypoints are seen beside the mesh."""
SHAPE_FRAMES = 300
"""Frames over which the shape is averaged; then it stays."""
RESTART = 0.5
"""Seconds after which the past says nothing about a hand."""
MARGIN, POWER, MEMORY = 1.3, 4, 30
"""A joint counts fully up to so many times the deviation that is usual for it, the median of so many frames;
beyond, it falls with this power."""

_MEAN_OF_FINGER = np.array(
    [[name.startswith(joint.split('_')[0]) for name in KEYPOINT_NAMES] for joint in JOINT_NAMES], float
)
_MEAN_OF_FINGER[0] = 1
_MEAN_OF_FINGER /= _MEAN_OF_FINGER.sum(1, keepdims=True)
"""(16, 21): the joints of a finger go by its keypoints, the wrist by all."""


class Trust:
    """How far a frame counts for each joint, by what the model says of its keypoints."""

    def __init__(self) -> None:
        self._past, self._frames = np.empty((MEMORY, 16)), 0

    def __call__(self, stddev: np.ndarray) -> np.ndarray:
        """(16,) in (0, 1], given the deviations (21,) of one frame's keypoints."""
        deviations = _MEAN_OF_FINGER @ np.maximum(stddev, 1e-6)
        self._past[self._frames % MEMORY] = deviations
        self._frames += 1
        known = min(self._frames, MEMORY)
        usual = np.sort(self._past[:known], 0)[known // 2]
        return np.minimum(1, (MARGIN * usual / deviations) ** POWER)


class HandFilter:
    """Smooths the PlacedHands of one track; `direction` and `distance` are the OneEuros of its wrist."""

    def __init__(self, direction: OneEuro = DIRECTION, distance: OneEuro = RANGE) -> None:
        self._direction, self._distance = direction, distance
        self._last: _State | None = None
        self._trust = Trust()

    def __call__(self, placed: PlacedHand, stamp: float, stddev: np.ndarray) -> tuple[PlacedHand, float]:
        """The PlacedHand at `stamp` seconds, smoothed, and the delay in seconds that its wrist has from it;
        `stddev` (21,) metres is how sure the model is of its keypoints."""
        trust = self._trust(stddev)
        last, dt = self._last, 0.0 if self._last is None else stamp - self._last.stamp
        if last is None or not 0 < dt < RESTART or last.placed.side != placed.side:
            self._last = _State.start(placed, stamp)
            return placed, 0.0
        turn, left = _turns(np.stack([last.rotation_raw, last.placed.rotations]), placed.rotations)
        rotation_speed = _low_pass(last.rotation_speed, turn / dt, ROTATION.speed, dt)
        gain = ROTATION.gains(np.linalg.norm(rotation_speed, axis=1), dt, trust)
        rotations = last.placed.rotations @ rotvec_to_matrix(gain[:, None] * left)

        place, place_raw = _to_log_depth(last.placed.position), _to_log_depth(placed.position)
        step = (place_raw - last.place_raw) / dt
        place_speed = _low_pass(last.place_speed, step, self._direction.speed, dt)
        across = self._direction.gains(np.linalg.norm(place_speed[:2]), dt)
        by_depth = placed.source == last.placed.source == SCALE_DEPTH
        along = (RANGE_BY_DEPTH if by_depth else self._distance).gains(abs(place_speed[2]), dt)
        place = place + np.array([across, across, along]) * (place_raw - place)

        count = last.count + 1
        weight = 1 / count if count <= SHAPE_FRAMES else 0.0
        smoothed = dataclasses.replace(
            placed,
            orient=rotations[0],
            pose=rotations[1:],
            position=_from_log_depth(place),
            betas=last.placed.betas + weight * (placed.betas - last.placed.betas),
            shift=last.placed.shift + smoothing_gain(SHIFT_CUTOFF, dt) * (placed.shift - last.placed.shift),
        )
        self._last = _State(smoothed, stamp, count, placed.rotations, rotation_speed, place_raw, place_speed)
        return smoothed, float((1 - across) / across * dt)


@dataclasses.dataclass
class _State:
    """A smoothed PlacedHand, and the raw values and filtered speeds that go with it."""

    placed: PlacedHand
    stamp: float
    count: int
    rotation_raw: np.ndarray
    rotation_speed: np.ndarray
    place_raw: np.ndarray
    place_speed: np.ndarray

    @classmethod
    def start(cls, placed: PlacedHand, stamp: float) -> _State:
        place = _to_log_depth(placed.position)
        return cls(placed, stamp, 1, placed.rotations, np.zeros((16, 3)), place, np.zeros(3))


def _low_pass(old: np.ndarray, new: np.ndarray, cutoff: float, dt: float) -> np.ndarray:
    return old + smoothing_gain(cutoff, dt) * (new - old)


def _turns(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) from rotations (..., 3, 3) to others, in the frames of the first."""
    return matrix_to_rotvec(np.swapaxes(start, -1, -2) @ end)


def _to_log_depth(position: np.ndarray) -> np.ndarray:
    """A point (3,) in metres as tangents of its direction and the logarithm of its depth."""
    return np.array([position[0] / position[2], position[1] / position[2], math.log(max(position[2], 1e-3))])


def _from_log_depth(place: np.ndarray) -> np.ndarray:
    """The inverse of `_to_log_depth`."""
    depth = math.exp(place[2])
    return np.array([place[0] * depth, place[1] * depth, depth])
