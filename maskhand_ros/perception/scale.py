"""How large a hand is and so how far: what one camera cannot see. In this order from a depth picture, the
length learned of the hand while there was one, the owner's word, or the population."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import (
    SCALE_DEPTH,
    SCALE_LEARNED,
    SCALE_NONE,
    SCALE_PARAMETER,
    SCALE_POPULATION,
    Frame,
    PlacedHand,
    ScaleSource,
)
from maskhand_ros.skeleton import LEFT

SIZE_SPREAD = {SCALE_NONE: 0.055, SCALE_POPULATION: 0.055, SCALE_PARAMETER: 0.03, SCALE_LEARNED: 0.03}
"""Relative standard deviation of the distance: adults' hand lengths (5.5 %; a hand that is long is wide as
well, so that the fit's own error adds nothing to it), and the fit's error where the length is known."""
DEPTH_SIGMA = 0.01
"""Metres, of a distance from a depth picture: the camera's own, as data sheets have it for half a metre."""
_SKIN = {'dorsal': 0.0135, 'palmar': 0.0195}
"""Metres from the skin that a depth camera sees to the keypoints within, by the side that is seen: medians
over the open hand's palm."""
_RATIOS, _RATIOS_LEARNED = (0.6, 1.6), (0.87, 1.15)
"""What a depth picture may make of a hand's distance: beyond, it shows what is in front of it or behind."""
_ENOUGH_POINTS, _APART = 8, 0.06
"""Points of the palm that must have a depth, and how far from their median (as a share) they count."""

PALM_KEYPOINTS = [0, 1, 5, 9, 13, 17]
"""Keypoints around the palm."""


def _over_palm() -> np.ndarray:
    """(S, 6) weights of the PALM_KEYPOINTS that make points all over it."""
    rays = [
        np.eye(6)[a] * t * (1 - u) + np.eye(6)[b] * t * u + np.eye(6)[0] * (1 - t)
        for a, b in ((1, 2), (2, 3), (3, 4), (4, 5))
        for u in (0.0, 0.5)
        for t in (0.25, 0.45, 0.65, 0.85)
    ]
    return np.array(rays)


_SPOTS = _over_palm()


class LearnedLength:
    """Length of one hand from what depth pictures say of it, frame by frame: a median that is kept for good
    once it is stable."""

    ENOUGH, STABLE, TOGETHER = 30, 0.01, 10
    """Frames at least; relative error of the median at most; neighbouring frames that err alike."""

    def __init__(self) -> None:
        self.value: float | None = None
        """Metres from the wrist to the middle fingertip; None until it is known."""
        self._lengths: list[float] = []

    def add(self, length: float) -> None:
        """Take in the `length` in metres that one depth picture gives."""
        if self.value is not None:
            return
        self._lengths.append(length)
        middle = np.median(self._lengths)
        spread = 1.48 * np.median(np.abs(np.array(self._lengths) - middle)) / middle
        count = len(self._lengths)
        if count >= self.ENOUGH and spread * np.sqrt(self.TOGETHER / count) < self.STABLE:
            self.value = float(middle)
            self._lengths.clear()


def to_scale(
    hand: PlacedHand, palm: np.ndarray, frame: Frame, camera: Camera
) -> tuple[PlacedHand, float | None]:
    """A PlacedHand at its distance, with the covariance that goes with how it is known, and the ratio of its
    size in the depth picture to the one it came with (None without).

    `palm` (6, 3) metres are its PALM_KEYPOINTS, from the wrist.
    """
    ratio = None
    if frame.camera is None or not camera.can_measure(palm + hand.position):
        hand = replace(hand, source=SCALE_NONE)
    elif frame.depth is not None:
        skin = _SKIN[_visible_side(palm, hand)]
        ratio = _depth_ratio(frame.depth, camera, _SPOTS @ palm + hand.position, skin, hand.source)
    if ratio is not None:
        known = hand.source == SCALE_LEARNED
        hand = replace(
            hand,
            source=SCALE_DEPTH,
            # A length once learned stays: bones do not grow and shrink with the depth picture's noise.
            size=hand.size if known else ratio * hand.size,
            shift=hand.shift if known else ratio * hand.shift,
            position=ratio * hand.position,
        )
    distance = np.linalg.norm(hand.position)
    along = DEPTH_SIGMA if hand.source == SCALE_DEPTH else SIZE_SPREAD[hand.source] * distance
    ray = hand.position / distance
    covariance = hand.covariance.copy()
    covariance[:3, :3] += along**2 * np.outer(ray, ray)
    return replace(hand, covariance=covariance), ratio


def _visible_side(palm: np.ndarray, hand: PlacedHand) -> str:
    """'dorsal' or 'palmar': the side that the camera sees of a PlacedHand with the PALM_KEYPOINTS `palm` (6,
    3)."""
    out_of_back = np.cross(palm[5] - palm[0], palm[2] - palm[0])
    if hand.side == LEFT:
        out_of_back = -out_of_back
    return 'dorsal' if out_of_back @ hand.position < 0 else 'palmar'


def _depth_ratio(
    depth: np.ndarray, camera: Camera, points: np.ndarray, skin: float, source: ScaleSource
) -> float | None:
    """Factor that brings `points` (N, 3) of a palm, `skin` metres under what is seen, to the depth picture;
    None if it is unsure."""
    column, row = np.round(np.nan_to_num(camera.project(points), nan=-1.0)).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < depth.shape[1]) & (row < depth.shape[0])
    seen = depth[row[inside], column[inside]].astype(float)
    good = np.isfinite(seen) & (seen > 0)
    if good.sum() < _ENOUGH_POINTS:
        return None
    ratios = (seen[good] + skin) / points[inside, 2][good]
    ratio = np.median(ratios)
    # A finger of the other hand, a cup, the wall behind: what is not at the palm's distance is not the palm.
    near = np.abs(ratios - ratio) < _APART * ratio
    low, high = _RATIOS_LEARNED if source == SCALE_LEARNED else _RATIOS
    if near.sum() < max(_ENOUGH_POINTS, 0.5 * len(ratios)) or not low < ratio < high:
        return None
    return float(ratios[near].mean())
