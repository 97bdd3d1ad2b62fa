"""Side of a newly detected hand if the landmark network is uncertain: both sides are reconstructed and
compared."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.device import concatenate
from maskhand_ros.perception.gates import PlausibleHand
from maskhand_ros.perception.placement import Placement
from maskhand_ros.perception.reconstructor import Reconstructor
from maskhand_ros.perception.track import Observation
from maskhand_ros.perception.types import Frame

SURE = 0.75
"""Probability of a side from which it is accepted without a comparison. On labelled photographs and
videos, original and degraded, the comparison corrects sides only below it."""
_MARGIN = 0.01
"""Confidences are clipped to [_MARGIN, 1 - _MARGIN], so that neither side is ever certain."""


class SideComparison:
    """Comparison of the reconstructions of one hand as a left and as a right hand."""

    def __init__(self, reconstruct: Reconstructor, place: Placement, plausible: PlausibleHand) -> None:
        self._reconstruct, self._place, self._plausible = reconstruct, place, plausible

    def __call__(
        self, left: Observation, right: Observation, prior: float, rgb: np.ndarray, camera: Camera
    ) -> float:
        """Probability of a right hand, given Observations of it in `rgb` (H, W, 3) as a left and as a right
        hand, and the landmark network's probability `prior`.

        Exactly one of the two reconstructions has the side of the hand. Bayes' rule with their confidences as
        probabilities that each is good: the prior odds times the odds of "right good, left not" against "left
        good, right not".
        """
        good = np.clip(self._confidences([left, right], rgb, camera), _MARGIN, 1 - _MARGIN)
        of_left, of_right = (1 - prior) * good[0] * (1 - good[1]), prior * good[1] * (1 - good[0])
        return float(of_right / (of_left + of_right))

    def _confidences(self, observations: list[Observation], rgb: np.ndarray, camera: Camera) -> np.ndarray:
        """Confidences (N,) of the reconstructions of the Observations; 0 for an implausible hand. They
        depend on `presence` through the Calibration."""
        prediction = self._reconstruct.estimate(concatenate([each.cues for each in observations]))
        finite = np.flatnonzero(prediction.finite)
        prediction, confidences = prediction.rows(finite), np.zeros(len(observations))
        # Without depth: the size of a hand does not depend on its side.
        placed = self._place(prediction, [observations[k] for k in finite], Frame(rgb), camera)
        possible = [reason is None for reason in self._plausible(placed)]
        confidences[finite] = np.where(possible, [hand.confidence for hand in placed], 0)
        return confidences
