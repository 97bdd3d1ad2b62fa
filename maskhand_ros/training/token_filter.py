"""Tokens fused over the frames of one hand, by how sure the network is of each finger. Measured by
temporal.py; it runs nowhere else."""

from __future__ import annotations

import numpy as np

from ..perception.sampling import softmax
from ..perception.smoothing import Trust

DIFFUSION, FLOOR = 0.3, 0.02
"""Standard deviation, in steps of the code grid, by which a token may change from frame to frame, and the
probability that it becomes anything."""


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

    def __init__(self, network):
        self._network, self._trust, self._filter = network, Trust(), TokenFilter()
        self.inputs = network.inputs

    def run(self, inputs):
        heads = self._network.run(inputs)
        logits = heads['logits']
        # The wrist's has no token; each finger has as many tokens as joints.
        trust = self._trust(np.exp(heads['log_variance'][0, :, 0] / 2))[1:]
        cube = softmax(logits[0].astype(float)).reshape(-1, 8, 8, 8)
        digits = np.stack([cube.sum(axes) for axes in ((2, 3), (1, 3), (1, 2))], 1)
        first, second, third = np.moveaxis(np.log(np.maximum(self._filter(digits, trust), 1e-12)), 1, 0)
        joint = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        return {**heads, 'logits': joint.reshape(logits.shape).astype(np.float32)}
