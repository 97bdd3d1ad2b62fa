"""Axes of a robot hand found from its shape: where its fingers point, and to which side they close."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.retargeting.robot_hand import RobotHand

_FIX = 'give wrist_rotation in the configuration: 9 numbers, the wrist frame in the axes of wrist_link_name'


def wrist_axes(robot: RobotHand, wrist: int, tips: Sequence[int]) -> np.ndarray:
    """(3, 3) the wrist frame (x to the fingers, z out of the back of the hand) in the axes of body `wrist`.

    x goes from the knuckles of the fingers (not the thumb) with the tip bodies `tips` to the tips of the
    open hand; z away from where the tips go as the fingers close. ModelError where that leaves it open.
    """
    if not tips:
        raise ModelError('the axes of the robot hand are unknown: no finger beside the thumb', _FIX)
    lower, upper, _ = robot.limits
    at_rest = np.clip(0.0, lower, upper)
    closed = np.where(_sideways(lower, upper), at_rest, 0.5 * np.where(upper > -lower, upper, lower))
    knuckles = [_knuckle(robot, wrist, tip) for tip in tips]
    open_tips = _in_wrist(robot, at_rest, wrist, tips)
    x = _unit(open_tips - _in_wrist(robot, at_rest, wrist, knuckles))
    closing = _in_wrist(robot, closed, wrist, tips) - open_tips
    z = _unit(-(closing - (closing @ x) * x))
    return np.stack([x, np.cross(z, x), z], 1)


def _sideways(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Whether a joint turns about as far to either side (N,): it spreads fingers."""
    return np.maximum(upper, -lower) < 1.5 * np.minimum(upper, -lower)


def _knuckle(robot: RobotHand, wrist: int, tip: int) -> int:
    joints = robot.joints_between(tip, wrist)
    if not joints:
        raise ModelError(f'no joint moves link {robot.model.body(tip).name!r}', 'name the fingertip links')
    return int(robot.model.jnt_bodyid[min(joints)])


def _in_wrist(robot: RobotHand, joints: np.ndarray, wrist: int, bodies: Sequence[int]) -> np.ndarray:
    """Mean position (3,) of bodies in the axes of body `wrist`, for commanded joints (N,)."""
    data = mujoco.MjData(robot.model)
    data.qpos = robot.expand(joints)
    mujoco.mj_kinematics(robot.model, data)
    return (data.xpos[list(bodies)].mean(0) - data.xpos[wrist]) @ data.xmat[wrist].reshape(3, 3)


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    if length < 1e-3:
        raise ModelError('the axes of the robot hand cannot be told from its shape', _FIX)
    return vector / length
