"""TF frames of a hand: camera -> wrist -> 15 joints -> 5 tips, each joint relative to its parent."""
from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from maskhand_ros.nodes.messages import to_quaternion
from maskhand_ros.perception.types import PREDICTED, SCALE_NONE, SIDE_NAMES
from maskhand_ros.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_JOINT, KEYPOINT_NAMES, TIP_KEYPOINTS


class HandNames:
    """Frame names that stay with a hand: `right_hand` and `left_hand` for the operator's, `hand_<slot>` for others."""

    def __init__(self, max_hands, prefix=''):
        self._slots = [None] * max_hands
        self._prefix = prefix

    def name(self, hand):
        """Name of the hand's frames without the part, such as `left/right_hand`; None when all slots are taken."""
        if hand.operator:
            return f'{self._prefix}{SIDE_NAMES[hand.side]}_hand'
        if hand.id not in self._slots:
            if None not in self._slots:
                return None
            self._slots[self._slots.index(None)] = hand.id
        return f'{self._prefix}hand_{self._slots.index(hand.id)}'

    def forget(self, ids):
        """Frees the slots of hands that are lost."""
        self._slots = [None if slot in ids else slot for slot in self._slots]


def prefix_for(parameter, namespace):
    """The frame prefix that the parameter tf_prefix means in a namespace: '' follows the namespace, '/' is none."""
    name = (parameter or namespace).strip('/')
    return f'{name}/' if name else ''


def hand_transforms(hand, name, header):
    """21 geometry_msgs/TransformStamped of a hand; none for one without a measured, metric place."""
    if hand.wrist_position is None or hand.scale_source == SCALE_NONE or hand.state == PREDICTED:
        return []
    rotations = hand.joint_rotations
    positions = hand.joints_wrist @ hand.wrist_rotation.T + hand.wrist_position
    transforms = [_transform(header, header.frame_id, f'{name}/wrist', hand.wrist_position, hand.wrist_rotation)]
    for joint in range(1, len(JOINT_NAMES)):
        parent = JOINT_PARENTS[joint]
        to_parent = rotations[parent].T
        transforms.append(_transform(header, f'{name}/{JOINT_NAMES[parent]}', f'{name}/{JOINT_NAMES[joint]}',
                                     to_parent @ (positions[joint] - positions[parent]), to_parent @ rotations[joint]))
    tips = hand.keypoints_wrist @ hand.wrist_rotation.T + hand.wrist_position
    for tip in TIP_KEYPOINTS:
        joint = KEYPOINT_JOINT[tip]
        transforms.append(_transform(header, f'{name}/{JOINT_NAMES[joint]}', f'{name}/{KEYPOINT_NAMES[tip]}',
                                     rotations[joint].T @ (tips[tip] - positions[joint]), np.eye(3)))
    return transforms


def _transform(header, parent, child, translation, rotation):
    x, y, z = translation.tolist()
    return TransformStamped(header=Header(stamp=header.stamp, frame_id=parent), child_frame_id=child,
                            transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=to_quaternion(rotation)))
