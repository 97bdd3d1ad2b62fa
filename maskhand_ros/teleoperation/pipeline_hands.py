"""Hands of a HandPipeline as samples of teleoperation, without ROS."""

from __future__ import annotations

from collections.abc import Sequence

from maskhand_ros.perception.types import TRACKED, Hand
from maskhand_ros.retargeting.frames import CAMERA_TO_WORLD
from maskhand_ros.skeleton import Handedness
from maskhand_ros.teleoperation.records import HandSample, Pose


def operator_of(hands: Sequence[Hand], side: Handedness) -> Hand | None:
    """The operator's hand of this side; None if there is none."""
    return next((hand for hand in hands if hand.operator and hand.side == side), None)


def sample_of(hand: Hand, stamp_ns: int) -> HandSample:
    """The HandSample of a Hand in an image with the stamp `stamp_ns`; its wrist is in the axes of
    CAMERA_TO_WORLD."""
    wrist = None
    if hand.wrist_position is not None:
        wrist = Pose(CAMERA_TO_WORLD @ hand.wrist_position, CAMERA_TO_WORLD @ hand.wrist_rotation)
    return HandSample(
        stamp_ns=stamp_ns,
        id=hand.id,
        is_tracked=hand.state == TRACKED,
        confidence=hand.confidence,
        keypoints_wrist=hand.keypoints_wrist,
        stddev=hand.keypoint_stddev,
        wrist=wrist,
        wrist_fault='' if wrist is not None else 'no scale',
    )
