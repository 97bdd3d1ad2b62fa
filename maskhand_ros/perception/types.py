"""What travels through the perception steps. Arrays are float64 unless said."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.frame_checks import check_frame
from maskhand_ros.skeleton import Handedness, NamedEnum


class TrackState(NamedEnum):
    """How far a hand can be relied on; the numbers are those of Hand.msg."""

    TENTATIVE = 1
    TRACKED = 2
    PREDICTED = 3


class ScaleSource(NamedEnum):
    """Where the metric scale of a hand comes from; the numbers are those of SCALE_* in Hand.msg."""

    NONE = 0
    POPULATION = 1
    PARAMETER = 2
    LEARNED = 3
    DEPTH = 4


TENTATIVE, TRACKED, PREDICTED = TrackState
SCALE_NONE, SCALE_POPULATION, SCALE_PARAMETER, SCALE_LEARNED, SCALE_DEPTH = ScaleSource


@dataclass
class Frame:
    """One picture and what is known about it. FrameError where a field is of another type, size or kind; the
    pixels themselves are not read."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    stamp_ns: int = 0
    camera: Camera | None = None
    """None where no calibration came: then hands have no metric place."""
    depth: np.ndarray | None = None
    """(H, W) float32, metres along z, registered to the picture; 0 or NaN where unknown."""

    def __post_init__(self) -> None:
        check_frame(self.rgb, self.stamp_ns, self.camera, self.depth)


@dataclass(frozen=True)
class HandRoi:
    """A rotated square around a hand in the picture."""

    center_px: np.ndarray
    """(2,)"""
    size_px: float
    roll: float
    """Radians, clockwise in the picture as seen: the direction from wrist to fingers against "up"."""
    side: Handedness | None = None
    """None where not known yet (a fresh detection)."""
    side_probability: float = 0.5
    score: float = 1.0


@dataclass
class PlacedHand:
    """The parameters of one hand, on its own side and in the camera's optical frame: what is followed and
    smoothed before a mesh is made of it. Metres, radians."""

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
    """What the hand model with these betas is multiplied by."""
    shift: np.ndarray
    """(21, 3) from the mesh's keypoints to where they are seen."""
    covariance: np.ndarray
    """(6, 6) of the wrist's position and rotation, about the camera's fixed axes."""
    source: ScaleSource
    measured_length: float | None = None
    """Metres from wrist to middle fingertip, where a depth picture tells them."""

    @property
    def rotations(self) -> np.ndarray:
        """(16, 3, 3) of all joints, global_orient first."""
        return np.concatenate([self.orient[None], self.pose])


@dataclass
class Hypothesis:
    """Another pose that the picture allows, as the network drew it: at the wrist of the Hand that it belongs
    to, not fitted to what is seen."""

    probability: float
    """Geometric mean of the probabilities that the model gave its tokens."""
    keypoints_wrist: np.ndarray
    """(21, 3) in the wrist frame of the Hand, metres."""
    mano_pose: np.ndarray
    """(48,) axis-angle, MANO order; [0:3] = global_orient in the camera frame."""
    betas: np.ndarray
    """(10,)"""


@dataclass
class Hand:
    """One hand in one picture, as Hand.msg says: its own side, metric, in the camera's optical frame."""

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
    """x, y, w, h: whole pixels of the upright box around the keypoints, inside the picture."""
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
    """(21, 2) in the picture as received."""
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
    """Seconds by which a filter has delayed this hand."""
