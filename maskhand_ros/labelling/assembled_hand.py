"""A hand put together from a person's shape, joint rotations and the position of the wrist."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskhand_ros.geometry import project, wrist_frame
from maskhand_ros.labelling.records import HandLabels
from maskhand_ros.labelling.skeleton_fit import PersonShape
from maskhand_ros.perception.types import SCALE_DEPTH, SCALE_LEARNED


def assembled(
    hand: HandLabels,
    shape: PersonShape,
    rotations: np.ndarray,
    relative: np.ndarray,
    position: np.ndarray,
    K: np.ndarray | None,
    mirrored: bool,
) -> HandLabels:
    """The HandLabels `hand` with another geometry.

    `rotations` (16, 3, 3): of its joints relative to their parents. `relative` (21, 3) m: keypoints of
    `shape` from the wrist in the camera's axes. `position` (3,) m: wrist, NaN where the scale is unknown. `K`
    (3, 3): camera matrix, None where it is unknown. `mirrored`: whether the image is a mirror image.
    """
    wrist = wrist_frame(rotations[0], hand.side)
    metric = bool(np.isfinite(position).all())
    kp3d = relative + position if metric else None
    source = hand.scale_source
    if metric and shape.measured_by_depth and source != SCALE_DEPTH:
        source = SCALE_LEARNED
    return replace(
        hand,
        scale_source=source,
        kp2d=_pixels(hand, kp3d, K, mirrored),
        kp3d=kp3d if metric else hand.kp3d,
        kp3d_wrist=relative @ wrist,
        wrist_position=position if metric else hand.wrist_position,
        wrist_rotation=wrist,
        global_orient=rotations[0],
        hand_pose=rotations[1:],
        betas=shape.betas,
        size=shape.size,
    )


def _pixels(hand: HandLabels, kp3d: np.ndarray | None, K: np.ndarray | None, mirrored: bool) -> np.ndarray:
    """Pixels (21, 2) of refined keypoints: those of `hand`, moved as the projections moved, so that the
    distortion of the lens stays in them."""
    if kp3d is None or hand.kp3d is None or K is None or min(kp3d[:, 2].min(), hand.kp3d[:, 2].min()) <= 0:
        return hand.kp2d
    moved = project(kp3d, K) - project(hand.kp3d, K)
    return np.asarray(hand.kp2d + moved * ([-1, 1] if mirrored else [1, 1]))
