"""Where a hand is likely to be while it is not seen: flagged, short, and surer of less and less."""

from __future__ import annotations

import dataclasses

import numpy as np

from maskhand_ros.perception.types import PREDICTED, TRACKED

_SMOOTH = 0.4
"""Share of a new speed that is taken."""
_SLOWS = 0.15
"""Seconds in which a hand that is not seen is taken to lose most of its speed."""
_ACCELERATION, _TURNING, _FINGERS = 8.0, 3.0, 0.06
"""Standard deviations of what cannot be known: of the wrist's acceleration (m/s^2), of how fast it turns
(rad/s), and of how fast a keypoint moves about the wrist (m/s)."""


class Forecast:
    """Follows the Hands of one track, to say where it went."""

    def __init__(self):
        self._hand, self._stamp, self._velocity = None, 0.0, np.zeros(3)

    def see(self, hand, stamp):
        """Take in a Hand as it was given out at `stamp` seconds."""
        if hand.state != TRACKED or hand.wrist_position is None:
            self._hand = None
            return
        if self._hand is not None and stamp > self._stamp:
            velocity = (hand.wrist_position - self._hand.wrist_position) / (stamp - self._stamp)
            self._velocity = self._velocity + _SMOOTH * (velocity - self._velocity)
        self._hand, self._stamp = hand, stamp

    def at(self, stamp, camera, longest):
        """The Hand at `stamp` seconds as PREDICTED, its pose as it was last seen; None where it was not
        TRACKED and metric then, or was seen more than `longest` seconds ago."""
        if self._hand is None or not 0 < stamp - self._stamp <= longest:
            return None
        hand, seconds = self._hand, stamp - self._stamp
        step = self._velocity * _SLOWS * (1 - np.exp(-seconds / _SLOWS))
        keypoints = hand.keypoints + step
        covariance = hand.wrist_covariance.copy()
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
        )
