"""The clutch: the arm moves as the hand moves since both were coupled, wherever each was then."""

from __future__ import annotations

import numpy as np

from maskhand_ros.teleoperation.records import Pose


class Clutch:
    """The reference of a relative motion: poses of the hand and of the tool at one time, in the same
    frame."""

    def __init__(self, scale: float, lowest: np.ndarray, highest: np.ndarray) -> None:
        """`scale`: motion of the tool per motion of the hand; `lowest`, `highest` (3,): corners of the
        workspace, metres."""
        self._scale, self._lowest, self._highest = scale, lowest, highest
        self._hand: Pose | None = None
        self._tool: Pose | None = None

    def couple(self, hand: Pose, tool: Pose) -> None:
        """Takes a new reference."""
        self._hand, self._tool = hand, tool

    def target(self, hand: Pose) -> Pose:
        """The tool's pose for a hand, within the workspace; needs a reference."""
        assert self._hand is not None and self._tool is not None
        position = self._tool.position + self._scale * (hand.position - self._hand.position)
        rotation = hand.rotation @ self._hand.rotation.T @ self._tool.rotation
        return Pose(np.clip(position, self._lowest, self._highest), rotation)

    def contains(self, tool: Pose) -> bool:
        """Whether a pose is within the workspace."""
        return bool(((tool.position >= self._lowest) & (tool.position <= self._highest)).all())
