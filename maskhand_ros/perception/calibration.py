"""Calibration of the predicted uncertainty, fitted by `maskhand train calibrate` on held-out hands and
stored in model.json under `calibration`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from maskhand_ros.errors import ModelError

CONFIDENCE_BELOW = 0.02
"""Mean keypoint error relative to the wrist, metres, below which a hand counts as good for `confidence`."""
CONFIDENCE_FEATURES = 4
TYPICAL = 0.01
"""Standard deviation that `power` does not change, metres."""


@dataclass(frozen=True)
class Calibration:
    """Parameters that map predicted standard deviations to calibrated ones and to a confidence.

    A standard deviation s becomes factor * TYPICAL * (s / TYPICAL) ** `power`, with the factor `lateral` or
    `depth` of the keypoint. `samples`: number of sampled poses whose variance is added to the predicted one
    first; 0: none. `confidence` None: the token probability is used.
    """

    lateral: np.ndarray
    """(21,)"""
    depth: np.ndarray
    """(21,)"""
    samples: int = 0
    confidence: np.ndarray | None = None
    """(4,) weights of `confidence_features` in a logistic model."""
    power: float = 1.0

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
            return cls(lateral, depth, samples, weights, power)
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
        """Probability (N,) that the mean keypoint error is below CONFIDENCE_BELOW; needs `confidence`."""
        return 1 / (1 + np.exp(-np.clip(confidence_features(stddev, presence) @ self.confidence, -30, 30)))


def sample_variance(keypoints: np.ndarray) -> np.ndarray:
    """Variance (N, 21, 2) [mean of both lateral axes, depth] among keypoints (S, N, 21, 3)."""
    x, y, z = np.moveaxis(np.var(keypoints, axis=0, ddof=1), -1, 0)
    return np.stack([(x + y) / 2, z], -1)


def confidence_features(stddev: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """(N, 4): one, log of the hand's lateral and depth deviation (root mean square, metres), log odds of the
    landmark network's presence. stddev (N, 21, 2); presence (N,) or (N, 1)."""
    spread = np.log(np.sqrt(np.square(stddev[:, 1:]).mean(1)))
    presence = np.clip(np.reshape(presence, len(spread)), 1e-3, 1 - 1e-3)
    return np.stack([np.ones(len(spread)), *spread.T, np.log(presence / (1 - presence))], 1)
