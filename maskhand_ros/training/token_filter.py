"""Tokens fused over the frames of one hand, and the rival: smoothing that doubts what the network doubts.

Both ask how far a frame counts by the deviation that the network states for each finger, against what is
usual. They are measured by temporal.py and run nowhere else.
"""

from __future__ import annotations

import numpy as np

from ..perception.sampling import softmax
from ..perception.smoothing import USUAL_STDDEV
from ..skeleton import JOINT_NAMES, KEYPOINT_NAMES

DIFFUSION, FLOOR = 0.3, 0.02
"""Standard deviation, in steps of the code grid, by which a token may change from frame to frame, and the
probability that it becomes anything."""
MARGIN, POWER, MEMORY = 1.1, 8, 30
"""A frame counts fully up to so many times the usual deviation, the median of so many frames; beyond, it
falls with this power."""
_FINGER = np.array([[k.startswith(j.split('_')[0]) for k in KEYPOINT_NAMES] for j in JOINT_NAMES[1:]], float)
_FINGER /= _FINGER.sum(1, keepdims=True)


class Trust:
    """How far this frame counts (K,), in (0, 1], from stated deviations (K,) against what is usual here."""

    def __init__(self):
        self._past = []

    def __call__(self, stddev):
        self._past = [*self._past[1 - MEMORY :], stddev]
        return np.minimum(1, (MARGIN * np.median(self._past, 0) / stddev) ** POWER)


class TokenFilter:
    """Probabilities of the digits of FSQ tokens over time: a Bayes filter by a logarithmic pool.

    What this frame says weighs `trust`, the diffused past the rest: the errors of frames go together, and a
    product of them would count them as so many witnesses.
    """

    def __init__(self, levels=8):
        apart = np.subtract.outer(np.arange(levels), np.arange(levels))
        self._spread = np.exp(-((apart / DIFFUSION) ** 2) / 2)
        self._spread /= self._spread.sum(0)
        self._past = None

    def __call__(self, probability, trust):
        """The filtered probabilities (L, G, n) of `probability` (L, G, n), with `trust` (L,)."""
        if self._past is not None:
            prior = (1 - FLOOR) * self._past @ self._spread.T + FLOOR / self._past.shape[-1]
            weight = np.reshape(trust, (-1, 1, 1))
            evidence = np.log(np.maximum(probability, 1e-9))
            probability = softmax(weight * evidence + (1 - weight) * np.log(prior))
        self._past = probability
        return probability


class FusedSynthesizer:
    """Stands in for the synthesizer of one hand that is followed: its logits are filtered over time."""

    def __init__(self, session):
        self._session, self._trust, self._filter = session, Trust(), TokenFilter()

    def run(self, names, inputs):
        logits, *heads, log_variance, orient_log_variance = self._session.run(names, inputs)
        trust = self._trust(_FINGER @ np.exp(log_variance[0, :, 0] / 2))
        cube = softmax(logits[0].astype(float)).reshape(-1, 8, 8, 8)
        digits = np.stack([cube.sum(axes) for axes in ((2, 3), (1, 3), (1, 2))], 1)
        first, second, third = np.moveaxis(np.log(np.maximum(self._filter(digits, trust), 1e-12)), 1, 0)
        joint = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        return [joint.reshape(logits.shape).astype(np.float32), *heads, log_variance, orient_log_variance]


class DoubtingSmoother:
    """Stands in for Tracker.smooth of one hand: each joint is held as far as its finger is not trusted."""

    def __init__(self):
        self._trust = Trust()

    def __call__(self, pairs, placed, prediction, stamp_ns):
        fingers = _FINGER @ np.asarray(prediction.keypoint_stddev, float)[0, :, 0]
        trust = self._trust(np.concatenate([[fingers.mean()], fingers]))
        hand, delay = pairs[0][0].filter(placed[0], stamp_ns * 1e-9, USUAL_STDDEV / trust)
        return [hand], [delay]
