"""Quantizers: code vectors to the entries of a codebook, and a network's logits back to code vectors.

A code is told by `groups` digits of `group_size` values each: FSQ has one digit per dimension, a learned
codebook one digit in all. Logits are (..., groups, group_size); a code's index counts the last digit fastest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import TokenizerConfig


def gumbel_argmax(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """Logits (..., n) to a draw (...) from their softmax."""
    uniform = torch.rand(logits.shape, generator=generator).to(logits.device)
    noise = -(-uniform.clamp(1e-9, 1 - 1e-7).log()).log()
    return (logits + noise).argmax(-1)


class FiniteScalarQuantizer(nn.Module):
    """FSQ (Mentzer et al. 2023): dimension j of a code takes `levels[j]` evenly spaced values in [-1, 1], all
    dimensions the same number. There is no codebook to learn and none to collapse.

    `codebook` (K, D) lists all codes.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        if len(set(levels)) != 1:
            raise ValueError(f'levels {levels}: the token head needs the same count in each dimension')
        self.groups = self.dimensions = len(levels)
        self.group_size = levels[0]
        self.steps = (levels[0] - 1) / 2
        digits = torch.cartesian_prod(*(torch.arange(n) for n in levels)).reshape(-1, len(levels))
        self.register_buffer('codebook', digits / self.steps - 1, persistent=False)

    def bound(self, z: Tensor) -> Tensor:
        """Unbounded (..., D) to continuous codes in (-1, 1); each level owns an equal share of the range."""
        return torch.tanh(z) * (1 + 0.5 / self.steps) * 0.999

    def digits(self, z: Tensor) -> Tensor:
        """Unbounded (..., D) to the nearest level of each dimension (..., D), int64 from 0."""
        return self._nearest(self.bound(z))

    def _nearest(self, codes: Tensor) -> Tensor:
        return ((codes + 1) * self.steps).round().long().clamp(0, self.group_size - 1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Unbounded (..., D) to codes (..., D) with the gradient of `bound` (straight through), and no
        loss."""
        bounded = self.bound(z)
        return bounded + (self.lookup(self._nearest(bounded)) - bounded).detach(), z.new_zeros(())

    def lookup(self, digits: Tensor) -> Tensor:
        """Digits (..., D) to codes (..., D)."""
        return digits / self.steps - 1

    def expected(self, logits: Tensor) -> Tensor:
        """Logits (..., D, levels) to the mean code (..., D): softmax x codebook, which factorises here."""
        values = torch.linspace(-1, 1, self.group_size, dtype=logits.dtype, device=logits.device)
        return logits.softmax(-1) @ values

    def sample(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits (..., D, levels) to codes (..., D) drawn from them."""
        return self.lookup(gumbel_argmax(logits, generator)).to(logits.dtype)


class LearnedCodebook(nn.Module):
    """VQ with a codebook kept by exponential moving averages; codes that fall out of use start anew (van den
    Oord et al. 2017), by the library vector-quantize-pytorch."""

    def __init__(self, codes: int, dimensions: int) -> None:
        from vector_quantize_pytorch import VectorQuantize

        super().__init__()
        self.groups, self.group_size, self.dimensions = 1, codes, dimensions
        self.vq = VectorQuantize(
            dim=dimensions,
            codebook_size=codes,
            decay=0.99,
            kmeans_init=False,
            threshold_ema_dead_code=1,
            commitment_weight=1.0,
            rotation_trick=True,
        )

    @property
    def codebook(self) -> Tensor:
        """(K, D)"""
        return self.vq.codebook

    def digits(self, z: Tensor) -> Tensor:
        """(B, L, D) to the nearest code (B, L, 1), int64."""
        return torch.cdist(z, self.codebook.expand(len(z), -1, -1)).argmin(-1, keepdim=True)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, D) to codes (B, L, D), and the commitment loss; the gradient goes through by the rotation
        trick (Fifty et al. 2024)."""
        codes, _, loss = self.vq(z)
        return codes, loss.sum()

    def lookup(self, digits: Tensor) -> Tensor:
        """Digits (..., 1) to codes (..., D)."""
        return self.codebook[digits[..., 0]]

    def expected(self, logits: Tensor) -> Tensor:
        """Logits (..., 1, K) to the mean code (..., D): softmax x codebook."""
        return (logits.softmax(-1) @ self.codebook.to(logits.dtype)).squeeze(-2)

    def sample(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits (..., 1, K) to codes (..., D) drawn from them."""
        return self.lookup(gumbel_argmax(logits, generator))


def make_quantizer(config: TokenizerConfig) -> nn.Module:
    """The quantizer that a configuration names. Raises ValueError for an unknown name."""
    if config.quantizer == 'fsq':
        return FiniteScalarQuantizer(config.levels)
    if config.quantizer == 'ema':
        return LearnedCodebook(config.codes, config.dimensions)
    raise ValueError(f"quantizer '{config.quantizer}' is unknown: use 'fsq' or 'ema'")


def code_indices(quantizer: nn.Module, digits: Tensor) -> Tensor:
    """Digits (..., groups) to rows of the codebook (...)."""
    strides = [
        math.prod([quantizer.group_size] * (quantizer.groups - 1 - j)) for j in range(quantizer.groups)
    ]
    return (digits * torch.tensor(strides, device=digits.device)).sum(-1)


def joint_logits(logits: Tensor) -> Tensor:
    """Logits of each digit (B, L, groups, size) to those of whole codes (B, L, K): the outer sum, last digit
    fastest."""
    total = logits[:, :, 0]
    for group in range(1, logits.shape[2]):
        total = (total[..., None] + logits[:, :, group, None, :]).flatten(2)
    return total
