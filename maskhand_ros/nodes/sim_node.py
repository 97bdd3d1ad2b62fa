"""sim_node: a simulated Allegro hand above a table with a cube (MuJoCo), on the topics of real controllers.

    hand_controller/joint_trajectory or hand_controller/commands, arm_controller/target_pose
      -> physics in real time -> joint_states, /tf, robot_description, ~/view

The hand's base goes where an arm would carry it. Without a display: ~/view is rendered in memory.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose as PoseMsg
from geometry_msgs.msg import PoseStamped, Transform, TransformStamped, Vector3
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, Header, String
from tf2_msgs.msg import TFMessage
from trajectory_msgs.msg import JointTrajectory

from maskhand_ros.errors import BadInput, ModelError
from maskhand_ros.geometry import quaternion_to_matrix
from maskhand_ros.nodes.faults import Faults
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.messages import to_quaternion
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.running import run_node
from maskhand_ros.nodes.teleop_messages import doubles
from maskhand_ros.retargeting.config import ROBOTS
from maskhand_ros.retargeting.frames import CAMERA_TO_WORLD
from maskhand_ros.simulation import HandSimulation
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS
from maskhand_ros.teleoperation.records import Pose

WORLD, TOOL, CUBE = 'world', 'palm_link', 'cube'
"""Frames: the table's, the hand's base, and the cube's centre."""
RATE, VIEW_RATE = 100.0, 10.0
"""Hz of physics, joint states and TF, and of the view."""
LONGEST_STEP = 0.1
"""Seconds that the physics advance at once: on a machine that is too slow it falls behind real time."""


