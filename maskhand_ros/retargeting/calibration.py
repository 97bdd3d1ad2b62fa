"""Calibration of the scaling: lengths of the operator's flat hand, held still for a second."""

from __future__ import annotations

import numpy as np

from maskhand_ros.errors import FieldError
from maskhand_ros.skeleton import FINGERS

LEAST_FRAMES = 15
STRAIGHT = 0.93
"""Least distance from knuckle to tip over the length of the bones between, of a flat finger."""
STEADY = 0.008
"""Largest standard deviation of a fingertip, m, of a hand held still."""


def flat_hand(frames: np.ndarray) -> np.ndarray:
    """Mean keypoints (21, 3) of `frames` (T, 21, 3), wrist frame, metres. FieldError that says what to do
    where they are too few, the hand is not flat, or not still."""
    frames = np.asarray(frames, float)
    if frames.ndim != 3 or frames.shape[1:] != (21, 3) or not np.isfinite(frames).all():
        raise FieldError(f'calibration frames have shape {frames.shape}', 'give finite (T, 21, 3)')
    if len(frames) < LEAST_FRAMES:
        raise FieldError(
            f'only {len(frames)} frames with a hand', 'hold the hand flat, in view, for one second'
        )
    mean = frames.mean(0)
    unrest = np.linalg.norm(frames.std(0), axis=-1)
    unsteady = [name for k, name in enumerate(FINGERS) if unrest[4 * k + 4] > STEADY]
    if unsteady:
        raise FieldError(f'the {", ".join(unsteady)} moved', 'hold the hand still for one second')
    bent = [name for k, name in enumerate(FINGERS) if k and _straightness(mean, k) < STRAIGHT]
    if bent:
        raise FieldError(f'the {", ".join(bent)} finger is bent', 'hold the hand flat, fingers straight')
    return mean


def length_along(keypoints: np.ndarray, start: int, end: int) -> float:
    """Length from keypoint `start` to `end`, m, along the bones of the finger of `end`, from the wrist too:
    what it is on a straight finger. Between two fingers the distance."""
    finger = [0, *range(4 * ((end - 1) // 4) + 1, end + 1)]
    way = finger[finger.index(start) :] if start in finger else [start, end]
    return float(np.linalg.norm(np.diff(keypoints[way], axis=0), axis=1).sum())


def _straightness(keypoints: np.ndarray, finger: int) -> float:
    chain = keypoints[4 * finger + 1 : 4 * finger + 5]
    return float(np.linalg.norm(chain[-1] - chain[0]) / np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())
