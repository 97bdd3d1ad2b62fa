"""Plausibility gates for placed hands: anatomical limits, and a limit on motion between frames."""

from __future__ import annotations

import math

import numpy as np

from maskhand_ros.geometry import C_RIGHT, matrix_to_rotvec, mirror_rotation
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.refinement import shape_jacobian
from maskhand_ros.perception.types import PlacedHand
from maskhand_ros.skeleton import JOINT_PARENTS, LEFT

NOT_FINITE, JOINT_LIMITS, BONE_LENGTHS, JUMP = 'not finite', 'joint limits', 'bone lengths', 'jump'
PART = 'part of another hand'
REASONS = (NOT_FINITE, JOINT_LIMITS, BONE_LENGTHS, JUMP, PART)
NEW_POSITION, NEW_ORIENTATION = 'new position', 'new orientation'
"""Verdicts of JumpGate on a hand that is accepted although it jumped."""

_BONE_RATIOS = 0.55, 1.7
"""Accepted bone lengths, relative to the mean hand: children to adults, with a margin for depth errors."""
_LOW, _HIGH = np.full((15, 3), -1.7), np.full((15, 3), 1.7)
"""Limits (15, 3) of the rotation vectors of finger joints, radians: twist, flexion, abduction; the same on
all axes of the thumb. They are wide: they reject broken reconstructions, not rare poses."""
_LOW[:12], _HIGH[:12] = (-0.8, -0.9, -0.6), (1.4, 2.4, 0.6)  # the four fingers
_LOW[:12:3, 2], _HIGH[:12:3, 2] = -1.0, 1.4  # abduction of their MCP joints

_MAX_STEP, _MAX_SPEED = 0.1, 6.0
"""Maximum movement of a wrist between frames: constant, metres, and metres per second."""
_MAX_TURN, _MAX_TURN_SPEED = 0.8, 30.0
"""The same for its orientation: radians, radians per second."""
JUMP_FRAMES = 3
"""Consecutive frames beyond these limits after which the new position or orientation is accepted."""


class PlausibleHand:
    """Check of PlacedHands against the anatomical limits, for hands of `hand_model`."""

    def __init__(self, hand_model: HandModel) -> None:
        joints = hand_model.flat_hands().joints[0].astype(float)
        self._bones, self._by_beta = joints[1:] - joints[JOINT_PARENTS[1:]], shape_jacobian(hand_model)[0]
        self._lengths = np.linalg.norm(self._bones, axis=1)

    def __call__(self, hands: list[PlacedHand]) -> list[str | None]:
        """For each PlacedHand the one of REASONS for which it is rejected, or None."""
        if not hands:
            return []
        pose = np.stack([mirror_rotation(hand.pose) if hand.side == LEFT else hand.pose for hand in hands])
        angles = matrix_to_rotvec(pose) @ C_RIGHT
        betas, size = np.stack([hand.betas for hand in hands]), np.array([hand.size for hand in hands])
        bones = self._bones + np.einsum('bck,nk->nbc', self._by_beta, betas)
        lengths = size[:, None] * np.sqrt(np.square(bones).sum(-1)) / self._lengths
        beyond_limits = ((angles < _LOW) | (angles > _HIGH)).any((1, 2))
        wrong_lengths = ((lengths < _BONE_RATIOS[0]) | (lengths > _BONE_RATIOS[1])).any(1)
        not_finite = [not _finite(hand) for hand in hands]
        return [
            NOT_FINITE if broken else JOINT_LIMITS if bent else BONE_LENGTHS if stretched else None
            for broken, bent, stretched in zip(not_finite, beyond_limits, wrong_lengths, strict=True)
        ]


def _finite(hand: PlacedHand) -> bool:
    numbers = (hand.position, hand.orient, hand.pose, hand.betas, hand.shift, hand.covariance)
    return math.isfinite(sum(part.sum() for part in numbers) + hand.size)


class JumpGate:
    """Gate against jumps: rejects a hand that moved or turned too fast, until JUMP_FRAMES consecutive
    frames did."""

    def __init__(self) -> None:
        self._last: tuple[np.ndarray, np.ndarray, float] | None = None
        self._rejected = 0

    def __call__(self, hand: PlacedHand, stamp: float) -> str | None:
        """Verdict on a PlacedHand at `stamp` seconds. None: within the limits. JUMP: beyond, reject it. At
        the JUMP_FRAMES-th frame beyond, the hand is accepted: NEW_POSITION if it moved too
        fast, NEW_ORIENTATION if it only turned."""
        moved, turned = self._excess(hand, stamp)
        verdict = None
        if max(moved, turned) > 0:
            self._rejected += 1
            if self._rejected < JUMP_FRAMES:
                return JUMP
            verdict = NEW_POSITION if moved > 0 else NEW_ORIENTATION
        self._last, self._rejected = (hand.position, hand.orient, stamp), 0
        return verdict

    def _excess(self, hand: PlacedHand, stamp: float) -> tuple[float, float]:
        """Movement (metres) and rotation (radians) since the last accepted hand, minus their limits."""
        if self._last is None or stamp <= self._last[2]:
            return 0.0, 0.0
        position, orient, then = self._last
        seconds = stamp - then
        moved = math.dist(hand.position, position)
        turned = math.acos(min(1.0, max(-1.0, (float(np.vdot(orient, hand.orient)) - 1) / 2)))
        return moved - _MAX_STEP - _MAX_SPEED * seconds, turned - _MAX_TURN - _MAX_TURN_SPEED * seconds
