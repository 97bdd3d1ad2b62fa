"""Calibration of the predicted uncertainty, fitted by `maskhand train calibrate` on held-out hands and
stored in model.json under `calibration`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskhand_ros.errors import ModelError

CONFIDENCE_BELOW = 0.02
"""Mean keypoint error relative to the wrist, metres, below which a hand counts as good for `confidence`."""
CONFIDENCE_FEATURES = 4
TYPICAL_MISFIT = 0.035
"""Misfit that leaves the confidence as it is: about the median of photographs."""
EXCESS_MISFIT = 0.065
"""Misfit from which it counts more: landmarks of a hand that is reconstructed well are seldom further off."""
TYPICAL_DISAGREEMENT = 0.01
"""Disagreement of crops (association.disagreement) that leaves the confidence as it is. Medians of three sets
of photographs: 0.007, 0.008, 0.014."""
TYPICAL = 0.01
"""Standard deviation that `power` does not change, metres."""


@dataclass(frozen=True)
class Calibration:
    """Parameters that map predicted standard deviations to calibrated ones and to a confidence.

    A standard deviation s becomes factor * TYPICAL * (s / TYPICAL) ** `power`, with the factor `lateral` or
    `depth` of the keypoint. `samples`: number of sampled poses whose variance is added to the predicted one
    first; 0: none. `confidence` None: the token probability is used.

    `confidence` is for a hand that agrees with its landmarks as most do. After the fit, its odds are
    multiplied by (misfit / TYPICAL_MISFIT) ** `misfit`[0], and beyond EXCESS_MISFIT by (misfit /
    EXCESS_MISFIT) ** `misfit`[1] as well (refinement.misfit_of). Where a hand was cropped several times they
    are divided by its disagreement over TYPICAL_DISAGREEMENT.
    """

    lateral: np.ndarray
    """(21,)"""
    depth: np.ndarray
    """(21,)"""
    samples: int = 0
    confidence: np.ndarray | None = None
    """(4,) weights of `confidence_features` in a logistic model."""
    power: float = 1.0
    misfit: np.ndarray = field(default_factory=lambda: np.zeros(2))
    """(2,) exponents, negative where a misfit lowers the confidence; 0: the misfit does not count."""

    @classmethod
    def identity(cls) -> Calibration:
        """Calibration that changes nothing."""
        return cls(np.ones(21), np.ones(21))

    @classmethod
    def of(cls, description: dict[str, Any]) -> Calibration:
        """The Calibration in the content of a model.json, or `identity`. ModelError if it is malformed."""
        stored = description.get('calibration')
        if stored is None:
            return cls.identity()
        try:
            lateral, depth = (np.array(stored[axis], float).reshape(21) for axis in ('lateral', 'depth'))
            weights = stored.get('confidence')
            if weights is not None:
                weights = np.array(weights, float).reshape(CONFIDENCE_FEATURES)
            power = float(stored.get('power', 1))
            if not min(lateral.min(), depth.min(), power) > 0:
                raise ValueError('a factor or the power is not positive')
            samples = int(stored.get('samples', 0))
            if samples == 1:
                raise ValueError('one sample has no spread')
            misfit = np.array(stored.get('misfit', (0, 0)), float).reshape(2)
            return cls(lateral, depth, samples, weights, power, misfit)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f'`calibration` in model.json is malformed ({error})',
                'run `maskhand train calibrate` again, or delete the entry',
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Entry of model.json that `of` reads."""
        return {
            'lateral': np.round(self.lateral, 4).tolist(),
            'depth': np.round(self.depth, 4).tolist(),
            'power': round(self.power, 4),
            'samples': self.samples,
            'confidence': None if self.confidence is None else np.round(self.confidence, 4).tolist(),
            'misfit': np.round(self.misfit, 4).tolist(),
        }

    def stddev(self, head: np.ndarray, keypoints: np.ndarray | None = None) -> np.ndarray:
        """Standard deviations (N, 21, 2) [lateral, depth], from the network's own `head` (N, 21, 2) and, if
        `samples`, the keypoints (S, N, 21, 3) of its hypotheses."""
        variance = np.square(head)
        if self.samples and keypoints is not None:
            variance = variance + sample_variance(keypoints)
        spread = TYPICAL * (np.sqrt(variance) / TYPICAL) ** self.power
        return spread * np.stack([self.lateral, self.depth], 1)

    def probability(self, stddev: np.ndarray, presence: np.ndarray) -> np.ndarray:
        """Probability (N,) that the mean keypoint error is below CONFIDENCE_BELOW, for a typical misfit;
        needs `confidence`."""
        return 1 / (1 + np.exp(-np.clip(confidence_features(stddev, presence) @ self.confidence, -30, 30)))

    def after_fit(
        self,
        confidence: np.ndarray,
        misfit: np.ndarray,
        disagreement: np.ndarray | float = TYPICAL_DISAGREEMENT,
    ) -> np.ndarray:
        """Confidences (N,) of hands whose fit to the landmarks has left `misfit` (N,), and whose crops have
        the `disagreement` (N,)."""
        if not self.misfit.any():
            return confidence
        confidence = np.clip(np.asarray(confidence, float), 1e-12, 1 - 1e-12)
        change = misfit_features(misfit) @ self.misfit
        change = change - np.log(np.maximum(disagreement, 1e-6) / TYPICAL_DISAGREEMENT)
        odds = confidence / (1 - confidence) * np.exp(np.clip(change, -30, 30))
        return odds / (1 + odds)


def sample_variance(keypoints: np.ndarray) -> np.ndarray:
    """Variance (N, 21, 2) [mean of both lateral axes, depth] among keypoints (S, N, 21, 3)."""
    x, y, z = np.moveaxis(np.var(keypoints, axis=0, ddof=1), -1, 0)
    return np.stack([(x + y) / 2, z], -1)


def misfit_features(misfit: np.ndarray) -> np.ndarray:
    """(N, 2): log of `misfit` (N,) over TYPICAL_MISFIT, and over EXCESS_MISFIT where it is larger."""
    misfit = np.maximum(misfit, 1e-6)
    excess = np.maximum(np.log(misfit / EXCESS_MISFIT), 0)
    return np.stack([np.log(misfit / TYPICAL_MISFIT), excess], 1)


def confidence_features(stddev: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """(N, 4): one, log of the hand's lateral and depth deviation (root mean square, metres), log odds of the
    landmark network's presence. stddev (N, 21, 2); presence (N,) or (N, 1)."""
    spread = np.log(np.sqrt(np.square(stddev[:, 1:]).mean(1)))
    presence = np.clip(np.reshape(presence, len(spread)), 1e-3, 1 - 1e-3)
    return np.stack([np.ones(len(spread)), *spread.T, np.log(presence / (1 - presence))], 1)
