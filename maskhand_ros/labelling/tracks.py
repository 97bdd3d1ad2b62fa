"""Tracks of a labelled clip: sides decided over the whole track, tracks of one hand joined over gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.skeleton import LEFT, RIGHT, Handedness

JOIN_GAP = 3.0
"""Maximum seconds between two tracks of one hand."""
_MAX_DISTANCE, _MAX_SPEED = 1.0, 1.0
"""Maximum distance in the image between the end of a track and the start of the next, in hand sizes: a
constant, and an increase per second."""
_MAX_SIZE_RATIO = 1.7
"""Maximum ratio of the sizes in the image, or its inverse."""
_MAX_LOG_ODDS = 3.0
"""Limit of one frame's log odds of a side (95 %): frames of a track are alike, so none may outvote ten."""


@dataclass
class Track:
    """One hand over a clip. `rows` (T,) are the frames in which it was measured, `hands` its HandLabels in
    them."""

    id: int
    side: Handedness
    side_probability: float
    """Mean probability of `side` over the frames, at least 0.5."""
    rows: np.ndarray
    hands: list[HandLabels]

    @property
    def is_operator(self) -> bool:
        """Whether it is the operator's hand in most frames."""
        return sum(hand.operator for hand in self.hands) > len(self.hands) / 2


def find_tracks(frames: Sequence[FrameLabels], seconds: np.ndarray) -> list[Track]:
    """The Tracks of a clip whose frames are at `seconds` (T,).

    A track has one side, that of the larger sum of log odds. Hands that it has on the other side are left
    out: they were reconstructed as the mirror image of the hand, which is not a pose of it.
    """
    found: dict[int, list[tuple[int, HandLabels]]] = {}
    for row, frame in enumerate(frames):
        for hand in frame.hands:
            found.setdefault(hand.track_id, []).append((row, hand))
    tracks = [_with_one_side(id, rows_and_hands) for id, rows_and_hands in found.items()]
    return _joined(tracks, seconds)


def _with_one_side(id: int, rows_and_hands: list[tuple[int, HandLabels]]) -> Track:
    right = np.array(
        [
            hand.handedness_probability if hand.side == RIGHT else 1 - hand.handedness_probability
            for _, hand in rows_and_hands
        ]
    )
    odds = np.log(np.maximum(right, 1e-9)) - np.log(np.maximum(1 - right, 1e-9))
    side = RIGHT if np.clip(odds, -_MAX_LOG_ODDS, _MAX_LOG_ODDS).sum() > 0 else LEFT
    if not any(hand.side == side for _, hand in rows_and_hands):
        side = rows_and_hands[0][1].side
    kept = [pair for pair in rows_and_hands if pair[1].side == side]
    probability = float(right.mean() if side == RIGHT else 1 - right.mean())
    rows, hands = zip(*kept, strict=True)
    return Track(id, side, max(0.5, probability), np.array(rows), list(hands))


def _joined(tracks: list[Track], seconds: np.ndarray) -> list[Track]:
    """Tracks, with those that can be one hand made one, nearest first. A joined track has the first id."""
    pairs = sorted(
        (distance, i, k)
        for i, one in enumerate(tracks)
        for k, other in enumerate(tracks)
        for distance in [_distance(one, other, seconds)]
        if distance <= 1
    )
    follower: dict[int, int] = {}
    for _, i, k in pairs:
        if i not in follower and k not in follower.values():
            follower[i] = k
    chains = []
    for i in range(len(tracks)):
        if i in follower.values():
            continue
        chain = [i]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        chains.append(_chained([tracks[k] for k in chain]))
    return chains


def _chained(parts: list[Track]) -> Track:
    weights = np.array([len(part.hands) for part in parts], float)
    return replace(
        parts[0],
        side_probability=float(np.average([part.side_probability for part in parts], weights=weights)),
        rows=np.concatenate([part.rows for part in parts]),
        hands=[hand for part in parts for hand in part.hands],
    )


def _distance(one: Track, other: Track, seconds: np.ndarray) -> float:
    """Distance in the image from the end of a Track to the start of another, divided by its maximum; above 1
    they are not one hand. Infinite for another side or size, and where the gap is none or too long."""
    gap = seconds[other.rows[0]] - seconds[one.rows[-1]]
    before, after = one.hands[-1].kp2d, other.hands[0].kp2d
    size, new_size = (max(float(np.ptp(points, axis=0).max()), 1.0) for points in (before, after))
    ratio = new_size / size
    if one.side != other.side or not 0 < gap <= JOIN_GAP or not 1 / _MAX_SIZE_RATIO < ratio < _MAX_SIZE_RATIO:
        return np.inf
    moved = float(np.linalg.norm(after.mean(0) - before.mean(0))) / size
    return moved / (_MAX_DISTANCE + _MAX_SPEED * float(gap))
