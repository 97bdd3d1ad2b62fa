"""Target poses for a robot arm that move as the operator's right hand moves.

    python3 follower.py --ros-args -r target_pose:=/servo_node/pose_target_cmds

Subscribes to hand_node/hands and publishes target_pose (geometry_msgs/PoseStamped) in the camera's frame,
with the stamp of the image. The first target is the parameter `start`: pose of the tool in the camera's frame
(x, y, z in metres, then the quaternion x, y, z, w). A new hand, or one that was away, moves the target from
where it is, so that it never jumps. Old images and hands that are not TRACKED give no target: the robot must
stop when targets stop, as MoveIt Servo does (moveit_servo.yaml). This is no safety device.
"""

import numpy as np
import rclpy
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.time import Time

from maskhand_ros.geometry import matrix_to_quaternion, quaternion_to_matrix
from maskhand_ros.msg import Hand, HandArray

MAX_AGE = 0.2  # seconds since the stamp of an image after which its hands are not followed
MIN_CONFIDENCE = 0.6  # below it a hand may be reconstructed wrongly (README)


class Follower(Node):
    """Moves a target as the operator's right hand moves."""

    def __init__(self) -> None:
        super().__init__('follower')
        start = np.array(self.declare_parameter('start', [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]).value)
        self.position, self.rotation = start[:3], quaternion_to_matrix(start[3:])
        self.hand_id, self.stamp = 0, 0  # of the last message
        self.hand_position, self.hand_rotation = self.position, self.rotation
        self.target = self.create_publisher(PoseStamped, 'target_pose', 1)
        self.create_subscription(HandArray, 'hand_node/hands', self.on_hands, 1)  # 1: no queue of old ones

    def on_hands(self, message: HandArray) -> None:
        """Publish a target if the message is fresh and has the operator's right hand."""
        stamp = Time.from_msg(message.header.stamp)
        age = (self.get_clock().now() - stamp).nanoseconds * 1e-9
        if abs(age) > MAX_AGE:  # in the future: the clocks differ, so that the age is unknown
            self.get_logger().warning(f'hands are {age:.2f} s old: not followed', throttle_duration_sec=1.0)
            return
        for hand in message.hands:  # wrist is empty where the scale is unknown
            seen = hand.is_operator and hand.side == Hand.RIGHT and hand.state == Hand.TRACKED
            if seen and hand.wrist and hand.confidence >= MIN_CONFIDENCE:
                self.move(hand, stamp.nanoseconds)
                self.target.publish(PoseStamped(header=message.header, pose=self.pose()))

    def move(self, hand: Hand, stamp: int) -> None:
        """Move the target as the hand moved since the last message, unless it is another hand."""
        p, q = hand.wrist[0].pose.position, hand.wrist[0].pose.orientation
        position, rotation = np.array([p.x, p.y, p.z]), quaternion_to_matrix([q.x, q.y, q.z, q.w])
        if hand.id == self.hand_id and stamp - self.stamp <= MAX_AGE * 1e9:
            self.position = self.position + position - self.hand_position
            self.rotation = rotation @ self.hand_rotation.T @ self.rotation
        self.hand_id, self.stamp = hand.id, stamp
        self.hand_position, self.hand_rotation = position, rotation

    def pose(self) -> Pose:
        """Return the target as geometry_msgs/Pose."""
        x, y, z = self.position.tolist()
        qx, qy, qz, qw = matrix_to_quaternion(self.rotation).tolist()
        return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


if __name__ == '__main__':
    rclpy.init()
    try:
        rclpy.spin(Follower())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
