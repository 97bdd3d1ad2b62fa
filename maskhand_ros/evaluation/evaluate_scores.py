"""Errors of one labelled hand, and figures of a source: means, counts, block-bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskhand_ros.evaluation import metrics
from maskhand_ros.evaluation.labels import Label
from maskhand_ros.evaluation.peer import PeerHand
from maskhand_ros.evaluation.uncertainty import (
    Z68,
    Z95,
    coverage,
    distance_stddev,
    error_by_decile,
    rank_auc,
    spearman,
)
from maskhand_ros.perception.calibration import CONFIDENCE_BELOW
from maskhand_ros.perception.types import Hand
from maskhand_ros.skeleton import CONVENTION_LIGHT

FIGURES_3D = ('pa_mpjpe_mm', 'pa15_mpjpe_mm', 'mpjpe_mm')
FIGURES = (*FIGURES_3D, 'err2d_over_box')


@dataclass
class Score:
    """What one labelled hand got; NaN where it cannot be measured."""

    found: bool
    wrong_side: bool = False
    pa_mpjpe_mm: float = math.nan
    pa15_mpjpe_mm: float = math.nan
    mpjpe_mm: float = math.nan
    err2d_over_box: float = math.nan
    relative: np.ndarray | None = None
    """(21,) 2D errors over the box: NaN not labelled, inf missed."""
    standardised: np.ndarray | None = None
    """(20, 3) errors from the wrist over their stated standard deviation: two axes across the viewing ray,
    then along it; NaN where not labelled."""
    confidence: float = math.nan
    stated_mm: float = math.nan
    """The hand's mean keypoint error as its standard deviations state it."""


Case = tuple[str, Label, Hand | PeerHand | None, Score]
"""An image, a label in it, the hand found for it or None, and how good that is."""


def score_hand(label: Label, hand: Hand | PeerHand | None) -> Score:
    """The Score of one label against its hand (a Hand or a PeerHand), or against nothing."""
    seen = None if label.points_px is None else np.isfinite(label.points_px).all(1)
    if hand is None:
        return Score(False, relative=None if seen is None else np.where(seen, np.inf, np.nan))
    score = Score(True, wrong_side=label.side is not None and str(hand.side) != label.side)
    if seen is not None and seen.any():
        score.relative = metrics.relative_errors_2d(hand.keypoints_px, label.points_px, seen)
        score.err2d_over_box = float(np.nanmean(score.relative))
    if label.points is not None:
        predicted = hand.keypoints_wrist @ hand.wrist_rotation.T  # camera axes; the root is taken out anyway
        for figure, value in errors_3d(predicted, label.points).items():
            setattr(score, figure, value)
        if np.isfinite(label.points[0]).all() and isinstance(hand, Hand):
            score.standardised = standardised_errors(predicted, label.points, hand)
            score.confidence = hand.confidence
            stddev = np.stack([hand.keypoint_stddev, hand.keypoint_stddev_depth], 1)
            score.stated_mm = 1000 * float(distance_stddev(stddev[1:]).mean())
    return score


