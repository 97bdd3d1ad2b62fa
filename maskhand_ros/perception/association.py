"""Association of observations, tracks and detections by their positions in the image."""

from __future__ import annotations

import numpy as np

from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.perception.types import HandRoi

_MAX_DISTANCE, _MAX_SPEED = 1.0, 6.0
"""Maximum distance, in hand sizes, from the last position to where a lost hand may reappear: a constant,
and an increase per second."""
_MAX_SIZE_RATIO = 1.7
"""Maximum ratio of its new size to its old one, or the inverse."""
_TOUCH = 0.6
"""Maximum distance between the middles of hands that touch, in sizes of the larger one."""
_SAME_HAND = 0.1
"""Maximum mean distance between the landmarks of one hand, as a share of its crop's edge length."""


def match_score(track: Track, observation: Observation | None) -> float:
    """Score of an Observation for the Track whose search region it comes from: probability of a hand, plus
    probability of the track's side, minus the movement in hand sizes. Higher is better; without an
    Observation it is -infinity."""
    if observation is None:
        return -np.inf
    moved = np.linalg.norm(track.keypoints_px - observation.keypoints_px, axis=1).mean() / max(
        observation.size_px, 1.0
    )
    return float(observation.presence + observation.probability_of(track.side) - moved)


def relative_distance(track: Track, observation: Observation, stamp: float) -> float:
    """Distance of an Observation from a lost Track, divided by the maximum distance at `stamp` seconds;
    above 1 it is not the same hand. Infinite for another side or size."""
    size = max(float(np.ptp(track.keypoints_px, axis=0).max()), 1.0)
    growth = observation.size_px / size
    if observation.side != track.side or not 1 / _MAX_SIZE_RATIO < growth < _MAX_SIZE_RATIO:
        return np.inf
    moved = np.linalg.norm(track.keypoints_px.mean(0) - observation.keypoints_px.mean(0)) / size
    return float(moved / (_MAX_DISTANCE + _MAX_SPEED * (stamp - track.stamp)))


def touch(one: Track, other: Track) -> bool:
    """Whether the hands of two Tracks, where they were last, may touch."""
    apart = np.linalg.norm(one.keypoints_px.mean(0) - other.keypoints_px.mean(0))
    return bool(apart < _TOUCH * max(np.ptp(track.keypoints_px, axis=0).max() for track in (one, other)))


def is_known(observation: Observation, others: list[Observation], followed: bool = False) -> bool:
    """Whether an Observation shows the same hand as one of the `others`. `followed`: all belong to tracks;
    a left and a right hand are then two hands down to half the distance, as in a clap."""
    near = _SAME_HAND * 2 * max(observation.size_px, 1.0)
    return any(
        np.linalg.norm(other.keypoints_px - observation.keypoints_px, axis=1).mean()
        < (near / 2 if followed and other.side != observation.side else near)
        for other in others
    )


def covers(observation: Observation, roi: HandRoi) -> bool:
    """Whether a detection `roi` is the hand of an Observation."""
    own = roi_from_keypoints(observation.keypoints_px, observation.side)
    return bool(np.linalg.norm(own.center_px - roi.center_px) < 0.25 * min(own.size_px, roi.size_px))
