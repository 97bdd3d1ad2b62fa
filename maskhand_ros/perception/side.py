"""The side of a newly detected hand where the landmark network leaves it in doubt: both sides are
reconstructed and compared."""

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
"""Probability of a side from which it is taken without a comparison. On labelled photographs and videos, as
they are and degraded, the comparison corrects sides below it and no longer above."""
_LEAST = 0.01
"""Confidence of a reconstruction that no hand can have, and 1 less that of the best: neither is certain."""


class SideComparison:
    """Compares the reconstructions of one hand as a left and as a right one."""

    def __init__(self, reconstruct: Reconstructor, place: Placement, plausible: PlausibleHand) -> None:
        self._reconstruct, self._place, self._plausible = reconstruct, place, plausible

    def __call__(
        self, left: Observation, right: Observation, prior: float, rgb: np.ndarray, camera: Camera
    ) -> float:
        """Probability that a hand is a right one, given Observations of it in `rgb` (H, W, 3) as a left and
        as a right one, and the `prior` probability that the landmark network gave.

        Exactly one of the two reconstructions has the side of the hand. Bayes' rule, with their confidences
        taken as the probabilities that each is good: the odds are those of the prior times those of "right
        good, left not" against "left good, right not".
        """
        good = np.clip(self._confidences([left, right], rgb, camera), _LEAST, 1 - _LEAST)
        of_left, of_right = (1 - prior) * good[0] * (1 - good[1]), prior * good[1] * (1 - good[0])
        return float(of_right / (of_left + of_right))

    def _confidences(self, observations: list[Observation], rgb: np.ndarray, camera: Camera) -> np.ndarray:
        """(N,) confidence of the reconstruction of each Observation, which takes its presence into account; 0
        where no hand can be so."""
        prediction = self._reconstruct.estimate(concatenate([each.cues for each in observations]))
        finite = np.flatnonzero(prediction.finite)
        prediction, confidences = prediction.rows(finite), np.zeros(len(observations))
        # Without depth: the size of a hand says nothing of its side.
        placed = self._place(prediction, [observations[k] for k in finite], Frame(rgb), camera)
        possible = [reason is None for reason in self._plausible(placed)]
        confidences[finite] = np.where(possible, prediction.confidence, 0)
        return confidences
