"""Metric scale of a hand, which one camera cannot observe. Sources, best first: a depth image, the length
learned from earlier depth images, the parameter hand_length, the population mean."""

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

DISTANCE_SIGMA = {SCALE_NONE: 0.055, SCALE_POPULATION: 0.055, SCALE_PARAMETER: 0.03, SCALE_LEARNED: 0.03}
"""Relative standard deviation of the distance, by scale source. Known length: the error of the fit. Unknown
length: the spread of adult hand lengths, to which the fit adds nothing, because long hands are also wide."""
DEPTH_SIGMA = 0.01
"""Standard deviation of a distance from a depth image, metres: typical of data sheets at half a metre."""
_SKIN = {'dorsal': 0.0135, 'palmar': 0.0195}
"""Metres from the visible skin to the keypoints inside the hand, by the visible side: medians over the
palm of the open hand."""
_RATIOS, _RATIOS_LEARNED = (0.6, 1.6), (0.87, 1.15)
"""Accepted ratios of the measured distance to the assumed one: in general, and for a learned length. Outside,
the depth is that of an occluder or the background."""
_MIN_SAMPLES, _RATIO_TOLERANCE, _MIN_SHARE = 8, 0.06, 0.5
"""Minimum palm samples with depth; relative difference from the median ratio up to which a sample agrees with
it; minimum share of the samples that agree."""

PALM_KEYPOINTS = [0, 1, 5, 9, 13, 17]
"""Keypoints around the palm."""


def _palm_sample_weights() -> np.ndarray:
    """Weights (S, 6) of PALM_KEYPOINTS that give S samples spread over the palm."""
    # Along the lines from the wrist to the edge from keypoint 1 to 17.
    weights = [
        np.eye(6)[a] * t * (1 - u) + np.eye(6)[b] * t * u + np.eye(6)[0] * (1 - t)
        for a, b in ((1, 2), (2, 3), (3, 4), (4, 5))
        for u in (0.0, 0.5)
        for t in (0.25, 0.45, 0.65, 0.85)
    ]
    return np.array(weights)


_PALM_SAMPLES = _palm_sample_weights()


class LearnedLength:
    """Length of one hand, measured with depth images: the median over frames, fixed once it is stable."""

    MIN_FRAMES, MAX_ERROR, CORRELATED_FRAMES = 30, 0.01, 10
    """Minimum frames; maximum relative standard error of the median; frames over which errors are
    correlated."""

    def __init__(self) -> None:
        self.value: float | None = None
        """Length from wrist to middle fingertip, metres; None until it is stable."""
        self._lengths: list[float] = []

    def add(self, length: float) -> None:
        """Adds the `length` in metres measured in one depth image."""
        if self.value is not None:
            return
        self._lengths.append(length)
        middle = np.median(self._lengths)
        spread = 1.48 * np.median(np.abs(np.array(self._lengths) - middle)) / middle
        count = len(self._lengths)
        if count >= self.MIN_FRAMES and spread * np.sqrt(self.CORRELATED_FRAMES / count) < self.MAX_ERROR:
            self.value = float(middle)
            self._lengths.clear()


def to_scale(
    hand: PlacedHand, palm: np.ndarray, frame: Frame, camera: Camera
) -> tuple[PlacedHand, float | None]:
    """A PlacedHand with its distance corrected by depth, its ScaleSource, and the uncertainty of the distance
    added to its covariance; and the ratio of measured to assumed size, None without usable depth.

    `palm` (6, 3): PALM_KEYPOINTS relative to the wrist, metres.
    """
    ratio = None
    if frame.camera is None or not camera.can_measure(palm + hand.position):
        hand = replace(hand, source=SCALE_NONE)
    elif frame.depth is not None:
        skin = _SKIN[_visible_side(palm, hand)]
        ratio = _depth_ratio(frame.depth, camera, _PALM_SAMPLES @ palm + hand.position, skin, hand.source)
    if ratio is not None:
        learned = hand.source == SCALE_LEARNED
        hand = replace(
            hand,
            source=SCALE_DEPTH,
            # A learned length stays fixed: noise of the depth image must not resize the hand.
            size=hand.size if learned else ratio * hand.size,
            shift=hand.shift if learned else ratio * hand.shift,
            position=ratio * hand.position,
        )
    distance = np.linalg.norm(hand.position)
    sigma = DEPTH_SIGMA if hand.source == SCALE_DEPTH else DISTANCE_SIGMA[hand.source] * distance
    ray = hand.position / distance
    covariance = hand.covariance.copy()
    covariance[:3, :3] += sigma**2 * np.outer(ray, ray)
    return replace(hand, covariance=covariance), ratio


def _visible_side(palm: np.ndarray, hand: PlacedHand) -> str:
    """'dorsal' or 'palmar': the side of the palm that faces the camera. `palm` (6, 3) are the
    PALM_KEYPOINTS."""
    out_of_back = np.cross(palm[5] - palm[0], palm[2] - palm[0])
    if hand.side == LEFT:
        out_of_back = -out_of_back
    return 'dorsal' if out_of_back @ hand.position < 0 else 'palmar'


def _depth_ratio(
    depth: np.ndarray, camera: Camera, points: np.ndarray, skin: float, source: ScaleSource
) -> float | None:
    """Ratio of the measured distance of palm `points` (N, 3), which lie `skin` metres below the surface,
    to their assumed distance; None if the depth image does not agree on one."""
    column, row = np.round(np.nan_to_num(camera.project(points), nan=-1.0)).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < depth.shape[1]) & (row < depth.shape[0])
    measured = depth[row[inside], column[inside]].astype(float)
    valid = np.isfinite(measured) & (measured > 0)
    if valid.sum() < _MIN_SAMPLES:
        return None
    ratios = (measured[valid] + skin) / points[inside, 2][valid]
    ratio = np.median(ratios)
    # Samples far from the median are another object in front of the palm, or the background.
    agreeing = np.abs(ratios - ratio) < _RATIO_TOLERANCE * ratio
    low, high = _RATIOS_LEARNED if source == SCALE_LEARNED else _RATIOS
    if agreeing.sum() < max(_MIN_SAMPLES, _MIN_SHARE * len(ratios)) or not low < ratio < high:
        return None
    return float(ratios[agreeing].mean())
