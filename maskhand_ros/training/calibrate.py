"""Calibrate an exported model on rendered hands of a split of their own, and write that into its model.json.

    maskhand train calibrate --data shards --weights DIR

Fits one factor for each keypoint and each of {lateral, depth} to the predicted standard deviations, one power
for all, and the hand's confidence: the probability that its mean keypoint error, from the wrist, is below
20 mm once it is fitted to its landmarks, by the deviations, the presence and the misfit that the fit leaves.
Whether the spread of sampled hypotheses is worth its time is measured: fitted on one half of the
hands, judged on the other.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from maskhand_ros.cli_arguments import whole
from maskhand_ros.evaluation.placed_shards import PlacedShards
from maskhand_ros.evaluation.uncertainty import (
    Z68,
    Z95,
    axes_stddev,
    coverage,
    distance_stddev,
    gaussian_nll,
    rank_auc,
    spearman,
    within_keypoint_spearman,
)
from maskhand_ros.evaluation.uncertainty_predictions import Predictions, collect

from ..hand_model.numpy_hand import HandModel
from ..perception.calibration import CONFIDENCE_BELOW, Calibration, confidence_features, misfit_features
from ..perception.device import Device
from ..perception.reconstructor import Reconstructor

WORTH = 0.02
"""Nats per axis that samples must gain over the variance head to become the default: they cost a decoding of
three steps each, at every frame."""
POWERS = np.arange(0.7, 1.51, 0.05)
"""Of the deviations, tried one by one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train calibrate`."""
    parser.add_argument('--data', type=Path, required=True, help='folder of shards')
    parser.add_argument('--weights', type=Path, required=True, help='folder of the exported model')
    parser.add_argument('--split', default='cal', help='hands to calibrate on (default cal)')
    parser.add_argument('--limit', type=whole(1), default=5000, help='how many of them (default 5000)')
    parser.add_argument(
        '--samples', type=whole(0), default=8, help='hypotheses whose spread is tried; 0: none (default 8)'
    )
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda', 'tensorrt'))
    parser.add_argument('--threads', type=whole(1), default=1)


def fit_factors(errors: np.ndarray, stddev: np.ndarray) -> np.ndarray:
    """Factors (21, 2) for stddev (N, 21, 2), given errors (N, 21, 3) from the wrist.

    The geometric mean of the factors that make the 68 % and the 95 % interval hold what they say: errors have
    heavier tails than a Gaussian, and the most likely factor would fit the tails alone. The wrist is the
    origin and keeps 1.
    """
    ratios = np.abs(errors[:, 1:]) / axes_stddev(stddev[:, 1:])
    both = np.concatenate([ratios[..., 0], ratios[..., 1]])
    factors = np.ones((21, 2))
    for axis, ratio in enumerate((both, ratios[..., 2])):
        middle, tail = np.quantile(ratio, (0.68, 0.95), axis=0)
        factors[1:, axis] = np.sqrt(middle / Z68 * tail / Z95)
    return np.maximum(factors, 1e-3)


def fit_logistic(
    features: np.ndarray, outcome: np.ndarray, ridge: float = 1e-3, steps: int = 50
) -> np.ndarray:
    """Weights (F,) of features (N, F) for the probability of outcome (N,) bool, by Newton's method."""
    weights = np.zeros(features.shape[1])
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        gradient = features.T @ (outcome - probability) - ridge * weights
        curvature = (features * (probability * (1 - probability))[:, None]).T @ features
        change = np.linalg.solve(curvature + ridge * np.eye(len(weights)), gradient)
        weights = weights + change
        if np.abs(change).max() < 1e-8:
            break
    return weights


def fit(hands: Predictions, samples: int = 0) -> Calibration:
    """The Calibration of uncalibrated Predictions; `samples` > 0 adds the spread of their hypotheses."""
    scaled = min((_scaled(hands, samples, power) for power in POWERS), key=lambda each: each[1])[0]
    stddev = scaled.stddev(hands.stddev, hands.samples)
    features = confidence_features(stddev, hands.presence)
    good = hand_errors(hands) < CONFIDENCE_BELOW
    if hands.misfit is None:
        return replace(scaled, confidence=fit_logistic(features, good))
    weights = fit_logistic(np.concatenate([features, misfit_features(hands.misfit)], 1), good)
    return replace(scaled, confidence=weights[: features.shape[1]], misfit=weights[features.shape[1] :])


def _scaled(hands: Predictions, samples: int, power: float) -> tuple[Calibration, float]:
    """The Calibration with the factors that suit `power`, without confidence, and its nats per axis."""
    raw = replace(Calibration.identity(), samples=samples, power=float(power))
    factors = fit_factors(hands.error, raw.stddev(hands.stddev, hands.samples))
    scaled = replace(raw, lateral=factors[:, 0], depth=factors[:, 1])
    spread = axes_stddev(scaled.stddev(hands.stddev, hands.samples)[:, 1:])
    return scaled, float(gaussian_nll(hands.error[:, 1:], spread).mean())


def hand_errors(hands: Predictions) -> np.ndarray:
    """Mean keypoint error (N,) from the wrist, metres, the wrist included: the root-aligned MPJPE, of the
    published hands if they were placed."""
    error = hands.error if hands.published_error is None else hands.published_error
    return np.linalg.norm(error, axis=-1).mean(1)


def reliability(probability: np.ndarray, outcome: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: mean gap between stated and observed share over bins of equal count."""
    order = np.array_split(np.argsort(probability, kind='stable'), bins)
    gaps = [abs(probability[rows].mean() - outcome[rows].mean()) * len(rows) for rows in order if len(rows)]
    return float(sum(gaps) / len(probability))


def judge(calibration: Calibration, hands: Predictions) -> dict[str, float]:
    """How the calibrated uncertainty does on uncalibrated Predictions that it was not fitted to."""
    stddev = calibration.stddev(hands.stddev, hands.samples)
    error, spread = hands.error[:, 1:], axes_stddev(stddev[:, 1:])
    distance, stated, ratio = np.linalg.norm(error, axis=-1), distance_stddev(stddev[:, 1:]), error / spread
    confidence = calibration.probability(stddev, hands.presence)
    if hands.misfit is not None:
        confidence = calibration.after_fit(confidence, hands.misfit)
    good = hand_errors(hands) < CONFIDENCE_BELOW
    return {
        'nll_nats_per_axis': float(gaussian_nll(error, spread).mean()),
        'hand_spearman': spearman(stated.mean(1), distance.mean(1)),
        'within_keypoint_spearman': within_keypoint_spearman(stated, distance),
        'lateral_coverage_68': coverage(ratio[..., :2], Z68),
        'lateral_coverage_95': coverage(ratio[..., :2], Z95),
        'depth_coverage_68': coverage(ratio[..., 2], Z68),
        'depth_coverage_95': coverage(ratio[..., 2], Z95),
        'confidence_spearman': spearman(-confidence, hand_errors(hands)),
        'confidence_auc': rank_auc(confidence, good),
        'confidence_calibration_error': reliability(confidence, good),
    }


def choose(hands: Predictions) -> tuple[Calibration, dict[str, dict[str, float]]]:
    """The Calibration to ship, fitted to all hands, and what each candidate got on the half not seen."""
    even, odd = hands.rows(slice(0, None, 2)), hands.rows(slice(1, None, 2))
    candidates = {'head': 0}
    if hands.samples is not None and len(hands.samples) > 1:
        candidates[f'head + {len(hands.samples)} samples'] = len(hands.samples)
    results = {name: judge(fit(even, samples), odd) for name, samples in candidates.items()}
    scores = {name: result['nll_nats_per_axis'] for name, result in results.items()}
    best = min(scores, key=lambda name: scores[name])
    return fit(hands, candidates[best] if scores['head'] - scores[best] >= WORTH else 0), results


def run(args: argparse.Namespace) -> int:
    """Fit, print what was measured, write model.json."""
    reconstructor = Reconstructor(
        args.weights, HandModel.load(), Device(args.device, args.threads), hypotheses=args.samples
    )
    reconstructor.calibration = Calibration.identity()
    place = PlacedShards(reconstructor.hand_model, HandModel.load(None, 'mediapipe'))
    hands = collect(reconstructor, args.data, args.split, args.limit, place=place)
    calibration, results = choose(hands)
    print(f'{"on the other half":32}' + ''.join(f'{name:>20}' for name in results))
    for measure in results['head']:
        print(f'{measure:32}' + ''.join(f'{result[measure]:20.3f}' for result in results.values()))
    print(f'chosen: {"the head alone" if not calibration.samples else f"with {calibration.samples} samples"}')
    index = args.weights / 'model.json'
    description = json.loads(index.read_text())
    description['calibration'] = {
        **calibration.to_json(),
        'split': args.split,
        'hands': len(hands.truth),
        'held_out': results,
    }
    partial = index.with_suffix('.part')
    partial.write_text(json.dumps(description, indent=2) + '\n')
    os.replace(partial, index)
    print(f'written to {index}')
    return 0
