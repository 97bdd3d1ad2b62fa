"""Messages of teleop_node: a HandArray to the operator's hand, a Command to the messages of robot
controllers."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped, Vector3
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import quaternion_to_matrix
from maskhand_ros.msg import Hand, HandArray
from maskhand_ros.nodes.messages import stamp_to_ns, to_duration, to_pose
from maskhand_ros.nodes.transforms import RigidTransform
from maskhand_ros.skeleton import Handedness
from maskhand_ros.teleoperation.records import ArmCommand, Command, HandSample, Pose

ToBase = Callable[[str], 'RigidTransform | None']
"""Function that gives the transform from a camera's frame to the robot's base frame."""


def hand_sample(msg: HandArray, side: Handedness, to_base: ToBase | None) -> HandSample:
    """The operator's hand of a side. BadInput where there is none. `to_base`: None where no arm is moved."""
    hand = next((each for each in msg.hands if each.is_operator and each.side == side), None)
    if hand is None:
        remedy = (
            'Show the hand, or choose it: the service select_operator of hand_node; see the parameter `side`'
        )
        raise BadInput(f'no {side} hand of the operator', _listed(msg.hands), remedy)
    wrist, fault = (None, '') if to_base is None else _wrist(hand, msg.header.frame_id, to_base)
    return HandSample(
        stamp_ns=stamp_to_ns(msg.header.stamp),
        id=int(hand.id),
        is_tracked=hand.state == Hand.TRACKED,
        confidence=float(hand.confidence),
        keypoints_wrist=np.array([(p.x, p.y, p.z) for p in hand.keypoints_wrist]),
        stddev=np.array(hand.keypoint_stddev, float),
        wrist=wrist,
        wrist_fault=fault,
    )


def _wrist(hand: Hand, frame: str, to_base: ToBase) -> tuple[Pose | None, str]:
    """Pose of the wrist in the robot's base frame, and why there is none."""
    if not hand.wrist:
        return None, 'the scale is unknown: hand_node has no CameraInfo'
    transform = to_base(frame)
    if transform is None:
        return None, f'no transform from {frame or "the camera, whose frame_id is empty,"} to base_frame'
    position, orientation = hand.wrist[0].pose.position, hand.wrist[0].pose.orientation
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    if not 0.9 < math.hypot(*quaternion) < 1.1:
        return None, f'the orientation {quaternion.round(3).tolist()} is none'
    place = np.array([position.x, position.y, position.z])
    turned = transform.rotation @ quaternion_to_matrix(quaternion)
    return Pose(transform.rotation @ place + transform.translation, turned), ''


def _listed(hands: Sequence[Hand]) -> str:
    """The hands of a message in words."""
    words = [
        f'{"operator" if each.is_operator else "another"}: {_side(each.side)} {each.id}' for each in hands
    ]
    return ', '.join(words) or 'no hand is seen'


def _side(side: int) -> str:
    return {Hand.LEFT: 'left', Hand.RIGHT: 'right'}.get(side, 'unknown')


def joint_state_msg(command: Command, names: Sequence[str], stamp: Time) -> JointState:
    """sensor_msgs/JointState of a command, at the time of the command."""
    return JointState(
        header=Header(stamp=stamp),
        name=list(names),
        position=doubles(command.joints),
        velocity=doubles(command.velocities),
    )


def trajectory_msg(joints: np.ndarray, names: Sequence[str], seconds: float) -> JointTrajectory:
    """trajectory_msgs/JointTrajectory with one point, `seconds` from its arrival.

    The stamp is zero, "now": joint_trajectory_controller refuses a trajectory that lies in the past. The
    point has no velocity: the controller refuses one whose last velocity is not zero.
    """
    point = JointTrajectoryPoint(positions=doubles(joints), time_from_start=to_duration(seconds))
    return JointTrajectory(joint_names=list(names), points=[point])


def commands_msg(joints: np.ndarray) -> Float64MultiArray:
    """std_msgs/Float64MultiArray for forward_command_controller."""
    return Float64MultiArray(data=doubles(joints))


def arm_target_msg(arm: ArmCommand, frame: str, stamp: Time) -> PoseStamped:
    """geometry_msgs/PoseStamped of the tool's target in the base frame."""
    header = Header(stamp=stamp, frame_id=frame)
    return PoseStamped(header=header, pose=to_pose(arm.pose.position, arm.pose.rotation))


def arm_twist_msg(arm: ArmCommand, frame: str, stamp: Time) -> TwistStamped:
    """geometry_msgs/TwistStamped of the tool, on the axes of the base frame."""
    twist = Twist(linear=_vector(arm.linear), angular=_vector(arm.angular))
    return TwistStamped(header=Header(stamp=stamp, frame_id=frame), twist=twist)


def doubles(values: np.ndarray) -> array.array:
    """Values (n,) as rclpy takes them without a check of each."""
    return array.array('d', values.tolist())


def _vector(values: np.ndarray) -> Vector3:
    x, y, z = values.tolist()
    return Vector3(x=x, y=y, z=z)
