"""MediaPipe's 21 keypoints, moved to the definition of another keypoint set.

Data sets put keypoints at different places on a hand, which alone costs some millimetres. So that the peer
has the same choice of keypoint set as we do, its points are moved by what the sets `mediapipe` and the chosen
one differ by on our hand model: a fixed offset for each keypoint, in the frame of its bone and in units of
the palm's length, the mean over sampled poses. Nothing of an evaluation set enters.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import FINGERS, TIP_KEYPOINTS

POSES = 1000
_MIRROR = np.array([-1.0, 1.0, 1.0])
_ON_PALM = (0, *(tip - 3 for tip in TIP_KEYPOINTS))
_INDEX, _MIDDLE, _LITTLE = (4 * FINGERS.index(finger) + 1 for finger in ('index', 'middle', 'little'))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Frames (..., 3, 3), axes as columns: x along `first`, z across both (..., 3)."""
    x = _unit(first)
    z = _unit(np.cross(x, second))
    return np.stack([x, np.cross(z, x), z], -1)


def bone_frames(points: np.ndarray) -> np.ndarray:
    """A frame (N, 21, 3, 3) at each keypoint of right hands (N, 21, 3), made from the keypoints alone.

    Wrist and the fingers' first joints: the palm's, x from the wrist to the middle MCP joint. The others: x
    along the bone that ends there; the second axis points across the palm, for the thumb out of its back.
    """
    across = points[:, _INDEX] - points[:, _LITTLE]
    palm = _frame(points[:, _MIDDLE] - points[:, 0], across)
    frames = np.empty((*points.shape, 3))
    for keypoint in range(21):
        second = palm[..., 2] if keypoint <= TIP_KEYPOINTS[0] else across
        frames[:, keypoint] = (
            palm if keypoint in _ON_PALM else _frame(points[:, keypoint] - points[:, keypoint - 1], second)
        )
    return frames


def _palm_length(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, _MIDDLE] - points[:, 0], axis=-1)[:, None, None]


class Redefinition:
    """Moves points of the set `mediapipe` to `keypoint_set` of the hand model at `path` (None: open hand)."""

    def __init__(self, keypoint_set: str, path: Path | str | None = None) -> None:
        from maskhand_ros.data_engine.poses import sample_poses

        start, goal = (HandModel.load(path, name) for name in ('mediapipe', keypoint_set))
        poses = sample_poses(HandModel.load(), POSES, np.random.default_rng(0))
        upright, betas = np.tile(np.eye(3), (POSES, 1, 1)), np.zeros((POSES, 10))
        points, wanted = (
            model(betas, upright, poses, vertices=False).keypoints.astype(float) for model in (start, goal)
        )
        offsets = np.einsum('nkji,nkj->nki', bone_frames(points), wanted - points) / _palm_length(points)
        self.offsets = offsets.mean(0)
        """(21, 3) in the bones' frames, in palm lengths."""

    def __call__(self, points: np.ndarray, left: bool = False) -> np.ndarray:
        """Points (21, 3), any unit and rotation, of a hand of either side, moved."""
        mirror = _MIRROR if left else np.ones(3)
        right = np.asarray(points, float)[None] * mirror
        shift = np.einsum('nkij,kj->nki', bone_frames(right), self.offsets) * _palm_length(right)
        return (right + shift)[0] * mirror

    def in_image(self, pixels: np.ndarray, points: np.ndarray, left: bool = False) -> np.ndarray:
        """Pixels (21, 2) moved likewise, by the weak perspective that maps `points` (21, 3) onto them."""
        flat, pixels = np.asarray(points, float)[:, :2], np.asarray(pixels, float)
        centred = flat - flat.mean(0)
        scale = np.sum(centred * (pixels - pixels.mean(0))) / max(np.sum(centred**2), 1e-12)
        return pixels + scale * (self(points, left)[:, :2] - flat)
