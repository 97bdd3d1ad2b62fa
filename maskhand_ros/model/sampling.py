"""Mask schedules and confidence-guided decoding in torch. `perception/sampling.py` is the same loop in
numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .synthesizer import Synthesis


def cosine_schedule(progress: float) -> float:
    """Share of the tokens that is still hidden at `progress` in [0, 1]: 1 at the start, 0 at the end."""
    return math.cos(math.pi / 2 * progress)


def random_mask(batch: int, tokens: int, all_masked: int, generator: torch.Generator) -> Tensor:
    """Training masks (batch, tokens), True where hidden; the first `all_masked` rows hide everything.

    The others draw tau ~ U(0, 1) and hide ceil(cos(pi tau / 2) L) tokens, at least one.
    """
    ratio = torch.cos(math.pi / 2 * torch.rand(batch, 1, generator=generator))
    ratio[:all_masked] = 1
    count = (ratio * tokens).ceil().clamp(1, tokens)
    order = torch.rand(batch, tokens, generator=generator).argsort(1).argsort(1)
    return order < count


@torch.no_grad()
def decode_expected(
    step: Callable[[Tensor, Tensor], Synthesis],
    quantizer: nn.Module,
    batch: int,
    tokens: int,
    iterations: int = 1,
    schedule: Callable[[float], float] = cosine_schedule,
    device: str = 'cpu',
) -> tuple[Tensor, Synthesis]:
    """The point estimate: expected codes (B, L, D) and the last step's outputs.

    Every iteration shows the most confident tokens as expected codes; the answer is soft at all positions.
    """
    codes = torch.zeros(batch, tokens, quantizer.dimensions, device=device)
    mask = torch.ones(batch, tokens, dtype=torch.bool, device=device)
    for t in range(1, iterations + 1):
        out = step(codes, mask)
        codes = quantizer.expected(out.logits)
        hidden = int(schedule(t / iterations) * tokens + 1e-9)
        confidence = out.logits.log_softmax(-1).amax(-1).sum(-1)
        mask = confidence.argsort(dim=1, stable=True).argsort(dim=1, stable=True) < hidden
    return codes, out
