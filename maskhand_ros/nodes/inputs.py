"""What hand_node subscribes to: pictures, and beside them CameraInfo and depth, paired by stamp."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from maskhand_ros.nodes.image_subscription import AutoQosSubscription, NewestFrame
from maskhand_ros.nodes.images import BadInput, decode_camera_info, decode_depth
from maskhand_ros.nodes.messages import stamp_to_ns

SMALL = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For CameraInfo: small messages that every publisher's reliability can serve."""


class Inputs:
    """The subscriptions of an active node and what they hold: `frames`, `infos`, `depths`, `depth_infos`."""

    def __init__(self, node):
        self._node = node
        self.frames = NewestFrame()
        self.infos, self.depths, self.depth_infos = ByStamp(), ByStamp(), ByStamp()
        policy = node.get_parameter('image_qos').value
        compressed = node.get_parameter('compressed').value
        self.image = AutoQosSubscription(
            node,
            CompressedImage if compressed else Image,
            'image',
            lambda msg, info: self.frames.put(msg, info),
            policy,
            suffix='/compressed' if compressed else '',
        )
        self._auto = [self.image]
        self._plain = [node.create_subscription(CameraInfo, 'camera_info', self.infos.put, SMALL)]
        if node.get_parameter('use_depth').value:
            self._auto.append(AutoQosSubscription(node, Image, 'depth/image', self.depths.put, policy))
            self._plain.append(
                node.create_subscription(CameraInfo, 'depth/camera_info', self.depth_infos.put, SMALL)
            )

    def follow_publishers(self):
        """Subscribes anew where the publishers now offer another reliability."""
        for subscription in self._auto:
            subscription.follow_publishers()

    def close(self):
        """Ends the subscriptions."""
        for subscription in self._auto:
            subscription.close()
        for subscription in self._plain:
            self._node.destroy_subscription(subscription)


class ByStamp:
    """The last few messages of a topic, by their stamp. Filled by the receiving thread, read by the
    worker."""

    def __init__(self, capacity=10):
        self._lock = threading.Lock()
        self._messages = OrderedDict()
        self._capacity = capacity

    def put(self, msg):
        """Keeps a message and forgets the oldest (subscription callback)."""
        with self._lock:
            self._messages[stamp_to_ns(msg.header.stamp)] = msg
            self._messages.move_to_end(stamp_to_ns(msg.header.stamp))
            while len(self._messages) > self._capacity:
                self._messages.popitem(last=False)

    def exact_or_latest(self, stamp_ns):
        """The message of this very stamp, otherwise the one that came last, otherwise None."""
        with self._lock:
            return self._messages.get(stamp_ns) or (
                next(reversed(self._messages.values())) if self._messages else None
            )

    def nearest(self, stamp_ns, tolerance_ns):
        """The message nearest in time, None if it is further away than the tolerance."""
        with self._lock:
            found = min(self._messages, key=lambda stamp: abs(stamp - stamp_ns), default=None)
            return None if found is None or abs(found - stamp_ns) > tolerance_ns else self._messages[found]


def camera_for(infos, stamp_ns, width, height, rectified):
    """The Camera of a picture from CameraInfo messages (ByStamp). Raises BadInput where there is none to be
    had.

    A camera driver sends the same calibration with every picture, so the latest one does where the exact one
    is late.
    """
    info = infos.exact_or_latest(stamp_ns)
    if info is None:
        raise BadInput(
            'no CameraInfo', 'none came', 'Publish it beside the image, or remap `camera_info` to its topic'
        )
    return decode_camera_info(info, width, height, rectified)


def depth_for(depths, infos, frame, max_pixels):
    """Depth (H, W) float32 metres of a picture, None if none came within 50 ms of it. Raises BadInput if it
    does not fit.

    The depth picture must be registered: same size, and the same matrix where it has a CameraInfo of its own.
    """
    msg = depths.nearest(frame.stamp_ns, 50_000_000)
    if msg is None:
        return None
    height, width = frame.rgb.shape[:2]
    remedy = 'Register depth to the colour picture (depth_image_proc, or align_depth of the camera driver)'
    if (msg.width, msg.height) != (width, height):
        raise BadInput(
            'depth of another size', f'{msg.width} x {msg.height}, the picture has {width} x {height}', remedy
        )
    info = infos.exact_or_latest(frame.stamp_ns)
    if info is not None and frame.camera is not None:
        own = decode_camera_info(info, width, height)
        if np.abs(own.K - frame.camera.K).max() > 0.02 * frame.camera.K[0, 0]:
            raise BadInput(
                'depth of another camera', 'its CameraInfo has another matrix than the picture', remedy
            )
    return decode_depth(msg, max_pixels)
