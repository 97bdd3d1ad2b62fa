"""Stage 1: a hand pose as discrete tokens, three for each finger, from one codebook of 512.

Quantisation is FSQ (Mentzer et al. 2023): every dimension of a code is bounded and rounded to one of its
levels, so there is no codebook to learn and none to collapse. The paper tokenises the global orientation too;
here it stays continuous.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import FINGER_JOINTS, FINGERS, TokenizerConfig
from .layers import ResidualMLP

IDENTITY_6D = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class FiniteScalarQuantizer(nn.Module):
    """Codes (..., D): dimension j takes `levels[j]` evenly spaced values in [-1, 1].

    `codebook` (K, D) lists all of them, the last dimension fastest; a code's index is its row.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        counts = torch.tensor(levels)
        strides = [math.prod(levels[j + 1 :]) for j in range(len(levels))]
        self.register_buffer('steps', (counts - 1).float() / 2, persistent=False)
        self.register_buffer('strides', torch.tensor(strides), persistent=False)
        digits = torch.cartesian_prod(*(torch.arange(n) for n in levels)).reshape(-1, len(levels))
        self.register_buffer('codebook', digits / self.steps - 1, persistent=False)

    def bound(self, z: Tensor) -> Tensor:
        """Unbounded (..., D) to continuous codes in (-1, 1); each level owns an equal share of the range."""
        return torch.tanh(z) * (1 + 0.5 / self.steps) * 0.999

    def digits(self, codes: Tensor) -> Tensor:
        """Codes (..., D) to the nearest level of each dimension (..., D), int64 from 0."""
        digits = ((codes + 1) * self.steps).round().long()
        return torch.minimum(digits.clamp_min(0), (2 * self.steps).long())

    def forward(self, z: Tensor) -> Tensor:
        """Unbounded (..., D) to codes (..., D), with the gradient of `bound` (straight through)."""
        bounded = self.bound(z)
        return bounded + (self.digits(bounded) / self.steps - 1 - bounded).detach()

    def indices(self, digits: Tensor) -> Tensor:
        """Digits (..., D) to rows of the codebook (...)."""
        return (digits * self.strides).sum(-1)


class FingerTokenizer(nn.Module):
    """Pose (B, 15, 6) to tokens and back. One encoder and one decoder serve all fingers, told which by a
    one-hot vector.

    Tokens are in the order of the pose's fingers (MANO: index, middle, little, ring, thumb),
    `tokens_per_finger` each.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.quantizer = FiniteScalarQuantizer(config.levels)
        finger, code = 6 * FINGER_JOINTS, config.tokens_per_finger * len(config.levels)
        self.encoder = self._mlp(finger, code)
        self.decoder = self._mlp(code, finger)
        self.register_buffer('one_hot', torch.eye(FINGERS), persistent=False)
        self.register_buffer('identity', torch.tensor(IDENTITY_6D), persistent=False)

    def _mlp(self, inputs: int, outputs: int) -> nn.Sequential:
        width = self.config.width
        return nn.Sequential(
            nn.Linear(inputs + FINGERS, width),
            *(ResidualMLP(width) for _ in range(self.config.blocks)),
            nn.LayerNorm(width),
            nn.Linear(width, outputs),
        )

    def _with_finger(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.one_hot.expand(x.shape[0], -1, -1)], -1)

    def encode(self, pose: Tensor) -> Tensor:
        """(B, 15, 6) to unbounded code vectors (B, L, D)."""
        fingers = (pose - self.identity).reshape(-1, FINGERS, FINGER_JOINTS * 6)
        return self.encoder(self._with_finger(fingers)).reshape(
            -1, self.config.tokens, len(self.config.levels)
        )

    def decode(self, embeddings: Tensor) -> Tensor:
        """Codes (B, L, D), hard or expected, to a pose (B, 15, 6)."""
        fingers = embeddings.reshape(-1, FINGERS, self.config.tokens_per_finger * len(self.config.levels))
        sixd = self.decoder(self._with_finger(fingers)).reshape(-1, FINGERS * FINGER_JOINTS, 6)
        return sixd + self.identity

    def digits(self, pose: Tensor) -> Tensor:
        """(B, 15, 6) to the digits (B, L, D) of its tokens."""
        return self.quantizer.digits(self.quantizer.bound(self.encode(pose)))

    def forward(self, pose: Tensor) -> Tensor:
        """The round trip (B, 15, 6) -> tokens -> (B, 15, 6)."""
        return self.decode(self.quantizer(self.encode(pose)))
