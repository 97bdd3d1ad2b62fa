"""States of the fingers of a hand, straight or bent, from its 3D keypoints."""

from __future__ import annotations

from typing import Protocol

import numpy as np

STRAIGHT_BELOW = np.radians(75)
"""Largest angle, radians, between the metacarpal (wrist to knuckle) and the last bone of a straight finger:
the sum of the flexion of its three joints. Between 65 and 85 degrees the answers on images of gestures
change by less than 1 % of the hands, ours and MediaPipe's; a finger that is half closed is neither."""


class Posed(Protocol):
    """A hand with keypoints (21, 3) m along any axes: a Hand or a PeerHand."""

    keypoints_wrist: np.ndarray


def finger_bends(hand: Posed) -> np.ndarray:
    """(4,) radians, 0 to pi: the angle between metacarpal and last bone of index, middle, ring and little
    finger."""
    points = np.asarray(hand.keypoints_wrist, float)
    metacarpal = _unit(points[5::4] - points[0])
    last = _unit(points[8::4] - points[7::4])
    return np.arccos(np.clip((metacarpal * last).sum(1), -1, 1))


def straight_fingers(hand: Posed) -> np.ndarray:
    """(4,) bool: index, middle, ring, little finger straight."""
    return finger_bends(hand) < STRAIGHT_BELOW


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
