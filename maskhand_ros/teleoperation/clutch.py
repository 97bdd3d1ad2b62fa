"""The clutch: the motion of the hand since both were coupled is added to the pose that the arm had then."""

from __future__ import annotations

from maskhand_ros.teleoperation.records import Pose


class Clutch:
    """The reference of a relative motion: poses of the hand and of the tool at one time, in the same
    frame."""

    def __init__(self, scale: float) -> None:
        """`scale`: motion of the tool per motion of the hand."""
        self._scale = scale
        self._hand: Pose | None = None
        self._tool: Pose | None = None

    def couple(self, hand: Pose, tool: Pose) -> None:
        """Takes a new reference."""
        self._hand, self._tool = hand, tool

    def target(self, hand: Pose) -> Pose:
        """The tool's pose for a hand; needs a reference."""
        assert self._hand is not None and self._tool is not None
        position = self._tool.position + self._scale * (hand.position - self._hand.position)
        rotation = hand.rotation @ self._hand.rotation.T @ self._tool.rotation
        return Pose(position, rotation)
