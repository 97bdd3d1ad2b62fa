"""Measures of the landmark network's heads: visibility of keypoints, variance of their place in the crop.

N hands, 21 keypoints. Average precision is the mean precision over the true ones, taken in the order of the
score (area under the precision-recall curve without interpolation); the mean (mAP) is over the keypoints.
"""

from __future__ import annotations

import numpy as np

from maskhand_ros.evaluation.uncertainty import Z68, Z95, coverage, nll_gain, within_keypoint_spearman


def average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    """Average precision of scores (N,), higher for what is `positive` (N,) bool; equal scores count together.
    NaN without a positive one."""
    if not positive.any():
        return float('nan')
    order = np.argsort(-score, kind='stable')
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(positive[order])[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1])


def f1_score(said: np.ndarray, true: np.ndarray) -> float:
    """F1 of what was said, bool (...), against what is true; NaN where both are empty."""
    total = said.sum() + true.sum()
    return float(2 * (said & true).sum() / total) if total else float('nan')


def visibility_figures(probability: np.ndarray, visible: np.ndarray) -> dict[str, float]:
    """Figures of probabilities (N, 21) that keypoints are visible, against `visible` (N, 21) bool; F1 at a
    half."""
    said, report = probability >= 0.5, {'visible_share': float(visible.mean())}
    for name, score, chosen, true in (
        ('visible', probability, said, visible),
        ('hidden', 1 - probability, ~said, ~visible),
    ):
        each = [average_precision(score[:, k], true[:, k]) for k in range(score.shape[1])]
        report[f'{name}_map'] = float(np.nanmean(each))
        report[f'{name}_f1'] = f1_score(chosen, true)
    return report


def variance_figures(off: np.ndarray, stddev: np.ndarray, visible: np.ndarray) -> dict[str, float]:
    """Figures of standard deviations (N, 21) per axis of landmarks that lie `off` (N, 21, 2) the truth, both
    px: of all, of the `visible` ones (N, 21) bool, and of the others."""
    report: dict[str, float] = {}
    both, distance = np.repeat(stddev[..., None], 2, -1), np.linalg.norm(off, axis=-1)
    for name, mask in (('all', np.ones_like(visible)), ('visible', visible), ('hidden', ~visible)):
        if not mask.any():
            continue
        ratio = (off / both)[mask]
        report[f'{name}_landmark_error_px'] = float(distance[mask].mean())
        report[f'{name}_landmark_stddev_px'] = float(np.sqrt(np.square(stddev[mask]).mean()))
        report[f'{name}_coverage_68'] = coverage(ratio, Z68)
        report[f'{name}_coverage_95'] = coverage(ratio, Z95)
        report[f'{name}_within_keypoint_spearman'] = within_keypoint_spearman(stddev, distance, mask)
        report[f'{name}_nll_gain_nats_per_axis'] = nll_gain(off, both, mask)
    return report
