"""TF: the frames of a hand (camera -> wrist -> 15 joints -> 5 tips, each joint relative to its parent), and
transforms between cameras."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from maskhand_ros.geometry import matrix_to_quaternion, quaternion_to_matrix
from maskhand_ros.nodes.frame_names import tf2_name
from maskhand_ros.perception.types import PREDICTED, SCALE_NONE, Hand
from maskhand_ros.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_JOINT, KEYPOINT_NAMES, TIP_KEYPOINTS

FRAMES = (*JOINT_NAMES, *(KEYPOINT_NAMES[tip] for tip in TIP_KEYPOINTS))
"""Names of a hand's 21 frames: 16 joints, then 5 tips."""

PARENTS = np.array([0, *JOINT_PARENTS[1:], *KEYPOINT_JOINT[list(TIP_KEYPOINTS)]])
"""(21,) index of each frame's parent. The wrist's parent is the camera: its entry is its own index."""

MAX_FRAMES = 10_000
"""Frames that a TransformTree keeps: any peer can publish more."""


class RigidTransform(NamedTuple):
    """Takes points p of one frame to another: rotation @ p + translation."""

    rotation: np.ndarray
    """(3, 3)"""
    translation: np.ndarray
    """(3,) metres."""


class HandNames:
    """Frame names that persist for a hand: `right_hand` and `left_hand` for the operator's, `hand_<slot>` for
    others."""

    def __init__(self, max_hands: int, prefix: str = '') -> None:
        self._slots: list[int | None] = [None] * max_hands
        self._prefix = prefix

    def name(self, hand: Hand) -> str | None:
        """Prefix of the hand's frame names, such as `left/right_hand`; None when all slots are taken."""
        if hand.operator:
            return f'{self._prefix}{hand.side}_hand'
        if hand.id not in self._slots:
            if None not in self._slots:
                return None
            self._slots[self._slots.index(None)] = hand.id
        return f'{self._prefix}hand_{self._slots.index(hand.id)}'

    def forget(self, ids: Iterable[int]) -> None:
        """Frees the slots of lost hands."""
        lost = set(ids)
        self._slots = [None if slot in lost else slot for slot in self._slots]


class TransformTree:
    """Transforms between frames that do not move relative to each other, such as two cameras of one device:
    the last one of each frame on /tf_static and /tf, whatever its stamp."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, RigidTransform]] = {}

    def put(self, msg: TFMessage) -> None:
        """Adds the transforms of a message (subscription callback); invalid ones are ignored."""
        for stamped in msg.transforms:
            position, orientation = stamped.transform.translation, stamped.transform.rotation
            translation = np.array([position.x, position.y, position.z])
            quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
            child = tf2_name(stamped.child_frame_id)
            has_room = child in self._parents or len(self._parents) < MAX_FRAMES
            is_rotation = np.abs(quaternion).max() < 1.1 and 0.9 < np.linalg.norm(quaternion) < 1.1
            if has_room and is_rotation and np.isfinite(translation).all():
                transform = RigidTransform(quaternion_to_matrix(quaternion), translation)
                self._parents[child] = tf2_name(stamped.header.frame_id), transform

    def lookup(self, target: str, source: str) -> RigidTransform | None:
        """The transform from frame `source` to frame `target`; None if they are not connected."""
        of_target, of_source = self._ancestors(tf2_name(target)), self._ancestors(tf2_name(source))
        common = next((frame for frame in of_source if frame in of_target), None)
        if common is None:
            return None
        up, down = of_source[common], of_target[common].rotation.T
        return RigidTransform(down @ up.rotation, down @ (up.translation - of_target[common].translation))

    def _ancestors(self, frame: str) -> dict[str, RigidTransform]:
        """{ancestor: transform from `frame` to it}, up the tree, beginning with `frame` itself."""
        rotation, translation = np.eye(3), np.zeros(3)
        found = {frame: RigidTransform(rotation, translation)}
        while frame in self._parents:
            frame, (turn, shift) = self._parents[frame]
            if frame in found:  # a loop: not a tree
                break
            rotation, translation = turn @ rotation, turn @ translation + shift
            found[frame] = RigidTransform(rotation, translation)
        return found


def prefix_for(parameter: str, namespace: str) -> str:
    """Prefix of frame names for the parameter tf_prefix in a namespace: '' uses the namespace, '/' none."""
    name = (parameter or namespace).strip('/')
    return f'{name}/' if name else ''


def hand_transforms(hand: Hand, name: str, header: Header) -> list[TransformStamped]:
    """The 21 transforms of a hand with the frame prefix `name`; none for a hand without a measured, metric
    position."""
    if hand.wrist_position is None or hand.scale_source == SCALE_NONE or hand.state == PREDICTED:
        return []
    tips = list(TIP_KEYPOINTS)
    # In the camera frame, then relative to the parent. A tip has the rotation of its finger's last joint.
    rotations = np.concatenate([hand.joint_rotations, hand.joint_rotations[KEYPOINT_JOINT[tips]]])
    positions = (
        np.concatenate([hand.joints_wrist, hand.keypoints_wrist[tips]]) @ hand.wrist_rotation.T
        + hand.wrist_position
    )
    to_parent = np.swapaxes(rotations[PARENTS], 1, 2)
    shifts = np.einsum('nij,nj->ni', to_parent, positions - positions[PARENTS])
    turns = to_parent @ rotations
    shifts[0], turns[0] = hand.wrist_position, hand.wrist_rotation
    quaternions = matrix_to_quaternion(turns)
    frames = [f'{name}/{own}' for own in FRAMES]
    parents = [header.frame_id, *(frames[parent] for parent in PARENTS[1:])]
    return [
        TransformStamped(
            header=Header(stamp=header.stamp, frame_id=parent),
            child_frame_id=child,
            transform=Transform(
                translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
            ),
        )
        for parent, child, (x, y, z), (qx, qy, qz, qw) in zip(
            parents, frames, shifts.tolist(), quaternions.tolist(), strict=True
        )
    ]
