"""The uncertainty of a split in numbers: of all keypoints, and of the visible and occluded ones apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskhand_ros.evaluation.metrics import block_bootstrap
from maskhand_ros.evaluation.uncertainty import (
    Z68,
    Z95,
    axes_stddev,
    best_of,
    coverage,
    distance_stddev,
    energy_score,
    error_without_least_certain,
    gaussian_samples,
    hand_energy_score,
    nll_gain,
    spearman,
    within_keypoint_spearman,
)
from maskhand_ros.evaluation.uncertainty_predictions import Predictions

_DEALS = 20
"""How often errors are dealt out anew."""


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """95 % bootstrap interval of the mean of values (N,) of hands drawn independently; None if N < 2."""
    return block_bootstrap(values, np.zeros(len(values)), block=1)


def hand_level(hands: Predictions) -> dict[str, float]:
    """Does the stated uncertainty of a hand tell how wrong it is: rank correlations, and the mean error, mm,
    without the least certain 20 % of hands."""
    error = 1e3 * np.linalg.norm(hands.error[:, 1:], axis=-1).mean(1)
    stated = distance_stddev(hands.stddev[:, 1:]).mean(1)
    kept = error_without_least_certain(error, stated)
    return {
        'hand_spearman': spearman(stated, error),
        'confidence_spearman': spearman(-hands.confidence, error),
        'error_mm': float(error.mean()),
        'error_without_20_mm': kept,
        'cut_by_dropping_20': float(1 - kept / error.mean()),
    }


def attainable(hands: Predictions, seed: int = 0) -> dict[str, float]:
    """The rank correlations that the stated deviations would have if they were all that tells the hands
    apart: means over deals of the errors, in units of their deviations, to other hands, each hand's together.

    An error is a draw: even true deviations rank hands the less, the less they differ.
    """
    rng, stddev = np.random.default_rng(seed), hands.stddev[:, 1:]
    spread, stated = axes_stddev(stddev), distance_stddev(stddev)
    ratio = hands.error[:, 1:] / spread
    of_hands, of_keypoints = [], []
    for _ in range(_DEALS):
        error = np.linalg.norm(rng.permutation(ratio) * spread, axis=-1)
        of_hands.append(spearman(stated.mean(1), error.mean(1)))
        of_keypoints.append(within_keypoint_spearman(stated, error))
    return {
        'hand_spearman_attainable': float(np.mean(of_hands)),
        'all_within_keypoint_spearman_attainable': float(np.mean(of_keypoints)),
    }


def keypoint_level(hands: Predictions, mask: np.ndarray) -> dict[str, float]:
    """Scores of the stated deviations of the keypoints in mask (N, 20), the wrist left out."""
    error, stddev = hands.error[:, 1:], hands.stddev[:, 1:]
    spread = axes_stddev(stddev)
    ratio = (error / spread)[mask]
    scores = {
        'keypoints': int(mask.sum()),
        'within_keypoint_spearman': within_keypoint_spearman(
            distance_stddev(stddev), np.linalg.norm(error, axis=-1), mask
        ),
        'nll_gain_nats_per_axis': nll_gain(error, spread, mask),
    }
    for axis, part in (('lateral', ratio[:, :2]), ('depth', ratio[:, 2])):
        scores[f'{axis}_coverage_68'] = coverage(part, Z68)
        scores[f'{axis}_coverage_95'] = coverage(part, Z95)
    return scores


def hypotheses_against_gaussian(hands: Predictions, mask: np.ndarray, seed: int = 0) -> dict:
    """The model's hypotheses against as many draws of a Gaussian with its mean and deviations, over the
    keypoints in mask (N, 20), mm; gains are shares of the Gaussian's figure, positive where the hypotheses
    are better, with paired intervals.

    The Gaussian draws each keypoint on its own, as a regressor with a variance head does. Everything is
    therefore scored twice: hand by hand, which favours hands that are drawn whole, and keypoint by keypoint,
    which favours spread.
    """
    samples, truth = 1e3 * hands.samples[:, :, 1:].astype(float), 1e3 * hands.truth[:, 1:]
    drawn = gaussian_samples(
        1e3 * hands.keypoints[:, 1:], 1e3 * hands.stddev[:, 1:], len(samples), np.random.default_rng(seed)
    )
    nearest = [np.linalg.norm(draws - truth, axis=-1).min(0) for draws in (samples, drawn)]
    pairs = {
        'energy_score_hands': [hand_energy_score(draws, truth, mask) for draws in (samples, drawn)],
        'energy_score_keypoints': [
            _hand_means(energy_score(draws, truth), mask) for draws in (samples, drawn)
        ],
        f'best_of_{len(samples)}_hands': [best_of(draws, truth, mask) for draws in (samples, drawn)],
        f'best_of_{len(samples)}_keypoints': [_hand_means(values, mask) for values in nearest],
    }
    report: dict[str, float | list[float]] = {}
    for name, (ours, gaussian) in pairs.items():
        scale = np.nanmean(gaussian)
        low, high = interval(gaussian - ours) or (np.nan, np.nan)
        report[f'{name}_mm'] = float(np.nanmean(ours))
        report[f'{name}_gaussian_mm'] = float(scale)
        report[f'{name}_gain'] = float(np.nanmean(gaussian - ours) / scale)
        report[f'{name}_gain_interval95'] = [float(low / scale), float(high / scale)]
    return report


def _hand_means(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean (N,) of values (N, K) over mask; NaN for a hand without."""
    counts = mask.sum(1)
    return np.where(counts > 0, np.where(mask, values, 0).sum(1) / np.maximum(counts, 1), np.nan)


def iteration_differences(hands: Predictions, measure: str, iterations: Sequence[int]) -> dict:
    """Errors of decoding in T steps less those in one, of the same estimator on the same hands."""
    report: dict[str, float | list[float]] = {}
    for steps in iterations:
        gap = hands.errors[f'{measure}@{steps}'] - hands.errors[f'{measure}@1']
        report[f'{measure}@{steps}'] = float(hands.errors[f'{measure}@{steps}'].mean())
        if steps != 1:
            report[f'{measure}@{steps}_less_@1'] = float(gap.mean())
            report[f'{measure}@{steps}_less_@1_interval95'] = list(interval(gap) or ())
    return report


def keypoint_groups(hands: Predictions) -> dict[str, np.ndarray]:
    """Masks (N, 20) of the keypoints but the wrist: all, and where shards say it, visible and occluded."""
    groups = {'all': np.ones(hands.error[:, 1:].shape[:2], bool)}
    if hands.visible is not None:
        groups.update(visible=hands.visible[:, 1:], occluded=~hands.visible[:, 1:])
    return {name: mask for name, mask in groups.items() if mask.any()}


def report_on(hands: Predictions, iterations: Sequence[int] = ()) -> dict:
    """{figure: number or interval} of a split; those of a group of keypoints start with its name."""
    report = {'samples': len(hands.truth), **hand_level(hands), **attainable(hands)}
    for name, mask in keypoint_groups(hands).items():
        scores = keypoint_level(hands, mask)
        if hands.samples is not None:
            scores.update(hypotheses_against_gaussian(hands, mask))
        report.update({f'{name}_{figure}': value for figure, value in scores.items()})
    for measure in ('pa_mpjpe_mm', 'mpjpe_mm'):
        report.update(iteration_differences(hands, measure, iterations))
    return report
