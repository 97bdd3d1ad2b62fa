"""Records that the perception steps exchange. Arrays are float64 unless stated."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.frame_checks import check_frame
from maskhand_ros.skeleton import Handedness, NamedEnum


class TrackState(NamedEnum):
    """State of a track; values as in Hand.msg."""

    TENTATIVE = 1
    TRACKED = 2
    PREDICTED = 3


class ScaleSource(NamedEnum):
    """Source of the metric scale of a hand; values as SCALE_* in Hand.msg."""

    NONE = 0
    POPULATION = 1
    PARAMETER = 2
    LEARNED = 3
    DEPTH = 4


TENTATIVE, TRACKED, PREDICTED = TrackState
SCALE_NONE, SCALE_POPULATION, SCALE_PARAMETER, SCALE_LEARNED, SCALE_DEPTH = ScaleSource


@dataclass
class Frame:
    """One image with its stamp, calibration and depth. FrameError if a field has a wrong type, shape or
    dtype; pixel values are not checked."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    stamp_ns: int = 0
    camera: Camera | None = None
    """Calibration; None: hands get no metric position."""
    depth: np.ndarray | None = None
    """(H, W) float32, metres along z, registered to the image; 0 or NaN where unknown."""

    def __post_init__(self) -> None:
        check_frame(self.rgb, self.stamp_ns, self.camera, self.depth)


@dataclass(frozen=True)
class HandRoi:
    """A rotated square around a hand in the image."""

    center_px: np.ndarray
    """(2,) px."""
    size_px: float
    roll: float
    """Radians, clockwise in the image: angle of the direction from wrist to fingers, 0 is up."""
    side: Handedness | None = None
    """None if unknown (a new detection)."""
    score: float = 1.0


@dataclass
class PlacedHand:
    """Parameters of one hand on its own side, in the camera's optical frame, before skinning. Metres,
    radians."""

    side: Handedness
    position: np.ndarray
    """(3,) of the wrist."""
    orient: np.ndarray
    """(3, 3) global_orient, in the model's axes."""
    pose: np.ndarray
    """(15, 3, 3) of the finger joints, relative to their parents."""
    betas: np.ndarray
    """(10,)"""
    size: float
    """Scale factor of the hand model."""
    shift: np.ndarray
    """(21, 3) metres from the mesh's keypoints to the published ones (refinement.landmark_shift)."""
    covariance: np.ndarray
    """(6, 6) of the wrist's position and rotation, about the camera's fixed axes."""
    source: ScaleSource
    confidence: float = 0.0
    """Probability that the mean keypoint error from the wrist is below 20 mm."""
    misfit: float = 0.0
    """Distance to the landmarks over the hand's size (refinement.misfit_of)."""
    measured_length: float | None = None
    """Length from wrist to middle fingertip measured in a depth image, metres."""

    @property
    def rotations(self) -> np.ndarray:
        """(16, 3, 3) of all joints, global_orient first."""
        return np.concatenate([self.orient[None], self.pose])


@dataclass
class Hypothesis:
    """A sampled pose of a Hand, at the wrist of that Hand. It is not fitted to the landmarks."""

    probability: float
    """Geometric mean of the probabilities of its tokens."""
    keypoints_wrist: np.ndarray
    """(21, 3) in the wrist frame of the Hand, metres."""
    mano_pose: np.ndarray
    """(48,) axis-angle, MANO order; [0:3] = global_orient in the camera frame."""
    betas: np.ndarray
    """(10,)"""


@dataclass
class Hand:
    """One hand in one image; the fields of Hand.msg, in the camera's optical frame."""

    id: int
    side: Handedness
    side_probability: float
    state: TrackState
    operator: bool
    score: float
    """Probability that this is a hand."""
    confidence: float
    """Probability that the mean keypoint error from the wrist is below 20 mm."""
    roi: tuple
    """x, y, w, h: whole pixels, axis-aligned box of the keypoints, clipped to the image."""
    scale_source: ScaleSource
    wrist_position: np.ndarray | None
    """(3,) camera frame, metres; None where the scale is unknown."""
    wrist_rotation: np.ndarray
    """(3, 3) the wrist frame in the camera frame: x to the fingers, z out of the back of the hand."""
    wrist_covariance: np.ndarray | None
    """(6, 6) of position (m) and rotation (rad, about the camera's fixed axes); None where the scale is
    unknown."""
    keypoints: np.ndarray | None
    """(21, 3) camera frame, metres; None where the scale is unknown."""
    keypoints_wrist: np.ndarray
    """(21, 3) wrist frame, metres."""
    keypoint_stddev: np.ndarray
    """(21,) metres, relative to the wrist, per axis across the viewing ray."""
    keypoint_stddev_depth: np.ndarray
    """(21,) metres, relative to the wrist, along the viewing ray."""
    keypoints_px: np.ndarray
    """(21, 2) in the image as received."""
    joint_rotations: np.ndarray
    """(16, 3, 3) joint frames in the camera frame, `R_joint . C`: all parallel on a flat hand."""
    joints_wrist: np.ndarray
    """(16, 3) wrist frame, metres."""
    mano_pose: np.ndarray
    """(48,) axis-angle, MANO order; [0:3] = global_orient in the camera frame."""
    betas: np.ndarray
    """(10,) shape of the hand model named in HandTopology."""
    vertices: np.ndarray
    """(V, 3) wrist frame, metres."""
    hypotheses: list[Hypothesis] = field(default_factory=list)
    """Most probable first."""
    filter_delay: float = 0.0
    """Delay of this hand by the smoothing, seconds."""
    size: float = 1.0
    """Scale factor of the hand model."""
    keypoint_visibility: np.ndarray | None = None
    """(21,) probabilities that a keypoint can be seen: neither hidden nor outside the image. None for a
    PREDICTED hand, and where the landmark network does not say."""
