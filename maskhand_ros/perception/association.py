"""Which views, tracks and detections belong to one hand, by where they are in the image."""

from __future__ import annotations

import numpy as np

from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.perception.types import HandRoi

_REACH, _SPEED = 1.0, 6.0
"""How far from where it was last seen a hand may come back, in its own sizes: at once, and more a second."""
_GROWTH = 1.7
"""How much larger or smaller it may be then."""
_SAME_HAND = 0.1
"""Two sets of landmarks are one hand if they differ by less than this share of the hand's square."""


def likeness(track: Track, view: Observation) -> float:
    """How well an Observation fits the Track that it was looked for with: the probability of its side, less
    how far it has moved in hand sizes."""
    moved = np.linalg.norm(track.keypoints_px - view.keypoints_px, axis=1).mean() / max(view.size_px, 1.0)
    return float(view.probability_of(track.side) - moved)


def distance(track: Track, view: Observation, stamp: float) -> float:
    """How far an Observation is from a Track that was lost, over what it can have moved by `stamp` seconds;
    infinite if it cannot be that hand."""
    size = max(float(np.ptp(track.keypoints_px, axis=0).max()), 1.0)
    growth = view.size_px / size
    if view.side != track.side or not 1 / _GROWTH < growth < _GROWTH:
        return np.inf
    moved = np.linalg.norm(track.keypoints_px.mean(0) - view.keypoints_px.mean(0)) / size
    return float(moved / (_REACH + _SPEED * (stamp - track.stamp)))


def is_known(view: Observation, others: list[Observation]) -> bool:
    """Whether an Observation shows the hand of one of the `others`."""
    near = _SAME_HAND * 2 * max(view.size_px, 1.0)
    return any(
        np.linalg.norm(other.keypoints_px - view.keypoints_px, axis=1).mean() < near for other in others
    )


def covers(view: Observation, roi: HandRoi) -> bool:
    """Whether a detection lies on the hand of an Observation."""
    own = roi_from_keypoints(view.keypoints_px, view.side)
    return bool(np.linalg.norm(own.center_px - roi.center_px) < 0.25 * min(own.size_px, roi.size_px))