def errors_3d(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """{figure of Score: mm} of predicted and true points (21, 3) metres, along the same axes; NaN in `truth`
    where not labelled. A figure that cannot be measured is left out."""
    known = np.isfinite(truth).all(1)
    light = np.intersect1d(CONVENTION_LIGHT, np.flatnonzero(known))
    errors = {}
    if known.sum() >= 4:
        errors['pa_mpjpe_mm'] = 1000 * metrics.pa_mpjpe(predicted[known], truth[known])
    if len(light) >= 4:
        errors['pa15_mpjpe_mm'] = 1000 * metrics.pa_mpjpe(predicted[light], truth[light])
    if known[0]:
        errors['mpjpe_mm'] = 1000 * metrics.mpjpe(predicted[known], truth[known])
    return errors


def with_misses(
    scored: Sequence[tuple[Label, Score]], mean_hands: Mapping[str | None, np.ndarray]
) -> dict[str, float | None]:
    """Means (mm) of the 3D figures over all labels, a missed hand scored as the mean hand of its side;
    `mean_hands` {side: (21, 3) metres, image's axes}."""
    values: dict[str, list[float]] = {figure: [] for figure in FIGURES_3D}
    for label, score in scored:
        if label.points is None:
            continue
        errors = vars(score) if score.found else errors_3d(mean_hands[label.side], label.points)
        for figure in FIGURES_3D:
            values[figure].append(errors.get(figure, math.nan))
    finite = {figure: [v for v in part if math.isfinite(v)] for figure, part in values.items()}
    return {figure: float(np.mean(part)) if part else None for figure, part in finite.items()}


def standardised_errors(predicted: np.ndarray, truth: np.ndarray, hand: Hand) -> np.ndarray:
    """Score.standardised of predicted and true points (21, 3), camera axes, against the Hand's deviations."""
    ray = np.nanmean(truth, 0)
    z = ray / np.linalg.norm(ray)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    error = (predicted - predicted[0] - truth + truth[0]) @ np.stack([x, np.cross(z, x), z], 1)
    stddev = np.stack([hand.keypoint_stddev, hand.keypoint_stddev, hand.keypoint_stddev_depth], 1)
    return (error / stddev)[1:]


def blocks_of(labels: Iterable[Label]) -> list[str]:
    """Names of the motions (N,) that labels belong to; an image in no sequence stands alone."""
    return [
        f'sequence {label.sequence}' if label.sequence is not None else f'alone {number}'
        for number, label in enumerate(labels)
    ]


def summarise(
    scored: Sequence[tuple[Label, Score]], mean_hands: Mapping[str | None, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Figures of each source of (Label, Score) pairs: {source: {hands, found, missed, wrong_side, ..., pck,
    interval95, with_misses, uncertainty}}. `mean_hands` as in `with_misses`."""
    report = {}
    for source in dict.fromkeys(label.source for label, _ in scored):
        rows = [(label, score) for label, score in scored if label.source == source]
        report[source] = {**_figures(rows), 'with_misses': with_misses(rows, mean_hands)}
    return report


def _figures(rows: Sequence[tuple[Label, Score]]) -> dict[str, Any]:
    labels, scores = zip(*rows, strict=True)
    found = sum(score.found for score in scores)
    entry = {
        'hands': len(rows),
        'found': found,
        'missed': len(rows) - found,
        'wrong_side': sum(score.wrong_side for score in scores),
    }
    intervals = {}
    for figure in FIGURES:
        values = np.array([getattr(score, figure) for score in scores])
        finite = values[np.isfinite(values)]
        entry[figure] = float(finite.mean()) if len(finite) else None
        interval = metrics.block_bootstrap(values, blocks_of(labels))
        if interval:
            intervals[figure] = interval
    relative = [score.relative for score in scores if score.relative is not None]
    entry['pck'] = {f'{t:.2f}': v for t, v in metrics.pck(np.stack(relative)).items()} if relative else None
    entry['interval95'] = intervals or None
    entry['uncertainty'] = _uncertainty([score for score in scores if score.standardised is not None])
    return entry


def _uncertainty(scores: Sequence[Score]) -> dict[str, Any] | None:
    """What the stated uncertainty is worth: shares of the true keypoints inside the stated 68 and 95 %
    intervals by axis, rank correlation with the error hand by hand, mean confidence beside the share of hands
    that it speaks of (error below 20 mm), how well it ranks these, mean errors by decile of it. None without
    any."""
    values = np.concatenate([np.empty((0, 3)), *(score.standardised for score in scores)])
    values = values[np.isfinite(values).all(1)]
    if not len(values):
        return None
    parts = {'lateral': values[:, :2], 'depth': values[:, 2]}
    error, stated, confidence = (
        np.array([getattr(score, name) for score in scores])
        for name in ('mpjpe_mm', 'stated_mm', 'confidence')
    )
    return {
        'coverage': {
            axis: {'68': coverage(part, Z68), '95': coverage(part, Z95)} for axis, part in parts.items()
        },
        'hand_spearman': spearman(stated, error),
        'confidence': float(confidence.mean()),
        'share_below_20_mm': float((error < 1000 * CONFIDENCE_BELOW).mean()),
        'confidence_auc': rank_auc(confidence, error < 1000 * CONFIDENCE_BELOW),
        'error_by_confidence_decile_mm': error_by_decile(confidence, error),
    }


def differences(
    ours: Sequence[tuple[Label, Score]], peers: Sequence[tuple[Label, Score]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Paired differences, ours - the peer's, over the hands that both found: {source: {figure: {mean,
    interval95, hands}}}. `ours` and `peers` are (Label, Score) pairs of the same labels in the same order.

    The interval is a block bootstrap of the differences themselves: what both find hard cancels.
    """
    report: dict[str, dict[str, dict[str, Any]]] = {}
    for source in dict.fromkeys(label.source for label, _ in ours):
        pairs = [
            (label, score, peer)
            for (label, score), (_, peer) in zip(ours, peers, strict=True)
            if label.source == source
        ]
        names = blocks_of([label for label, _, _ in pairs])
        report[source] = {}
        for figure in FIGURES:
            gap = np.array([getattr(score, figure) - getattr(peer, figure) for _, score, peer in pairs])
            finite = np.isfinite(gap)
            if finite.any():
                report[source][figure] = {
                    'mean': float(gap[finite].mean()),
                    'interval95': metrics.block_bootstrap(gap, names),
                    'hands': int(finite.sum()),
                }
    return report
