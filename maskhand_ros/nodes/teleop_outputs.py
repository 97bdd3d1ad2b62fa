"""Publishers of teleop_node. The messages of a command are built only while their topic has subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from maskhand_ros.errors import ModelError
from maskhand_ros.nodes import teleop_messages as messages
from maskhand_ros.nodes.teleop_markers import teleop_markers
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.records import Command, Pose, State

POINT_PERIODS = 2.0
"""time_from_start of a trajectory point in periods of `rate`: the next one arrives before this one is
reached."""


class TeleopOutputs:
    """Lifecycle publishers of teleop_node and the messages of a command on each of them."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._base_frame, self._config = '', TeleopConfig()
        self._publishers: list[LifecyclePublisher] = []
        self._joint_states = self._publisher(JointState, '~/joint_states')
        self._trajectory = self._publisher(JointTrajectory, '~/joint_trajectory')
        self._commands = self._publisher(Float64MultiArray, '~/commands')
        self._arm_target = self._publisher(PoseStamped, '~/arm_target')
        self._arm_twist = self._publisher(TwistStamped, '~/arm_twist')
        self._markers = self._publisher(MarkerArray, '~/markers')
        self._names: list[str] = []
        self._order: list[int] = []

    def begin(self, config: TeleopConfig, base_frame: str) -> None:
        """Sets what messages need of the parameters; before an activation."""
        self._config, self._base_frame = config, base_frame

    def name_joints(self, names: Sequence[str], ordered: Sequence[str]) -> None:
        """Sets the joints of a Command, and those of ~/commands and ~/joint_trajectory in their order (none:
        all). ModelError for one that the robot lacks."""
        self._names = list(names)
        wanted = [name for name in ordered if name] or self._names
        unknown = [name for name in wanted if name not in self._names]
        if unknown:
            what = f'parameter `joints` names {", ".join(unknown)[:200]}, which the robot does not have'
            raise ModelError(what, f'name some of {", ".join(self._names)[:400]}')
        self._order = [self._names.index(name) for name in wanted]

    def publish(self, command: Command, stamp: Time) -> None:
        """Publishes a command; `stamp`: when it was made, ROS time."""
        if _wanted(self._joint_states):
            self._joint_states.publish(messages.joint_state_msg(command, self._names, stamp))
        joints = command.joints[self._order]
        if _wanted(self._commands):
            self._commands.publish(messages.commands_msg(joints))
        if _wanted(self._trajectory):
            names = [self._names[index] for index in self._order]
            seconds = POINT_PERIODS / self._config.rate
            self._trajectory.publish(messages.trajectory_msg(joints, names, seconds))
        if command.arm is None:
            return
        if _wanted(self._arm_target):
            self._arm_target.publish(messages.arm_target_msg(command.arm, self._base_frame, stamp))
        if _wanted(self._arm_twist):
            self._arm_twist.publish(messages.arm_twist_msg(command.arm, self._base_frame, stamp))

    def publish_markers(self, target: Pose, state: State, reason: str) -> None:
        """Publishes the workspace, the tool's target and the state for a viewer."""
        if _wanted(self._markers):
            header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._base_frame)
            self._markers.publish(teleop_markers(header, self._config.workspace, target, state, reason))

    def close(self) -> None:
        """Destroys the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def _publisher(self, kind: type, topic: str) -> LifecyclePublisher:
        made = self._node.create_lifecycle_publisher(kind, topic, 1)
        self._publishers.append(made)
        return made


def _wanted(publisher: Publisher) -> bool:
    """Whether the topic has subscribers."""
    return bool(publisher.get_subscription_count() > 0)
