"""Hand pose metrics as the literature defines them; numpy only. Lengths come out in the unit that goes in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskhand_ros.geometry import procrustes_align, tight_box

PCK_THRESHOLDS = (0.05, 0.10, 0.15)
"""Fractions of the longer side of the hand's box (HInt, Pavlakos et al. 2024)."""


def keypoint_errors(predicted: np.ndarray, truth: np.ndarray, root: int | None = None) -> np.ndarray:
    """Distances (N,) between points (N, 3); both are moved first so that their `root` is the origin."""
    predicted, truth = np.asarray(predicted, float), np.asarray(truth, float)
    if root is not None:
        predicted, truth = predicted - predicted[root], truth - truth[root]
    return np.linalg.norm(predicted - truth, axis=-1)


def mpjpe(predicted: np.ndarray, truth: np.ndarray, root: int = 0) -> float:
    """Mean distance of points (N, 3) after the roots coincide; no rotation or scale is taken out."""
    return float(keypoint_errors(predicted, truth, root).mean())


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of points (N, 3) after the similarity (det +1) that brings them nearest; needs N >= 3."""
    return float(keypoint_errors(procrustes_align(predicted, truth), truth).mean())


def freihand_align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity of source (N, 3) that is nearest to target (N, 3), as FreiHAND's eval.py has it.

    HO-3D and DexYCB use the same script. Unlike `procrustes_align` it may mirror, so that its errors are
    never larger.
    """
    source, target = np.asarray(source, float), np.asarray(target, float)
    centred, goal = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(centred.T @ goal)
    return s.sum() / max((centred**2).sum(), 1e-12) * centred @ u @ vt + target.mean(0)


def scale_translation_align(
    source: np.ndarray, target: np.ndarray, root: int = 0, end: int = 9
) -> np.ndarray:
    """Source (N, 3) moved and scaled so that `root` and its distance to `end` are target's (HO-3D's eval.py:
    wrist and middle MCP)."""
    source, target = np.asarray(source, float), np.asarray(target, float)
    length = np.linalg.norm(source[end] - source[root])
    scale = np.linalg.norm(target[end] - target[root]) / max(length, 1e-12)
    return scale * (source - source[root]) + target[root]


