"""Motion model of a lost hand: exponentially decaying velocity, growing uncertainty."""

from __future__ import annotations

import dataclasses

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import PREDICTED, TRACKED, Hand

_VELOCITY_WEIGHT = 0.4
"""Weight of a new velocity in the running mean."""
_DECAY = 0.15
"""Time constant of the decay of the velocity, seconds."""
_ACCELERATION, _TURNING, _FINGERS = 8.0, 3.0, 0.06
"""Standard deviations of unmodelled motion: the wrist's acceleration (m/s^2), angular velocity (rad/s),
and a keypoint's velocity relative to the wrist (m/s)."""


class MotionModel:
    """Motion model of one track, from its last TRACKED Hands."""

    def __init__(self) -> None:
        self._hand: Hand | None = None
        self._stamp, self._velocity = 0.0, np.zeros(3)

    def update(self, hand: Hand, stamp: float) -> None:
        """Updates the model with a Hand at `stamp` seconds. A TENTATIVE Hand does not change it: a hidden
        hand that is seen in single frames is predicted in the others."""
        if hand.wrist_position is None:
            self._hand = None
        if hand.state != TRACKED or hand.wrist_position is None:
            return
        if self._hand is not None and stamp > self._stamp:
            velocity = (hand.wrist_position - self._hand.wrist_position) / (stamp - self._stamp)
            self._velocity = self._velocity + _VELOCITY_WEIGHT * (velocity - self._velocity)
        self._hand, self._stamp = hand, stamp

    def predict(self, stamp: float, camera: Camera, max_age: float) -> Hand | None:
        """PREDICTED Hand at `stamp` seconds, with its last finger pose. None if no Hand was
        TRACKED, the last one had no metric position, or the last TRACKED one is older than `max_age`
        seconds."""
        if self._hand is None or not 0 < stamp - self._stamp <= max_age:
            return None
        hand, seconds = self._hand, stamp - self._stamp
        step = self._velocity * _DECAY * (1 - np.exp(-seconds / _DECAY))
        keypoints = np.asarray(hand.keypoints) + step
        covariance = np.array(hand.wrist_covariance)
        covariance[:3, :3] += (0.5 * _ACCELERATION * seconds**2) ** 2 * np.eye(3)
        covariance[3:, 3:] += (_TURNING * seconds) ** 2 * np.eye(3)
        grown = (_FINGERS * seconds) ** 2
        return dataclasses.replace(
            hand,
            state=PREDICTED,
            wrist_position=hand.wrist_position + step,
            wrist_covariance=covariance,
            keypoints=keypoints,
            keypoints_px=camera.project(keypoints),
            keypoint_stddev=np.sqrt(hand.keypoint_stddev**2 + grown),
            keypoint_stddev_depth=np.sqrt(hand.keypoint_stddev_depth**2 + grown),
            hypotheses=[],
            keypoint_visibility=None,
        )
