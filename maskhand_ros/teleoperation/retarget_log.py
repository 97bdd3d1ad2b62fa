"""A retargeting that records its inputs and results, and their figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from maskhand_ros.skeleton import FINGERS, TIP_KEYPOINTS
from maskhand_ros.teleoperation import measures
from maskhand_ros.teleoperation.session import Retargeted, Retargeting


class Result(Retargeted, Protocol):
    """What a RetargetLog needs of a maskhand_ros.retargeting.RetargetedHand."""

    @property
    def tip_error(self) -> np.ndarray:
        """(F,) m."""

    @property
    def pinch_distance(self) -> np.ndarray:
        """(F,) m, NaN for the thumb."""

    @property
    def held_fingers(self) -> tuple[str, ...]:
        """Names."""


class LoggedRetargeting(Retargeting, Protocol):
    """What a RetargetLog needs of a maskhand_ros.retargeting.Retargeter."""

    @property
    def fingers(self) -> Sequence[str]:
        """The F fingers."""

    def __call__(self, keypoints_wrist: np.ndarray, stddev: np.ndarray, dt: float) -> Result:
        """Joints for keypoints (21, 3) m with standard deviations (21,) m, `dt` s after the last ones."""


@dataclass(frozen=True)
class Call:
    """One frame: keypoints (21, 3), result, CPU time of this thread in seconds, step in seconds."""

    keypoints: np.ndarray
    result: Result
    cpu: float
    dt: float


class RetargetLog:
    """The retargeting `inner`, with a Call for each frame."""

    def __init__(self, inner: LoggedRetargeting) -> None:
        self._inner = inner
        self.joint_names, self.limits = inner.joint_names, inner.limits
        self.calls: list[Call] = []

    def reset(self, joints: np.ndarray) -> None:
        """As the inner one."""
        self._inner.reset(joints)

    def __call__(self, keypoints_wrist: np.ndarray, stddev: np.ndarray, dt: float) -> Result:
        """As the inner one."""
        start = time.thread_time()
        result = self._inner(keypoints_wrist, stddev, dt)
        self.calls.append(Call(keypoints_wrist, result, time.thread_time() - start, dt))
        return result

    def figures(self, stretches: list[slice] | None = None) -> dict[str, Any]:
        """Figures of all frames. `stretches`: those in which the hand rests; None: by its keypoints."""
        if not self.calls:
            return {'frames': 0}
        joints = np.array([call.result.joints for call in self.calls])
        seconds = np.cumsum([call.dt for call in self.calls])
        keypoints = np.array([call.keypoints for call in self.calls])
        fingers = [FINGERS.index(name) for name in self._inner.fingers]
        tips = np.array(TIP_KEYPOINTS)[fingers]
        stretches = measures.still_stretches(keypoints, tips) if stretches is None else stretches
        distances = np.linalg.norm(keypoints[:, tips] - keypoints[:, [TIP_KEYPOINTS[0]]], axis=-1)
        gaps = np.array([call.result.pinch_distance for call in self.calls])
        at_pinches = 1e3 * np.abs(gaps[(distances < measures.CLOSED) & np.isfinite(gaps)])
        errors = 1e3 * np.array([call.result.tip_error for call in self.calls])
        cpu = 1e3 * np.array([call.cpu for call in self.calls])
        return {
            'frames': len(self.calls),
            'retargeting_ms': measures.shares(cpu, 50, 99),
            'tip_error_mm': {
                'mean': float(errors.mean()),
                **{name: float(e) for name, e in zip(self._inner.fingers, errors.mean(0), strict=True)},
            },
            'pinch_gap_mm': {
                'frames': len(at_pinches),
                'mean': float(at_pinches.mean()) if len(at_pinches) else np.nan,
                **measures.shares(at_pinches, 50, 90),
            },
            'joint_speed_rad_s': measures.joint_speed(joints, seconds),
            'joint_jerk_rad_s3': measures.joint_jerk(joints, float(np.median([c.dt for c in self.calls]))),
            'rest_noise_degrees': measures.rest_noise(joints, stretches),
            'rest_stretches': len(stretches),
            'held_finger_frames': sum(len(call.result.held_fingers) for call in self.calls),
        }
