"""Pose of a robot's hand base that follows the operator's wrist, relative to where both were at engaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CAMERA_TO_WORLD = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""(3, 3) optical frame (x right, y down, z forward) of a camera that the operator faces, in the operator's
own frame (REP-103: x forward, y left, z up): nearer to the camera is forward, right in the image is left."""


@dataclass(frozen=True)
class Pose:
    """Pose of a frame: `position` (3,) m and `rotation` (3, 3), of the frame's axes as columns."""

    position: np.ndarray
    rotation: np.ndarray


class WristFollower:
    """Map from wrist poses in the camera frame to base poses in the world: the same displacement and rotation
    since `engage`, seen in the world's axes. Displacements are multiplied by `scale`."""

    def __init__(self, camera_to_world: np.ndarray = CAMERA_TO_WORLD, scale: float = 1.0) -> None:
        self._turn, self._scale = np.asarray(camera_to_world, float), scale
        self._wrist: Pose | None = None
        self._base: Pose | None = None

    @property
    def engaged(self) -> bool:
        """Whether there is a reference."""
        return self._base is not None

    def engage(self, wrist: Pose, base: Pose) -> None:
        """Take a reference: `wrist` in the camera frame belongs to `base` in the world frame."""
        self._wrist, self._base = wrist, base

    def release(self) -> None:
        """Forget the reference."""
        self._wrist = self._base = None

    def __call__(self, wrist: Pose) -> Pose:
        """Pose of the base for a wrist Pose in the camera frame. RuntimeError if not engaged."""
        if self._wrist is None or self._base is None:
            raise RuntimeError('WristFollower has no reference: call engage() first')
        shift = self._turn @ (wrist.position - self._wrist.position)
        turned = self._turn @ wrist.rotation @ self._wrist.rotation.T @ self._turn.T
        return Pose(self._base.position + self._scale * shift, turned @ self._base.rotation)
