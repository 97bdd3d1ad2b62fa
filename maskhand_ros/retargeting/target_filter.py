"""Filter of the target vectors: still at rest, without delay in motion.

A low pass whose cutoff rises with the speed (the One Euro filter, Casiez et al. 2012), then slack: the output
moves only as far as is needed to stay within the slack of its input, so that small noise does not move the
robot.
"""

from __future__ import annotations

import numpy as np

CUTOFF = 1.0
"""Cutoff at rest, Hz."""
CUTOFF_PER_SPEED = 100.0
"""Rise of the cutoff, Hz for each m/s of the fastest vector of a finger."""
SPEED_CUTOFF = 6.0
"""Cutoff of the speed estimate, Hz."""
SLACK = 0.25
"""Slack in standard deviations of the keypoints."""


class TargetFilter:
    """The filter of P vectors, metres. Vectors of one finger, of the same number in `fingers` (P,), get the
    same cutoff, or their lengths would not fit each other in motion."""

    def __init__(self, fingers: np.ndarray) -> None:
        self._same = fingers[:, None] == fingers
        self._smooth: np.ndarray | None = None
        self._velocity = self._output = np.zeros((len(fingers), 3))

    def reset(self) -> None:
        """Take the next vectors as they are."""
        self._smooth = None

    def __call__(self, vectors: np.ndarray, stddev: np.ndarray, trust: np.ndarray, dt: float) -> np.ndarray:
        """Filtered vectors (P, 3), `dt` seconds after the last. `stddev` (P,) m; `trust` (P,), 0 to 1, scales
        the cutoff."""
        if self._smooth is None:
            self._smooth = self._output = vectors
            self._velocity = np.zeros_like(vectors)
            return vectors
        change = (vectors - self._smooth) / dt
        self._velocity = self._velocity + _share(SPEED_CUTOFF, dt) * (change - self._velocity)
        speed = np.where(self._same, np.linalg.norm(self._velocity, axis=1), 0.0).max(1)
        share = _share(CUTOFF + CUTOFF_PER_SPEED * trust * speed, dt)
        self._smooth = self._smooth + share[:, None] * (vectors - self._smooth)
        away = self._smooth - self._output
        length = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
        self._output = self._output + np.maximum(1 - SLACK * stddev / length, 0)[:, None] * away
        return self._output


def _share(cutoff: np.ndarray | float, dt: float) -> np.ndarray:
    """Share of the new value in a first-order low pass of `cutoff` Hz."""
    step = 2 * np.pi * np.asarray(cutoff) * dt
    return step / (1 + step)
