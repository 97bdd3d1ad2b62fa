"""Wrist positions of hands with a known skeleton, by where the image shows their keypoints."""

from __future__ import annotations

import numpy as np

from maskhand_ros.labelling.records import HandLabels
from maskhand_ros.perception.types import SCALE_DEPTH

MIN_DEPTH = 1e-3
"""Minimum depth of a point, metres."""
_LANDMARK_SIGMA = 0.003
"""Standard deviation of a landmark across the viewing ray, metres: 4 pixels of a crop."""


def placed(hands: list[HandLabels], relative: np.ndarray) -> np.ndarray:
    """Wrists (T, 3) m in the camera's frame of metric hands whose keypoints are `relative` (T, 21, 3) to the
    wrist, m. Where a depth camera has measured the distance, it is taken as it is."""
    keypoints = np.stack([np.asarray(hand.kp3d) for hand in hands])
    rays = keypoints[..., :2] / np.maximum(keypoints[..., 2:], MIN_DEPTH)
    stddev = np.stack([hand.kp_stddev[:, 0] for hand in hands])
    stddev[:, 0] = stddev[:, 1:].mean(1)  # relative to the wrist, so its own is 0
    by_image = _translation_onto(relative, rays, 1 / (_LANDMARK_SIGMA**2 + stddev**2))
    by_depth = np.array([hand.scale_source == SCALE_DEPTH for hand in hands])
    wrists = np.stack([np.asarray(hand.wrist_position) for hand in hands])
    return np.where(by_depth[:, None], wrists, by_image)


def _translation_onto(points: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Translations (T, 3) that bring points (T, K, 3) nearest to rays (T, K, 2) at z = 1: the solution of x +
    tx = ray (z + tz) with the least weighted squares, `weights` (T, K)."""
    weights = (weights / weights.sum(1, keepdims=True))[..., None]
    difference = rays * points[..., 2:] - points[..., :2]
    ray, centre = (weights * rays).sum(1), (weights * difference).sum(1)
    about = rays - ray[:, None]
    depth = -(weights * about * (difference - centre[:, None])).sum((1, 2))
    depth = np.maximum(depth / np.maximum((weights * about**2).sum((1, 2)), 1e-12), MIN_DEPTH)
    return np.concatenate([centre + ray * depth[:, None], depth[:, None]], 1)
