"""Mask schedules and confidence-guided decoding in torch. `perception/sampling.py` is the same loop in
numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .quantizers import gumbel_argmax
from .synthesizer import Synthesis


def cosine_schedule(progress: float) -> float:
    """Share of masked tokens at `progress` in [0, 1]: 1 at the start, 0 at the end."""
    return math.cos(math.pi / 2 * progress)


def random_mask(batch: int, tokens: int, all_masked: int, generator: torch.Generator) -> Tensor:
    """Training masks (batch, tokens), True where masked; the first `all_masked` rows are masked entirely.

    The others draw tau ~ U(0, 1) and mask ceil(cos(pi tau / 2) L) tokens, at least one.
    """
    ratio = torch.cos(math.pi / 2 * torch.rand(batch, 1, generator=generator))
    ratio[:all_masked] = 1
    count = (ratio * tokens).ceil().clamp(1, tokens)
    order = torch.rand(batch, tokens, generator=generator).argsort(1).argsort(1)
    return order < count


def least_confident(confidence: Tensor, count: int) -> Tensor:
    """Mask (B, L), True for the `count` least confident tokens of each row of `confidence` (B, L)."""
    return confidence.argsort(dim=1, stable=True).argsort(dim=1, stable=True) < count


@torch.no_grad()
def decode(
    step: Callable[[Tensor, Tensor], Synthesis],
    quantizer: nn.Module,
    batch: int,
    tokens: int,
    iterations: int = 1,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    device: str = 'cpu',
) -> tuple[Tensor, Synthesis]:
    """Codes (B, L, D) and the last step's outputs.

    `temperature` 0 gives the point estimate: every code is the expectation over the codebook, updated in each
    iteration. Above 0 it gives one hypothesis: masked tokens are sampled, and an unmasked token keeps its
    sample.
    """
    codes = torch.zeros(batch, tokens, quantizer.dimensions, device=device)
    mask = torch.ones(batch, tokens, dtype=torch.bool, device=device)
    chosen = torch.zeros(batch, tokens, device=device)
    for t in range(1, iterations + 1):
        out = step(codes, mask)
        masked = int(cosine_schedule(t / iterations) * tokens + 1e-9)
        log_probability = out.logits.log_softmax(-1)
        if temperature == 0:
            codes = quantizer.expected(out.logits)
            mask = least_confident(log_probability.amax(-1).sum(-1), masked)
        else:
            digits = gumbel_argmax(out.logits / temperature, generator)
            drawn = log_probability.gather(-1, digits[..., None])[..., 0].sum(-1)
            codes = torch.where(mask[..., None], quantizer.lookup(digits), codes)
            chosen = torch.where(mask, drawn, chosen)
            mask = least_confident(chosen.masked_fill(~mask, math.inf), masked)
    return codes, out
