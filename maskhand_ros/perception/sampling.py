"""Confidence-guided masked decoding (MaskGIT, Chang et al. 2022) in numpy: all tokens are masked at first,
and each iteration unmasks the most confident ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def cosine_schedule(progress: float) -> float:
    """Share of masked tokens at `progress` in [0, 1]: 1 at the start, 0 at the end."""
    return float(np.cos(np.pi / 2 * progress))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


def keep_top_k(logits: np.ndarray, top_k: int) -> np.ndarray:
    """Logits (..., K) with all but the `top_k` largest set to minus infinity; 0 keeps all."""
    if not 0 < top_k < logits.shape[-1]:
        return logits
    least = np.partition(logits, -top_k)[..., -top_k, None]
    return np.where(logits >= least, logits, -np.inf)


def least_confident(confidence: np.ndarray, count: int) -> np.ndarray:
    """Mask (N, L), True for the `count` least confident tokens of each row of `confidence` (N, L)."""
    return confidence.argsort(1, kind='stable').argsort(1, kind='stable') < count


def sample_tokens(
    step: Callable[[np.ndarray, np.ndarray], np.ndarray],
    codebook: np.ndarray,
    batch: int,
    length: int,
    iterations: int = 1,
    temperature: float = 0.0,
    top_k: int = 0,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, L, D) and the probability (N, L) of each token.

    `step(codes (N, L, D), mask (N, L) True where masked)` returns logits (N, L, K) over the rows of
    `codebook` (K, D). `temperature` 0 gives the point estimate: every code is the expectation over the
    codebook, updated in each iteration. Above 0 it gives one hypothesis: masked tokens are sampled with `rng`
    from the `top_k` most probable (0: all), and an unmasked token keeps its sample.
    """
    codes = np.zeros((batch, length, codebook.shape[1]), np.float32)
    mask = np.ones((batch, length), bool)
    confidence = np.zeros((batch, length))
    for iteration in range(1, iterations + 1):
        logits = step(codes, mask)
        still_masked = int(cosine_schedule(iteration / iterations) * length + 1e-9)
        if temperature == 0:
            probability = softmax(logits)
            codes, confidence = probability @ codebook, probability.max(-1)
            mask = least_confident(confidence, still_masked)
        else:
            assert rng is not None
            # The argmax of logits plus Gumbel noise is a sample of the softmax.
            drawn = (keep_top_k(logits, top_k) / temperature + rng.gumbel(size=logits.shape)).argmax(-1)
            probability = np.take_along_axis(softmax(logits), drawn[..., None], -1)[..., 0]
            codes = np.where(mask[..., None], codebook[drawn], codes)
            confidence = np.where(mask, probability, confidence)
            mask = least_confident(np.where(mask, confidence, np.inf), still_masked)
        codes = codes.astype(np.float32)
    return codes, confidence
