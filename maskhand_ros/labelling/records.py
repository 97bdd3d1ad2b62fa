"""Records of labelled frames: what a worker computes, a smoother refines and a file holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.perception.types import Hand, ScaleSource
from maskhand_ros.skeleton import Handedness


@dataclass
class HandLabels:
    """One hand in one frame. Arrays are float64; lengths are metres, angles radians. Frames: the camera's
    optical frame (x right, y down, z forward) and the wrist frame (x to the fingers, z out of the back of
    the hand)."""

    track_id: int
    """Number of the hand within the clip; a hand that is followed keeps it."""
    side: Handedness
    handedness_probability: float
    """Probability that `side` is correct, 0.5 to 1."""
    presence: float
    """Probability that this is a hand."""
    confidence: float
    """Probability that the mean keypoint error from the wrist is below 20 mm."""
    scale_source: ScaleSource
    operator: bool
    """Whether it is the operator's hand of its side."""
    kp2d: np.ndarray
    """(21, 2) px in the image as received."""
    kp3d: np.ndarray | None
    """(21, 3) m, camera frame; None where the scale is unknown."""
    kp3d_wrist: np.ndarray
    """(21, 3) m, wrist frame."""
    kp_stddev: np.ndarray
    """(21, 2) m, relative to the wrist: standard deviation of each axis across the viewing ray, and along
    it."""
    wrist_position: np.ndarray | None
    """(3,) m, camera frame; None where the scale is unknown."""
    wrist_rotation: np.ndarray
    """(3, 3) of the wrist frame in the camera frame."""
    wrist_covariance: np.ndarray | None
    """(6, 6) of position (m) and rotation (rad, about the camera's fixed axes); None where the scale is
    unknown."""
    global_orient: np.ndarray
    """(3, 3) of the hand model's root in the camera frame (axes of the hand model)."""
    hand_pose: np.ndarray
    """(15, 3, 3) of the finger joints relative to their parents, MANO order (skeleton.JOINT_NAMES)."""
    betas: np.ndarray
    """(10,) shape coefficients of the hand model, no unit."""
    size: float
    """Scale factor of the hand model: kp3d_wrist are the model's keypoints at `betas` and `hand_pose` times
    `size`, plus a correction across the viewing ray (PlacedHand.shift)."""
    observed: bool = True
    """Whether the hand was measured in this frame; False where it was filled in from other frames."""
    kp_visibility: np.ndarray | None = None
    """(21,) probabilities that a keypoint can be seen; None in a frame that was filled in, and where the
    landmark network does not say."""


@dataclass
class FrameLabels:
    """One frame of a clip and its hands."""

    frame_index: int
    """Number of the frame in the clip, from 0."""
    timestamp_s: float
    """frame_index / nominal frame rate, s."""
    source_time_s: float
    """Presentation time (pts) or stamp relative to the first frame of the clip, s."""
    intrinsics: np.ndarray | None
    """(3, 3) camera matrix, px; None where it is unknown."""
    hands: list[HandLabels] = field(default_factory=list)


def labels_of(hand: Hand) -> HandLabels:
    """The HandLabels of a Hand of the pipeline."""
    rotations = rotvec_to_matrix(hand.mano_pose.reshape(16, 3))
    return HandLabels(
        track_id=hand.id,
        side=hand.side,
        handedness_probability=float(hand.side_probability),
        presence=float(hand.score),
        confidence=float(hand.confidence),
        scale_source=hand.scale_source,
        operator=bool(hand.operator),
        kp2d=np.asarray(hand.keypoints_px, float),
        kp3d=hand.keypoints,
        kp3d_wrist=hand.keypoints_wrist,
        kp_stddev=np.stack([hand.keypoint_stddev, hand.keypoint_stddev_depth], -1),
        wrist_position=hand.wrist_position,
        wrist_rotation=hand.wrist_rotation,
        wrist_covariance=hand.wrist_covariance,
        global_orient=rotations[0],
        hand_pose=rotations[1:],
        betas=hand.betas,
        size=hand.size,
        kp_visibility=hand.keypoint_visibility,
    )