def known_root_and_scale(
    predicted: np.ndarray,
    pixels: np.ndarray,
    K: np.ndarray,
    root_depth: float,
    bone_length: float,
    root: int = 0,
    bone: tuple[int, int] = (9, 10),
) -> np.ndarray:
    """Points (N, 3) in the camera frame of a prediction that is told the root's depth and one bone's length.

    So Ge et al. (2019) measure: `predicted` (N, 3) gives depths relative to the root, scaled so that `bone`
    has `bone_length`; `pixels` (N, 2) and K (3, 3) give the rest.
    """
    predicted, pixels, K = (np.asarray(part, float) for part in (predicted, pixels, K))
    scale = bone_length / max(float(np.linalg.norm(predicted[bone[1]] - predicted[bone[0]])), 1e-12)
    depths = root_depth + scale * (predicted[:, 2] - predicted[root, 2])
    return np.column_stack([(pixels - K[:2, 2]) / K[[0, 1], [0, 1]] * depths[:, None], depths])


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (x, y, w, h); 0 where they do not meet."""
    low = np.maximum(a[:2], b[:2])
    high = np.minimum(np.add(a[:2], a[2:]), np.add(b[:2], b[2:]))
    overlap = np.prod(np.maximum(high - low, 0))
    return float(overlap / max(a[2] * a[3] + b[2] * b[3] - overlap, 1e-9))


def relative_errors_2d(
    predicted_px: np.ndarray, truth_px: np.ndarray, valid: np.ndarray | None = None, side: float | None = None
) -> np.ndarray:
    """Pixel errors (N,) over `side` px, by default the longer side of the box around the valid true points;
    NaN where not valid.

    The longer side is at least one pixel, so that a single valid point gives no division by zero.
    """
    truth_px = np.asarray(truth_px, float)
    valid = np.ones(len(truth_px), bool) if valid is None else np.asarray(valid, bool)
    if not valid.any():
        return np.full(len(truth_px), np.nan)
    side = max(tight_box(truth_px[valid])[2:].max() if side is None else side, 1.0)
    errors = np.linalg.norm(np.asarray(predicted_px, float) - truth_px, axis=-1) / side
    return np.where(valid, errors, np.nan)


def pck(relative_errors: np.ndarray, thresholds: Sequence[float] = PCK_THRESHOLDS) -> dict[float, float]:
    """Share of keypoints within each threshold: per keypoint over all hands, then the mean over keypoints.

    relative_errors: (H, 21), NaN = not labelled, inf = labelled but the hand was missed (counts as wrong).
    Returns {threshold: share}; NaN where nothing is labelled.
    """
    errors = np.asarray(relative_errors, float).reshape(len(relative_errors), -1)
    labelled = ~np.isnan(errors)
    seen = labelled.any(0)
    if not seen.any():
        return {threshold: float('nan') for threshold in thresholds}
    counts = labelled.sum(0)[seen]
    return {
        threshold: float(((errors <= threshold).sum(0)[seen] / counts).mean()) for threshold in thresholds
    }


def f_score(predicted: np.ndarray, truth: np.ndarray, distance: float) -> float:
    """Harmonic mean of the shares of each point set (N, 3), (M, 3) nearer than `distance` to the other."""
    predicted, truth = np.asarray(predicted, float), np.asarray(truth, float)
    centre = truth.mean(0)  # small numbers keep the expanded square exact
    a, b = predicted - centre, truth - centre
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    precision = float((squared.min(1) < distance**2).mean())
    recall = float((squared.min(0) < distance**2).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def auc(errors: np.ndarray, limit: float, steps: int = 100) -> float:
    """Area under the share-within-threshold curve of errors (N,) from 0 to `limit`, as a share: 1 is best."""
    thresholds = np.linspace(0, limit, steps)
    curve = (np.asarray(errors, float).ravel()[:, None] <= thresholds).mean(0)
    return float((curve[1:] + curve[:-1]).sum() / 2 / (steps - 1))


def mean_over_points(errors: np.ndarray) -> float:
    """Mean of the points' means of errors (H, N), NaN = not labelled; points that never are stay out."""
    errors = np.asarray(errors, float)
    errors = errors[:, ~np.isnan(errors).all(0)]
    return float(np.nanmean(errors, 0).mean()) if errors.size else float('nan')


def mean_auc(errors: np.ndarray, limit: float, steps: int = 100) -> float:
    """Mean over points of `auc` of errors (H, N), NaN = not labelled, as FreiHAND's EvalUtil has it."""
    columns = np.asarray(errors, float).T
    areas = [auc(column[~np.isnan(column)], limit, steps) for column in columns if not np.isnan(column).all()]
    return float(np.mean(areas)) if areas else float('nan')


def block_bootstrap(
    values: np.ndarray,
    sequences: Sequence[str] | np.ndarray,
    block: int | None = None,
    rounds: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Interval (low, high) of the mean of values (N,), where neighbours in a sequence resemble each other.

    values are in motion order within each of `sequences` (N,) names. Whole blocks of consecutive values are
    drawn with replacement, because single images of one motion are not independent and would give an
    interval that is too narrow. block: length, default ceil(sqrt(N)) but at most the longest sequence; NaN
    values are left out. None if N < 2.
    """
    values, names = np.asarray(values, float), np.asarray(sequences)
    keep = np.isfinite(values)
    values, names = values[keep], names[keep]
    if len(values) < 2:
        return None
    runs = [values[names == name] for name in dict.fromkeys(names.tolist())]
    length = block or int(np.ceil(np.sqrt(len(values))))
    length = min(length, max(len(run) for run in runs))
    # Circular within a sequence, so that its ends are drawn as often as its middle; short ones are a block
    # as they are.
    blocks = [
        np.take(run, range(start, start + min(length, len(run))), mode='wrap')
        for run in runs
        for start in range(len(run))
    ]
    sums = np.array([b.sum() for b in blocks])
    sizes = np.array([len(b) for b in blocks])
    draws = np.random.default_rng(seed).integers(
        len(blocks), size=(rounds, int(np.ceil(len(values) / sizes.mean())))
    )
    means = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
