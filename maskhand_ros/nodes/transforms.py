"""TF: the frames of a hand (camera -> wrist -> 15 joints -> 5 tips, each joint relative to its parent), and
the way between two cameras."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from maskhand_ros.geometry import matrix_to_quaternion, quaternion_to_matrix
from maskhand_ros.nodes.frame_names import tf2_name
from maskhand_ros.perception.types import PREDICTED, SCALE_NONE
from maskhand_ros.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_JOINT, KEYPOINT_NAMES, TIP_KEYPOINTS

FRAMES = (*JOINT_NAMES, *(KEYPOINT_NAMES[tip] for tip in TIP_KEYPOINTS))
"""Names of a hand's 21 frames: 16 joints, then 5 tips."""

PARENTS = np.array([0, *JOINT_PARENTS[1:], *KEYPOINT_JOINT[list(TIP_KEYPOINTS)]])
"""(21,) index of each frame's parent; the wrist, whose parent is the camera, stands for itself."""


MAX_FRAMES = 10_000
"""Frames that a TransformTree keeps: any peer may name more."""


class HandNames:
    """Frame names that stay with a hand: `right_hand` and `left_hand` for the operator's, `hand_<slot>` for
    others."""

    def __init__(self, max_hands, prefix=''):
        self._slots = [None] * max_hands
        self._prefix = prefix

    def name(self, hand):
        """Name of the hand's frames without the part, such as `left/right_hand`; None when all slots are
        taken."""
        if hand.operator:
            return f'{self._prefix}{hand.side}_hand'
        if hand.id not in self._slots:
            if None not in self._slots:
                return None
            self._slots[self._slots.index(None)] = hand.id
        return f'{self._prefix}hand_{self._slots.index(hand.id)}'

    def forget(self, ids):
        """Frees the slots of hands that are lost."""
        self._slots = [None if slot in ids else slot for slot in self._slots]


class TransformTree:
    """Where frames are that do not move against each other, such as two cameras of one device: the last word
    of /tf_static and /tf on each of them, whatever its time."""

    def __init__(self):
        self._parents = {}

    def put(self, msg):
        """Takes in a tf2_msgs/TFMessage (subscription callback), but for what is no rotation or place."""
        for stamped in msg.transforms:
            shift, turn = stamped.transform.translation, stamped.transform.rotation
            translation = np.array([shift.x, shift.y, shift.z])
            quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
            child = tf2_name(stamped.child_frame_id)
            known = child in self._parents or len(self._parents) < MAX_FRAMES
            is_rotation = np.abs(quaternion).max() < 1.1 and 0.9 < np.linalg.norm(quaternion) < 1.1
            if known and is_rotation and np.isfinite(translation).all():
                place = quaternion_to_matrix(quaternion), translation
                self._parents[child] = tf2_name(stamped.header.frame_id), place

    def lookup(self, target, source):
        """Rotation (3, 3) and translation (3,) metres that take points of frame `source` to frame `target`;
        None where nothing is known that connects them."""
        ours, theirs = self._ancestors(tf2_name(target)), self._ancestors(tf2_name(source))
        common = next((frame for frame in theirs if frame in ours), None)
        if common is None:
            return None
        (rotation, translation), (turn, shift) = ours[common], theirs[common]
        return rotation.T @ turn, rotation.T @ (shift - translation)

    def _ancestors(self, frame):
        """{frame: (rotation, translation) that take points of the given frame to it}, up the tree from the
        given frame itself."""
        rotation, translation = np.eye(3), np.zeros(3)
        found = {frame: (rotation, translation)}
        while frame in self._parents:
            frame, (turn, shift) = self._parents[frame]
            if frame in found:  # a loop, which no tree has
                break
            rotation, translation = turn @ rotation, turn @ translation + shift
            found[frame] = rotation, translation
        return found


def prefix_for(parameter, namespace):
    """The frame prefix that the parameter tf_prefix means in a namespace: '' follows the namespace, '/' is
    none."""
    name = (parameter or namespace).strip('/')
    return f'{name}/' if name else ''


def hand_transforms(hand, name, header):
    """21 geometry_msgs/TransformStamped of a hand; none for one without a measured, metric place."""
    if hand.wrist_position is None or hand.scale_source == SCALE_NONE or hand.state == PREDICTED:
        return []
    tips = list(TIP_KEYPOINTS)
    # In the camera frame, then relative to the parent. A tip turns with its finger's last joint.
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