class SimNode(Node):
    """Parameters: `side` of the hand (right or left), `camera_frame` (optical frame of the camera that the
    operator faces; empty: no transform to it), `width` and `height` of ~/view (px), `seed` (place of the
    cube)."""

    def __init__(self, **options: Any) -> None:
        """`options`: those of rclpy's Node."""
        super().__init__('sim_node', **options)
        # First: destroy_node needs them where a parameter is refused.
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._frame = self.declare_parameter('camera_frame', 'camera_optical_frame').value
        self._size = [
            self.declare_parameter(name, at).value for name, at in (('width', 480), ('height', 360))
        ]
        side = TELEOP_OPTIONS['side'].check(self.declare_parameter('side', 'right').value)
        seed = self.declare_parameter('seed', 0).value
        self.callback_faults = Faults()
        self._urdf = ROBOTS / f'allegro/allegro_hand_{side}.urdf'
        self.simulation, self._shown = HandSimulation(self._urdf), HandSimulation(self._urdf)
        self.simulation.reset(seed)
        self._names = list(self.simulation.joint_names)
        self._targets = self.simulation.joints
        self._joint_states = self.create_publisher(JointState, 'joint_states', 10)
        self._tf = self.create_publisher(TFMessage, '/tf', 10)
        self._view = self.create_publisher(Image, '~/view', 1)
        self._describe()
        one = QoSProfile(depth=1)
        self.create_subscription(
            JointTrajectory, 'hand_controller/joint_trajectory', self._on_trajectory, one
        )
        self.create_subscription(Float64MultiArray, 'hand_controller/commands', self._on_commands, one)
        self.create_subscription(PoseStamped, 'arm_controller/target_pose', self._on_target_pose, one)
        self._stepped_at = time.monotonic()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / RATE, self._step, clock=steady)
        self._thread.start()

    def destroy_node(self) -> None:
        """Ends the view, then destroys the node."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        super().destroy_node()

    def _describe(self) -> None:
        """Publishes the robot's model and the camera's place, latched."""
        meshes = f'filename="file://{self._urdf.parent}/meshes/'
        text = self._urdf.read_text().replace('filename="meshes/', meshes)
        self._description = self.create_publisher(String, 'robot_description', LATCHED)
        self._description.publish(String(data=text))
        if self._frame:
            static = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            camera = Pose(np.zeros(3), CAMERA_TO_WORLD)
            self._static = self.create_publisher(TFMessage, '/tf_static', static)
            self._static.publish(TFMessage(transforms=[self._transform(camera, self._frame)]))

    def _step(self) -> None:
        """Advances the physics to the present time, and publishes the state."""
        now = time.monotonic()
        with self._lock:
            self.simulation.step(min(now - self._stepped_at, LONGEST_STEP))
            self._stepped_at = now
            base, cube = self.simulation.base_pose, self.simulation.cube_pose
            joints, velocities = self.simulation.joints, self.simulation.velocities
        header = Header(stamp=self.get_clock().now().to_msg())
        self._joint_states.publish(
            JointState(
                header=header, name=self._names, position=doubles(joints), velocity=doubles(velocities)
            )
        )
        self._tf.publish(TFMessage(transforms=[self._transform(base, TOOL), self._transform(cube, CUBE)]))

    def _transform(self, pose: Pose, child: str) -> TransformStamped:
        x, y, z = pose.position.tolist()
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=WORLD)
        transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=to_quaternion(pose.rotation))
        return TransformStamped(header=header, child_frame_id=child, transform=transform)

    # commands

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        """The last point of a trajectory, of some or all joints."""
        if msg.points:
            self._command(msg.joint_names, msg.points[-1].positions)

    def _on_commands(self, msg: Float64MultiArray) -> None:
        self._command(self._names, msg.data)

    def _command(self, names: list[str], values: Any) -> None:
        """Sets the targets of joints by name; a command that cannot be used changes nothing."""
        unknown = [name for name in names if name not in self._names]
        positions = np.array(values, float)
        if unknown or positions.shape != (len(names),) or not np.isfinite(positions).all():
            seen = (
                f'{len(names)} names, {positions.size} values; unknown: {", ".join(unknown)[:100] or "none"}'
            )
            self._refuse(BadInput('command refused', seen, 'Finite numbers for the joints of joint_states'))
            return
        self._targets[[self._names.index(name) for name in names]] = positions
        with self._lock:
            self.simulation.command(self._targets)

    def _on_target_pose(self, msg: PoseStamped) -> None:
        pose = _pose(msg.pose)
        if msg.header.frame_id.lstrip('/') != WORLD or pose is None:
            seen = f'a pose in {msg.header.frame_id!r}' if pose is not None else 'a pose that is not finite'
            self._refuse(BadInput('target_pose refused', seen, f'Poses are in the frame {WORLD}'))
            return
        with self._lock:
            self.simulation.command(self._targets, pose)

    def _refuse(self, refusal: BadInput) -> None:
        if self.callback_faults.add(refusal.reason, refusal.remedy):
            self.get_logger().warning(str(refusal))

    # view

    def _show(self) -> None:
        """Renders and publishes the view in a thread of its own, while somebody looks: rendering in software
        takes as long as five steps."""
        while not self._ended.wait(1 / VIEW_RATE):
            if not self._view.get_subscription_count():
                continue
            with self._lock:
                self._shown.copy_state(self.simulation)
            try:
                rgb = self._shown.render(*self._size)
            except ModelError as error:
                self.get_logger().error(f'no ~/view: {error}')
                return
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id=WORLD)
            self._view.publish(encode_image(rgb, header))


def _pose(msg: PoseMsg) -> Pose | None:
    """The Pose of a message; None where it has none."""
    position, orientation = msg.position, msg.orientation
    place = np.array([position.x, position.y, position.z])
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    if not np.isfinite(place).all() or not 0.9 < np.linalg.norm(quaternion) < 1.1:
        return None
    return Pose(place, quaternion_to_matrix(quaternion))


def main(args: list[str] | None = None) -> None:
    """Runs the node until SIGINT or SIGTERM."""
    run_node('sim_node', SimNode, args)


if __name__ == '__main__':
    main()
