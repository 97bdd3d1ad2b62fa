"""Association of observations, tracks and detections by their positions in the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.perception.types import HandRoi

_MAX_DISTANCE, _MAX_SPEED = 1.0, 6.0
"""Maximum distance, in hand sizes, from the last position to where a lost hand may reappear: a constant,
and an increase per second."""
_MAX_SIZE_RATIO = 1.7
"""Maximum ratio of its new size to its old one, or the inverse."""
_SAME_HAND = 0.2
"""Maximum mean distance between the landmarks of two observations of one hand, in hand sizes."""
_SAME_REGION = 0.25
"""Maximum distance between the centres of two HandRois of one hand, as a share of the smaller edge length."""
_PART_SIZE = 0.45
"""Maximum edge length of a region in a hand that counts as a part of it, relative to the hand's region."""
_PART_INSIDE, _PART_ODDS = 0.5, 10.0
"""Minimum share of the landmarks of a hand that lie in another one, and minimum ratio of the other's odds to
its own, from which it is a part of the other."""
_TOUCH = 0.6
"""Maximum distance between the middles of hands that touch, in sizes of the larger one."""


def match_score(track: Track, observation: Observation | None) -> float:
    """Score of an Observation for the Track whose search region it comes from: probability of a hand, plus
    probability of the track's side, minus the movement in hand sizes. Higher is better; without an
    Observation it is -infinity."""
    if observation is None:
        return -np.inf
    apart = track.keypoints_px - observation.keypoints_px
    moved = np.sqrt(np.square(apart).sum(1)).mean() / max(observation.size_px, 1.0)
    return float(observation.presence + observation.probability_of(track.side) - moved)


def relative_distance(track: Track, observation: Observation, stamp: float) -> float:
    """Distance of an Observation from a lost Track, divided by the maximum distance at `stamp` seconds;
    above 1 it is not the same hand. Infinite for another side or size."""
    size = max(track.size_px, 1.0)
    size_ratio = observation.size_px / size
    if observation.side != track.side or not 1 / _MAX_SIZE_RATIO < size_ratio < _MAX_SIZE_RATIO:
        return np.inf
    moved = distance_px(track, observation) / size
    return float(moved / (_MAX_DISTANCE + _MAX_SPEED * (stamp - track.stamp)))


def touch(one: Track, other: Track) -> bool:
    """Whether the hands of two Tracks, where they were last, may touch."""
    return distance_px(one, other) < _TOUCH * max(one.size_px, other.size_px)


def distance_px(one: Track | Observation, other: Track | Observation) -> float:
    """Distance in the image between the middles of two hands."""
    return math.dist(one.keypoints_px.mean(0), other.keypoints_px.mean(0))


def disagreement(crops: Sequence[Observation]) -> float:
    """Mean distance of the landmarks of Observations of one hand from their mean, in sizes of the first;
    infinite if one is not finite."""
    landmarks = np.stack([crop.keypoints_px for crop in crops])
    apart = np.linalg.norm(landmarks - landmarks.mean(0), axis=-1).mean()
    return float(apart / max(crops[0].size_px, 1.0)) if np.isfinite(apart) else np.inf


def is_near(hand: Observation, others: Sequence[Track | Observation], limit: float) -> bool:
    """Whether one of the `others` has the side of a hand and its middle nearer than `limit` hand sizes."""
    return any(
        other.side == hand.side and distance_px(hand, other) < limit * hand.size_px for other in others
    )


def is_known(observation: Observation, others: Sequence[Observation], followed: bool = False) -> bool:
    """Whether an Observation shows the same hand as one of the `others`. `followed`: all belong to tracks;
    a left and a right hand are then two hands down to half the distance, as in a clap."""
    near = _SAME_HAND * max(observation.size_px, 1.0)
    return any(
        np.linalg.norm(other.keypoints_px - observation.keypoints_px, axis=1).mean()
        < (near / 2 if followed and other.side != observation.side else near)
        for other in others
    )


def covers(observation: Observation, roi: HandRoi) -> bool:
    """Whether a detection `roi` is the hand of an Observation, or a part of it."""
    own = roi_from_keypoints(observation.keypoints_px, observation.side)
    apart = np.linalg.norm(own.center_px - roi.center_px)
    return bool(apart < _SAME_REGION * min(own.size_px, roi.size_px)) or has_part(observation, roi)


def has_part(observation: Observation, roi: HandRoi) -> bool:
    """Whether the much smaller `roi` lies in the hand of an Observation: in close view a finger can look
    like a hand."""
    own = roi_from_keypoints(observation.keypoints_px, observation.side)
    return roi.size_px <= _PART_SIZE * own.size_px and bool(in_outline(observation, roi.center_px[None])[0])


def are_parts(hands: Sequence[Observation], confidences: Sequence[float]) -> list[bool]:
    """For each Observation whether it is a part of another hand that was found as a hand of its own: half of
    its landmarks lie in the other's outline, and by the `confidences` the other is far more likely."""
    odds = [confidence / max(1 - confidence, 1e-12) for confidence in confidences]
    return [
        any(
            other_odds >= _PART_ODDS * own_odds
            and in_outline(other, hand.keypoints_px).mean() >= _PART_INSIDE
            for other, other_odds in zip(hands, odds, strict=True)
            if other is not hand
        )
        for hand, own_odds in zip(hands, odds, strict=True)
    ]


def in_outline(observation: Observation, points: np.ndarray) -> np.ndarray:
    """(N,) whether points (N, 2) px lie in the convex hull of the landmarks of an Observation."""
    outline = cv2.convexHull(observation.keypoints_px.astype(np.float32))
    places = [cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=False) for x, y in points]
    return np.array(places) >= 0
