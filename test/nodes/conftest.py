"""Hands with known truth, and the graph that nodes are tested in."""

import numpy as np
import pytest
import rclpy
from graph import Graph
from sensor_msgs.msg import CameraInfo

from maskhand_ros.clip import read_clip
from maskhand_ros.geometry import matrix_to_rotvec, rotvec_to_matrix, wrist_frame
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception import types
from maskhand_ros.skeleton import JOINT_TO_KEYPOINT, LEFT, RIGHT


@pytest.fixture(scope='session')
def hand_model():
    return HandModel.load()


@pytest.fixture
def make_hand(hand_model):
    """A function that poses a hand as the pipeline reports it; its numbers are consistent with each other."""

    def make(side=RIGHT, id=1, seed=0, position=(0.05, -0.02, 0.5), operator=True):
        rng = np.random.default_rng(seed)
        local = rotvec_to_matrix(rng.normal(0, 0.4, (16, 3)))
        out = hand_model(np.zeros((1, 10)), local[None, 0], local[None, 1:])
        flip = np.array([-1, 1, 1]) if side == LEFT else np.ones(3)
        mirror = np.diag(flip)
        frames = wrist_frame(mirror @ out.joint_rotations[0] @ mirror, side)
        wrist = frames[0]
        keypoints, vertices = out.keypoints[0] * flip, out.vertices[0] * flip
        joints = keypoints[JOINT_TO_KEYPOINT]
        return types.Hand(
            id=id,
            side=side,
            side_probability=0.9,
            state=types.TRACKED,
            operator=operator,
            score=0.95,
            confidence=0.8,
            roi=(10, 20, 30, 40),
            scale_source=types.SCALE_POPULATION,
            wrist_position=np.array(position),
            wrist_rotation=wrist,
            wrist_covariance=np.eye(6) * 1e-4,
            keypoints=keypoints + position,
            keypoints_wrist=keypoints @ wrist,
            keypoint_stddev=np.full(21, 0.004),
            keypoint_stddev_depth=np.full(21, 0.008),
            keypoints_px=rng.uniform(0, 400, (21, 2)),
            joint_rotations=frames,
            joints_wrist=joints @ wrist,
            mano_pose=matrix_to_rotvec(mirror @ local @ mirror).reshape(48),
            betas=np.zeros(10),
            vertices=vertices @ wrist,
            keypoint_visibility=rng.uniform(0, 1, 21),
        )

    return make


@pytest.fixture(scope='session')
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope='session')
def clip():
    """(RGB picture, CameraInfo, true keypoints (2, 21, 3) m) of the bundled clip: a left and a right hand,
    both in view."""
    clip = read_clip()
    rgb = next(clip.frames())
    info = CameraInfo(
        width=rgb.shape[1], height=rgb.shape[0], k=clip.K.reshape(9), distortion_model='plumb_bob'
    )
    return rgb, info, clip.keypoints[0]


@pytest.fixture(scope='module')
def graph(ros):
    graph = Graph()
    yield graph
    graph.close()
