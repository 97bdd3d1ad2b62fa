"""Plausibility gates: hands that cannot be real are rejected, and counted by reason."""

from __future__ import annotations

import math

import numpy as np

from maskhand_ros.geometry import C_RIGHT, matrix_to_rotvec, mirror_rotation
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.refinement import shape_growth
from maskhand_ros.perception.types import PlacedHand
from maskhand_ros.skeleton import JOINT_PARENTS, LEFT

NOT_FINITE, JOINT_LIMITS, BONE_LENGTHS, JUMP = 'not finite', 'joint limits', 'bone lengths', 'jump'
REASONS = (NOT_FINITE, JOINT_LIMITS, BONE_LENGTHS, JUMP)
ELSEWHERE, TURNED = 'elsewhere', 'turned'

_LENGTHS = 0.55, 1.7
"""Of a bone, of the mean hand's: adults' and children's, with what a depth picture errs."""
_LOW, _HIGH = np.full((15, 3), -1.7), np.full((15, 3), 1.7)
"""(15, 3) of the rotation vectors of joints, radians: about the bone, bending, sideways. Wide, for they
are to catch what is broken, not what is rare; the thumb's are about no axis of its own."""
_LOW[:12], _HIGH[:12] = (-0.8, -0.9, -0.6), (1.4, 2.4, 0.6)
_LOW[:12:3, 2], _HIGH[:12:3, 2] = -1.0, 1.4

_STEP, _SPEED = 0.1, 6.0
"""Metres that a wrist may be off at once, and metres a second that it may move."""
_TURN, _TURN_SPEED = 0.8, 30.0
"""The same of its orientation: radians, radians a second."""
JUMP_FRAMES = 3
"""Frames in a row elsewhere that make it another hand."""


class PlausibleHand:
    """Tells whether PlacedHands can be hands of `hand_model`."""

    def __init__(self, hand_model: HandModel) -> None:
        joints = hand_model.flat_hands().joints[0].astype(float)
        self._bones, self._by_beta = joints[1:] - joints[JOINT_PARENTS[1:]], shape_growth(hand_model)[0]
        self._lengths = np.linalg.norm(self._bones, axis=1)

    def __call__(self, hands: list[PlacedHand]) -> list[str | None]:
        """For each PlacedHand None, or which of REASONS says that it cannot be."""
        if not hands:
            return []
        pose = np.stack([mirror_rotation(hand.pose) if hand.side == LEFT else hand.pose for hand in hands])
        angles = matrix_to_rotvec(pose) @ C_RIGHT
        betas, size = np.stack([hand.betas for hand in hands]), np.array([hand.size for hand in hands])
        bones = self._bones + np.einsum('bck,nk->nbc', self._by_beta, betas)
        lengths = size[:, None] * np.sqrt(np.square(bones).sum(-1)) / self._lengths
        bent = ((angles < _LOW) | (angles > _HIGH)).any((1, 2))
        short_or_long = ((lengths < _LENGTHS[0]) | (lengths > _LENGTHS[1])).any(1)
        broken = [not _finite(hand) for hand in hands]
        return [
            next((reason for reason, holds in zip(REASONS, of_hand, strict=False) if holds), None)
            for of_hand in zip(broken, bent, short_or_long, strict=True)
        ]


def _finite(hand: PlacedHand) -> bool:
    numbers = (hand.position, hand.orient, hand.pose, hand.betas, hand.shift, hand.covariance)
    return math.isfinite(sum(part.sum() for part in numbers) + hand.size)


class JumpGate:
    """Holds back a hand that is suddenly elsewhere or turned over, until it has been so for JUMP_FRAMES
    frames."""

    def __init__(self) -> None:
        self._last: tuple[np.ndarray, np.ndarray, float] | None = None
        self._rejected = 0

    def __call__(self, hand: PlacedHand, stamp: float) -> str | None:
        """None, or for a PlacedHand at `stamp` seconds that is far from the last: JUMP, and once it has been
        so for JUMP_FRAMES frames ELSEWHERE, or TURNED if it is where it was."""
        moved, turned = self._excess(hand, stamp)
        verdict = None
        if max(moved, turned) > 0:
            self._rejected += 1
            if self._rejected < JUMP_FRAMES:
                return JUMP
            verdict = ELSEWHERE if moved > 0 else TURNED
        self._last, self._rejected = (hand.position, hand.orient, stamp), 0
        return verdict

    def _excess(self, hand: PlacedHand, stamp: float) -> tuple[float, float]:
        """Metres and radians beyond what a hand can have moved and turned since the last."""
        if self._last is None or stamp <= self._last[2]:
            return 0.0, 0.0
        position, orient, then = self._last
        seconds = stamp - then
        moved = math.dist(hand.position, position)
        turned = math.acos(min(1.0, max(-1.0, (float(np.vdot(orient, hand.orient)) - 1) / 2)))
        return moved - _STEP - _SPEED * seconds, turned - _TURN - _TURN_SPEED * seconds
