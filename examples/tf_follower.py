"""Pose of the operator's right wrist in the robot's base frame, by TF, for each fresh image.

    python3 tf_follower.py --ros-args -p base_frame:=base_link

Publishes wrist_pose (geometry_msgs/PoseStamped). Needs tf2_ros and a transform from the base to the camera.

TF and hands come by two topics, so that a transform may arrive after the message. A lookup that waits for it
in a callback fails where one thread has to do both. So the TransformListener has a node and a thread of its
own. (`spin_thread=True` on the follower's node is not enough: both threads then run its callbacks.)
"""

from threading import Thread

import rclpy
from geometry_msgs.msg import Point, Pose, PoseStamped
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

from maskhand_ros.msg import Hand, HandArray

MAX_AGE = 0.2  # seconds since the stamp of an image after which its hands are not followed
TIMEOUT = Duration(seconds=0.05)  # longest wait for the transform of an image


class TfFollower(Node):
    """Looks the wrist up at the stamp of each fresh message."""

    def __init__(self) -> None:
        super().__init__('tf_follower')
        self.base = self.declare_parameter('base_frame', 'base_link').value
        self.wrist = self.declare_parameter('wrist_frame', 'right_hand/wrist').value
        self.buffer = Buffer()
        self.listener = TransformListener(self.buffer, Node('tf_follower_listener'))
        Thread(target=spin, args=[self.listener.node]).start()
        self.poses = self.create_publisher(PoseStamped, 'wrist_pose', 1)
        self.create_subscription(HandArray, 'hand_node/hands', self.on_hands, 1)  # 1: no queue of old ones

    def on_hands(self, message: HandArray) -> None:
        """Publish the wrist if the message is fresh and has the operator's right hand."""
        stamp = Time.from_msg(message.header.stamp)
        age = (self.get_clock().now() - stamp).nanoseconds * 1e-9
        if abs(age) > MAX_AGE:
            self.get_logger().warning(f'hands are {age:.2f} s old: not followed', throttle_duration_sec=1.0)
            return
        for hand in message.hands:  # without a known scale (empty wrist) there is no TF
            if hand.is_operator and hand.side == Hand.RIGHT and hand.state == Hand.TRACKED and hand.wrist:
                self.look_up(stamp)

    def look_up(self, stamp: Time) -> None:
        """Publish the pose of the wrist at `stamp`: never the latest one, TF keeps that of a lost hand."""
        try:
            found = self.buffer.lookup_transform(self.base, self.wrist, stamp, TIMEOUT)
        except TransformException as error:
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        place = found.transform.translation
        pose = Pose(position=Point(x=place.x, y=place.y, z=place.z), orientation=found.transform.rotation)
        self.poses.publish(PoseStamped(header=found.header, pose=pose))


def spin(node: Node) -> None:
    """Run the callbacks of a node until Ctrl-C."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok():  # in steps: Ctrl-C does not always wake a second executor
            executor.spin_once(timeout_sec=0.1)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()  # ends the other thread too


if __name__ == '__main__':
    rclpy.init()
    spin(TfFollower())
