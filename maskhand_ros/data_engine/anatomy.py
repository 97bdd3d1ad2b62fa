"""Joint angles of a hand: axes measured on a model's rest pose, forward kinematics and contact of the thumb.

Angles come as (B, 5, 5) in radians. Fingers in joint order: index, middle, little, ring, thumb. Columns:
flexion of joint 1, 2, 3, then abduction and twist of joint 1. Flexion is absolute: 0 is straight (joint 1: in
the plane of the palm), positive bends towards the palm; the rest pose's own bend is measured and subtracted.
Abduction of the fingers is positive towards the thumb, measured from the middle of the hand; the thumb's is
positive out of the palm and counts from rest.
"""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import cross_matrix, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import TIP_KEYPOINTS

FINGER_TIPS = (*TIP_KEYPOINTS[1:3], TIP_KEYPOINTS[4], TIP_KEYPOINTS[3], TIP_KEYPOINTS[0])
"""Tip keypoints in joint order: index, middle, little, ring, thumb."""

THUMB = 4
_DORSAL, _FINGERS = np.array([0.0, 1, 0]), np.array([-1.0, 0, 0])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _about(cross: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) by angle (...) about axes given as cross-product matrices (..., 3, 3)."""
    angle = angle[..., None, None]
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


class Anatomy:
    """Axes and rest angles of the 15 finger joints of a hand model, measured at mean shape."""

    def __init__(self, hand: HandModel, thumb_dorsal: np.ndarray) -> None:
        """`hand` is a HandModel; `thumb_dorsal` (3,) is the direction that the thumb nail faces at rest."""
        rest = hand(np.zeros((1, 10)), np.eye(3)[None], np.tile(np.eye(3), (1, 15, 1, 1)))
        self.palm = np.asarray(rest.joints[0][[1, 4, 7, 10]], float)
        tips = np.asarray(rest.keypoints[0], float)[list(FINGER_TIPS)]
        chain = np.concatenate([np.asarray(rest.joints[0][1:], float).reshape(5, 3, 3), tips[:, None]], 1)
        self.origin, self.offsets = chain[:, 0], chain[:, 1:] - chain[:, :-1]  # (5, 3), (5, 3 bones, 3)
        bones = _unit(self.offsets)
        thumb_dorsal = _unit(np.asarray(thumb_dorsal, float))
        up = np.tile(_DORSAL, (5, 1))
        up[THUMB] = thumb_dorsal
        flexion = _unit(np.cross(bones, -up[:, None]))
        self.palmar = np.cross(flexion[:, 2], bones[:, 2])  # the way each pad faces at rest
        spread = -np.cross(flexion[:, 0], bones[:, 0])
        if np.cross(spread[THUMB], bones[THUMB, 0]) @ _DORSAL > 0:
            spread[THUMB] *= -1
        before = np.concatenate([np.tile(_FINGERS, (5, 1))[:, None], bones[:, :-1]], 1)
        before[THUMB, 0] = bones[THUMB, 0]
        flat = before - (before * flexion).sum(-1, keepdims=True) * flexion
        self.rest = np.zeros((5, 5))
        self.rest[:, :3] = np.arctan2((np.cross(flat, bones) * flexion).sum(-1), (flat * bones).sum(-1))
        self.rest[:4, 3] = np.arctan2(bones[:4, 0, 2], -bones[:4, 0, 0])
        self._axes = cross_matrix(np.concatenate([flexion, spread[:, None], bones[:, :1]], 1))

    def finger_rotations(self, angles: np.ndarray, finger: np.ndarray | None = None) -> np.ndarray:
        """Angles (B, 5, 5), or (B, 5) of `finger` (B,) each, to rotations of joints (B, [5,] 3, 3, 3)."""
        axes, rest = (self._axes, self.rest) if finger is None else (self._axes[finger], self.rest[finger])
        turn = _about(axes, angles - rest)
        first = turn[..., 3, :, :] @ turn[..., 0, :, :] @ turn[..., 4, :, :]
        return np.stack([first, turn[..., 1, :, :], turn[..., 2, :, :]], -3)

    def rotations(self, angles: np.ndarray) -> np.ndarray:
        """Angles (B, 5, 5) to hand_pose (B, 15, 3, 3), relative to the rest pose."""
        return self.finger_rotations(angles).reshape(len(angles), 15, 3, 3)

    def points(self, angles: np.ndarray, finger: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Joints and tip (B, [5,] 4, 3) in metres from the wrist, global rotations (B, [5,] 3, 3, 3)."""
        local = self.finger_rotations(angles, finger)
        which = slice(None) if finger is None else finger
        origin, offsets = self.origin[which], self.offsets[which]
        turns = [local[..., 0, :, :]]
        turns += [turns[0] @ local[..., 1, :, :]]
        turns += [turns[1] @ local[..., 2, :, :]]
        chain = [np.broadcast_to(origin, turns[0].shape[:-1])]
        for bone, turn in enumerate(turns):
            chain.append(chain[-1] + (turn @ offsets[..., bone, :, None])[..., 0])
        return np.stack(chain, -2), np.stack(turns, -3)

    def touch(
        self,
        angles: np.ndarray,
        finger: np.ndarray,
        place: np.ndarray,
        gap: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        iterations: int = 9,
    ) -> np.ndarray:
        """Bend thumb and finger until the thumb's tip is where it should be; angles (B, 5, 5) -> (B, 5, 5).

        `finger` (B,) 0..3 index; `place` (B,) 0: the finger's tip, pads facing; 1: across the back of its
        middle bone; 2: against the thumb side of its middle bone. `gap` (B,) metres between the tips
        (place 0) or to the bone. Damped Gauss-Newton with numeric derivatives, held near the given angles and
        within low, high (5, 5).
        """
        rows = np.arange(len(angles))
        start = np.concatenate([angles[:, THUMB], angles[rows, finger]], 1)  # (B, 10)
        lower = np.concatenate([np.broadcast_to(low[THUMB], (len(rows), 5)), low[finger]], 1)
        upper = np.concatenate([np.broadcast_to(high[THUMB], (len(rows), 5)), high[finger]], 1)
        stiff = np.array([0.004, 0.008, 0.008, 0.004, 0.012, 0.02, 0.012, 0.016, 0.03, 0.05])
        stiff = np.where((place == 0)[:, None], stiff, stiff * np.array([1] * 5 + [1000] * 5))
        thumb = np.full(len(rows), THUMB)

        def residual(x: np.ndarray) -> np.ndarray:
            tip, turn_t = self.points(x[:, :5], thumb)
            other, turn_f = self.points(x[:, 5:], finger)
            pad_t = (turn_t[:, 2] @ self.palmar[THUMB][:, None])[..., 0]
            pad_f = (turn_f[:, 2] @ self.palmar[finger][..., None])[..., 0]
            apart = tip[:, 3] - other[:, 3]
            apart = apart - gap[:, None] * _unit(apart + 1e-6)
            back = -(turn_f[:, 1] @ self.palmar[finger][..., None])[..., 0]
            side = np.cross(back, other[:, 2] - other[:, 1])
            side = _unit(side * np.sign(side @ np.array([0, 0, 1.0]))[:, None] + 1e-9)
            bone = (other[:, 1] + other[:, 2]) / 2
            goal = bone + gap[:, None] * np.where((place == 1)[:, None], back, side)
            miss = np.where((place == 0)[:, None], apart, tip[:, 3] - goal)
            facing = np.where(place == 0, 0.004 * ((pad_t * pad_f).sum(-1) + 0.6), 0)
            return np.concatenate([miss, facing[:, None], stiff * (x - start)], 1)

        x = start.copy()
        for _ in range(iterations):
            value = residual(x)
            jacobian = np.empty((*value.shape, 10))
            for column in range(10):
                shifted = x.copy()
                shifted[:, column] += 1e-4
                jacobian[..., column] = (residual(shifted) - value) / 1e-4
            slope = np.einsum('bri,br->bi', jacobian, value)
            stuck = ((x <= lower) & (slope > 0)) | ((x >= upper) & (slope < 0))
            jacobian = np.where(stuck[:, None], 0, jacobian)
            normal = np.einsum('bri,brj->bij', jacobian, jacobian) + 1e-7 * np.eye(10)
            step = np.linalg.solve(normal, np.where(stuck, 0, slope)[..., None])[..., 0]
            x = np.clip(x - np.clip(step, -0.4, 0.4), lower, upper)
        result = angles.copy()
        result[:, THUMB], result[rows, finger] = x[:, :5], x[:, 5:]
        return result


def random_rotations(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3), uniform over SO(3)."""
    quaternion = _unit(rng.standard_normal((n, 4)))
    angle = 2 * np.arccos(np.clip(quaternion[:, :1], -1, 1))
    return rotvec_to_matrix(_unit(quaternion[:, 1:] + 1e-12) * angle)
