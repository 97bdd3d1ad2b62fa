"""Hands for the tests of retargeting: the mean hand in poses, and a robot small enough to solve by hand."""

import numpy as np

from maskhand_ros.geometry import C_RIGHT, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel

SURE = np.full(21, 0.004)
FLEXION = {'index': 1, 'middle': 4, 'little': 7, 'ring': 10}


def posed(bend=None, thumb=(0, 0, 0)):
    """Keypoints (21, 3) of the mean right hand in its wrist frame; `bend`: {finger: degrees at each joint},
    `thumb`: rotation vector of its first joint in degrees, wrist axes."""
    local = np.tile(np.eye(3), (1, 15, 1, 1))
    for finger, degrees in (bend or {}).items():
        flexed = C_RIGHT @ rotvec_to_matrix(np.deg2rad([0.0, degrees, 0.0])) @ C_RIGHT.T
        local[0, FLEXION[finger] - 1 : FLEXION[finger] + 2] = flexed
    local[0, 12] = C_RIGHT @ rotvec_to_matrix(np.deg2rad(np.array(thumb, float))) @ C_RIGHT.T
    points = HandModel.load()(np.zeros((1, 10)), np.eye(3)[None], local, vertices=False).keypoints[0]
    return (points - points[0]) @ C_RIGHT


FINGER = """
<robot name="finger"><link name="palm"/>
  <link name="a">{mass}</link><link name="b">{mass}</link><link name="tip">{mass}</link>
  <joint name="one" type="revolute"><parent link="palm"/><child link="a"/><axis xyz="0 1 0"/>
    <limit lower="-0.5" upper="1.5" velocity="5" effort="1"/></joint>
  <joint name="two" type="revolute"><parent link="a"/><child link="b"/><origin xyz="0.05 0 0"/>
    <axis xyz="0 1 0"/><limit lower="0" upper="1.4" velocity="5" effort="1"/>{mimic}</joint>
  <joint name="end" type="fixed"><parent link="b"/><child link="tip"/><origin xyz="0.03 0 0"/></joint>
</robot>"""
_INERTIA = '<inertia ixx="1e-4" iyy="1e-4" izz="1e-4" ixy="0" ixz="0" iyz="0"/>'
_MASS = f'<inertial><mass value="0.1"/>{_INERTIA}</inertial>'


def finger(mimic=''):
    """URDF of a finger that bends in the plane of x and z: bones of 50 and 30 mm."""
    return FINGER.format(mass=_MASS, mimic=mimic)


def finger_tip(joints):
    """Middle joint and tip (2, 2) in x and z, by trigonometry."""
    one, two = joints
    middle = 0.05 * np.array([np.cos(one), -np.sin(one)])
    return np.stack([middle, middle + 0.03 * np.array([np.cos(one + two), -np.sin(one + two)])])


FINGER_CONFIG = {
    'type': 'vector',
    'wrist_link_name': 'palm',
    'target_origin_link_names': ['palm', 'palm'],
    'target_task_link_names': ['tip', 'b'],
    'target_link_human_indices': [[5, 5], [8, 7]],
    'scaling_factor': 1.0,
    'wrist_rotation': [1, 0, 0, 0, 1, 0, 0, 0, 1],
}
