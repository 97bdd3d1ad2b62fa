"""Scores of predicted uncertainties and hypotheses against the truth, numpy only.

Errors and standard deviations share a unit; N hands, K keypoints, A axes, S samples. Lower is better unless
said.
"""

from __future__ import annotations

import numpy as np

Z68, Z95 = 0.9944579, 1.9599640
"""Half widths of the central 68 and 95 % of a Gaussian, in standard deviations."""


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (N,) from 0 of values (N,); equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of a (N,) and b (N,): 1 if they sort alike; NaN where one of them is constant."""
    a, b = (ranks(values) - (len(values) - 1) / 2 for values in (a, b))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float('nan')


def within_keypoint_spearman(
    uncertainty: np.ndarray, error: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Mean over keypoints of the rank correlation between hands: uncertainty and error (N, K), mask (N, K)
    which of them count. Free of the trivial part, that tips err more than knuckles."""
    mask = np.ones(np.shape(error), bool) if mask is None else mask
    each = np.array(
        [spearman(u[m], e[m]) for u, e, m in zip(uncertainty.T, error.T, mask.T, strict=True) if m.sum() > 9]
    )
    each = each[np.isfinite(each)]
    return float(each.mean()) if len(each) else float('nan')


def distance_stddev(stddev: np.ndarray) -> np.ndarray:
    """Root mean square distance (..., K) that stddev (..., K, 2) [lateral per axis, depth] implies."""
    return np.sqrt(2 * stddev[..., 0] ** 2 + stddev[..., 1] ** 2)


def axes_stddev(stddev: np.ndarray) -> np.ndarray:
    """stddev (..., 2) [lateral, depth] for the axes x, y, z of a camera: (..., 3)."""
    return stddev[..., [0, 0, 1]]


def coverage(standardised: np.ndarray, half_width: float) -> float:
    """Share of errors over their standard deviation that lie within +-half_width."""
    return float((np.abs(standardised) <= half_width).mean())


def gaussian_nll(error: np.ndarray, stddev: np.ndarray) -> np.ndarray:
    """Negative log likelihood, nats, of each error under a Gaussian of mean 0; density in their unit."""
    return 0.5 * (error / stddev) ** 2 + np.log(stddev) + 0.5 * np.log(2 * np.pi)


def nll_gain(error: np.ndarray, stddev: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Nats per axis by which stddev (N, K, A) beats the best constant Gaussian of each keypoint and axis
    on errors (N, K, A); higher is better. The constants are fitted to these very errors, which favours
    them. mask (N, K): which count."""
    mask = np.ones(error.shape[:2], bool) if mask is None else mask
    counts = np.maximum(mask.sum(0), 1)[:, None]
    constant = np.sqrt((error**2 * mask[..., None]).sum(0) / counts)
    constant = np.broadcast_to(np.maximum(constant, 1e-9), error.shape)
    return float((gaussian_nll(error, constant) - gaussian_nll(error, stddev))[mask].mean())


def error_without_least_certain(error: np.ndarray, uncertainty: np.ndarray, share: float = 0.2) -> float:
    """Mean error (N,) of the hands that are left when the `share` with the largest uncertainty is dropped."""
    keep = np.argsort(uncertainty, kind='stable')[: len(error) - int(round(share * len(error)))]
    return float(np.mean(error[keep]))


def energy_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Energy score (N, K) of samples (S, N, K, 3) against the truth (N, K, 3), each keypoint on its own.

    E|X - y| - E|X - X'| / 2, unbiased over pairs of different samples (Gneiting and Raftery 2007, eq. 22):
    proper, so neither samples that are too close together nor too far apart are rewarded.
    """
    count = len(samples)
    to_truth = np.linalg.norm(samples - truth, axis=-1).mean(0)
    between = sum(np.linalg.norm(samples[i] - samples[j], axis=-1) for i in range(count) for j in range(i))
    return to_truth - between / (count * (count - 1))


def hand_energy_score(samples: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Energy score (N,) of samples (S, N, K, 3) as whole hands: of all keypoints in mask (N, K) as one
    vector, over the root of their number; NaN where there are none. Unlike `energy_score` it sees whether the
    keypoints of a sample go together."""
    count, number = len(samples), mask.sum(1)

    def length(difference: np.ndarray) -> np.ndarray:
        square = (np.square(difference).sum(-1) * mask).sum(-1)
        return np.sqrt(np.where(number > 0, square / np.maximum(number, 1), np.nan))

    to_truth = np.mean([length(sample - truth) for sample in samples], axis=0)
    between = sum(length(samples[i] - samples[j]) for i in range(count) for j in range(i))
    return to_truth - between / (count * (count - 1))


def best_of(samples: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Mean keypoint error (N,) of the best of S hands (S, N, K, 3): one choice a hand, over the keypoints in
    mask (N, K); NaN where there are none."""
    distance = np.linalg.norm(samples - truth, axis=-1)
    if mask is None:
        return distance.mean(-1).min(0)
    counts = mask.sum(-1)
    means = np.where(mask, distance, 0).sum(-1) / np.maximum(counts, 1)
    return np.where(counts > 0, means.min(0), np.nan)


def gaussian_samples(
    mean: np.ndarray, stddev: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """What a regressor with the same mean (N, K, 3) and stddev (N, K, 2) would draw: (count, N, K, 3)."""
    return mean + axes_stddev(stddev) * rng.standard_normal((count, *mean.shape))


def rank_auc(score: np.ndarray, good: np.ndarray) -> float:
    """Area under the ROC curve: the probability that a good hand has a higher score (N,) than another, ties
    counted half; `good` (N,) bool. NaN if all are good or none."""
    good = np.asarray(good, bool)
    count = int(good.sum())
    if not 0 < count < len(good):
        return float('nan')
    places = ranks(np.asarray(score, float))
    return float((places[good].sum() - count * (count - 1) / 2) / (count * (len(good) - count)))


def error_by_decile(score: np.ndarray, error: np.ndarray, parts: int = 10) -> list[float]:
    """Mean errors of `parts` groups of equal count by score (N,), the lowest first; fewer of fewer hands."""
    order = np.argsort(score, kind='stable')
    return [float(error[part].mean()) for part in np.array_split(order, parts) if len(part)]
