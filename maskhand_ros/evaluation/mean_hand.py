"""The mean hand, which a missed hand is scored as: leaving out hard hands does not lower a mean error."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import C_RIGHT, MIRROR_X
from maskhand_ros.hand_model.numpy_hand import HandModel

_UPRIGHT = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
"""(3, 3) from the wrist frame to the image's axes: fingers up, back of the hand to the camera."""


def mean_hand(model: HandModel, side: str | None) -> np.ndarray:
    """(21, 3) metres from the wrist, along the image's axes (x right, y down, z away): a flat hand of mean
    shape, fingers up, its back to the camera; a right one unless `side` is 'left'."""
    keypoints = model.flat_hands().keypoints[0].astype(float)
    points = (keypoints - keypoints[0]) @ C_RIGHT @ _UPRIGHT.T
    return points * MIRROR_X if side == 'left' else points
