"""Records of teleoperation: a hand that is seen, a pose, a command. Times are seconds of a monotonic clock
unless stated; arrays are float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskhand_ros.skeleton import NamedEnum


class State(NamedEnum):
    """State of the engagement."""

    DISENGAGED = 0
    """No commands, once the last motion is braked."""
    ENGAGING = 1
    """Commands follow the hand; the speed limit rises from zero."""
    ENGAGED = 2
    """Commands follow the hand."""
    HOLDING = 3
    """Commands repeat the last position, because something is missing."""


DISENGAGED, ENGAGING, ENGAGED, HOLDING = State


@dataclass(frozen=True)
class Pose:
    """A position (3,) in metres and a rotation (3, 3), in a frame that the context names."""

    position: np.ndarray
    rotation: np.ndarray


@dataclass(frozen=True)
class HandSample:
    """The operator's hand in one image."""

    stamp_ns: int
    """Of the image, ROS time."""
    id: int
    """Of the track."""
    is_tracked: bool
    """Measured in this image."""
    confidence: float
    """Probability that the mean keypoint error is below 20 mm."""
    keypoints_wrist: np.ndarray
    """(21, 3) metres, wrist frame."""
    stddev: np.ndarray
    """(21,) standard deviations of the keypoints across the viewing ray, metres."""
    wrist: Pose | None
    """In the robot's base frame; None where it is unknown, or no arm is moved."""
    wrist_fault: str = ''
    """Reason why `wrist` is None although an arm is moved."""


@dataclass(frozen=True)
class ArmCommand:
    """Target of the arm's tool in the robot's base frame."""

    pose: Pose
    linear: np.ndarray
    """(3,) m/s."""
    angular: np.ndarray
    """(3,) rad/s."""


@dataclass(frozen=True)
class Command:
    """One emitted command."""

    joints: np.ndarray
    """(n,) positions, rad (m for prismatic joints)."""
    velocities: np.ndarray
    """(n,) rad/s, from the command before."""
    arm: ArmCommand | None
