"""The other hand: palm to palm, folded, crossed, fingers between fingers, gripping, or beside."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.skeleton import KEYPOINT_EDGES

Points = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) and keypoints (21, 3) of a hand in one frame."""

_RADIUS = 0.0095
"""Metres of flesh around bones of fingers; 1.4 times that in the palm."""


def palm_frame(keypoints: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of a right hand as columns: to the fingers, out of its back, to the thumb."""
    fingers = keypoints[9] - keypoints[0]
    thumbwards = keypoints[5] - keypoints[17]
    back = np.cross(fingers, thumbwards)
    axes = np.stack([fingers, back, np.cross(back, -fingers)], 1)
    return axes / np.linalg.norm(axes, axis=0)


def _bones(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points along the bones (N, 3) and the flesh around them (N,)."""
    start, end = (keypoints[KEYPOINT_EDGES[:, side]] for side in (0, 1))
    share = np.array([0.25, 0.6, 1.0])[:, None, None]
    palm = np.isin(KEYPOINT_EDGES[:, 0], (0,))
    radius = np.where(palm, 1.4 * _RADIUS, _RADIUS)
    return (start + share * (end - start)).reshape(-1, 3), np.tile(radius, 3)


def _slide(first: np.ndarray, second: np.ndarray, along: np.ndarray) -> float:
    """How far (m) the keypoints `second` must go along the unit vector `along` to be clear of `first`, and
    just touch."""
    (a, of_a), (b, of_b) = _bones(first), _bones(second)
    apart, reach = b[:, None] - a, of_b[:, None] + of_a
    ahead = apart @ along
    square = reach**2 - (apart**2).sum(-1) + ahead**2
    hit = square > 0
    if not hit.any():
        return float(-ahead.min())
    return float((np.sqrt(square[hit]) - ahead[hit]).max())


def second_hand(hand: Points, other: Points, rng: np.random.Generator, touching: bool) -> Points:
    """A left hand that touches the right one `hand`, or is near it; made of `other`, a right hand in any
    frame, or of a mirror image of `hand`."""
    keypoints = hand[1]
    frame = palm_frame(keypoints)
    kind = rng.choice(4, p=(0.34, 0.36, 0.3, 0.0) if touching else (0, 0.1, 0.05, 0.85))
    source = hand if kind in (0, 2) and rng.random() < 0.5 else other
    of_source = palm_frame(source[1])
    local = tuple((points - source[1][0]) @ of_source for points in source)
    flip, turn, shift = _arrangement(int(kind), rng)
    placed = tuple((points * flip) @ turn.T for points in local)
    middle = placed[1][[0, 9]].mean(0)
    own = (keypoints[[0, 9]].mean(0) - keypoints[0]) @ frame
    placed = tuple(points - middle + own + shift for points in placed)
    if kind < 3:
        along = np.zeros(3)
        along[0 if kind == 2 else 1] = {0: -1.0, 1: rng.choice([-1.0, 1.0]), 2: 1.0}[int(kind)]
        gap = _slide((keypoints - keypoints[0]) @ frame, placed[1], along)
        inside = rng.uniform(0.0, 0.085) if kind == 2 else rng.uniform(0, 0.004)
        placed = tuple(points + along * (gap - inside) for points in placed)
    vertices, points = (points @ frame.T + keypoints[0] for points in placed)
    return vertices, points


def _arrangement(kind: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signs (3,) that make a left hand of a right one, its turn (3, 3) and shift (3,) in the palm's frame."""
    degrees, normal = np.pi / 180, rng.standard_normal
    turn: list[float] | np.ndarray
    if kind == 0:  # palm to palm, parallel or folded across
        about = 12 * normal() if rng.random() < 0.4 else rng.choice([-1, 1]) * rng.uniform(25, 100)
        turn, shift = [6 * normal(), about, 6 * normal()], 0.008 * normal(3)
        flip = np.array([1.0, -1, 1])
    elif kind == 1:  # one across the other, on its back, palm or wrist
        turn = [15 * normal(), rng.choice([-1, 1]) * rng.uniform(40, 140), 12 * normal()]
        shift = np.array([rng.uniform(-0.07, 0.05), 0, 0.015 * normal()])
        flip = np.array([1.0, 1, -1]) if rng.random() < 0.7 else np.array([1.0, -1, 1])
    elif kind == 2:  # fingers towards fingers, between them
        turn = [10 * normal(), 12 * normal(), rng.uniform(-15, 60)]
        shift = np.array([0.1, 0.006 * normal(), rng.choice([-1, 1]) * 0.012 + 0.003 * normal()])
        flip = np.array([-1.0, 1, 1])
    else:
        turn = 25 * normal(3)
        shift = np.array([0.03, 0.03, 0]) * normal(3) + [0, 0, rng.choice([-1, 1]) * rng.uniform(0.08, 0.16)]
        flip = np.array([1.0, 1, -1])
    return flip, rotvec_to_matrix(np.array([turn]) * degrees)[0], shift
