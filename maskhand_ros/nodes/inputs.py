"""What hand_node subscribes to: pictures, and beside them CameraInfo and depth, paired by stamp."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.by_stamp import ByStamp
from maskhand_ros.nodes.depth_input import DepthInput
from maskhand_ros.nodes.frame_queue import FrameQueue
from maskhand_ros.nodes.image_subscription import SMALL, AutoQosSubscription
from maskhand_ros.nodes.silence import why_no_camera_info


class Inputs:
    """The subscriptions of an active node and what they hold: `frames`, `infos`, `depth` (None
    where it is not asked for)."""

    def __init__(self, node):
        self._node = node
        self.frames = FrameQueue()
        self.infos = ByStamp()
        policy = node.get_parameter('image_qos').value
        compressed = node.get_parameter('compressed').value
        self.image = AutoQosSubscription(
            node,
            CompressedImage if compressed else Image,
            'image',
            self.frames.put,
            policy,
            suffix='/compressed' if compressed else '',
        )
        self._infos = node.create_subscription(CameraInfo, 'camera_info', self.infos.put, SMALL)
        self._info_topic = node.resolve_topic_name('camera_info')
        self._why_no_info = why_no_camera_info(node, self._info_topic)
        use_depth, mirrored = node.get_parameter('use_depth').value, node.pipeline.config.mirrored_input
        self.depth = DepthInput(node, mirrored) if use_depth else None

    def follow_publishers(self):
        """Subscribes anew where the publishers now offer another reliability, and looks why there is no
        CameraInfo."""
        self.image.follow_publishers()
        if self.infos.latest() is None:
            self._why_no_info = why_no_camera_info(self._node, self._info_topic)
        if self.depth is not None:
            self.depth.follow_publishers()

    def camera(self, stamp_ns: int, width: int, height: int, rectified: bool) -> Camera:
        """The Camera of an image. Raises BadInput where there is none to be had."""
        if self.infos.latest() is None:
            raise BadInput('no CameraInfo', *self._why_no_info)
        return camera_for(self.infos, stamp_ns, width, height, rectified)

    def close(self):
        """Ends the subscriptions."""
        self.image.close()
        self._node.destroy_subscription(self._infos)
        if self.depth is not None:
            self.depth.close()


def camera_for(infos, stamp_ns, width, height, rectified):
    """The Camera of a picture from CameraInfo messages (ByStamp, not empty). Raises BadInput where the one
    that belongs to it cannot be used.

    A camera driver sends the same calibration with every picture, so the latest one does where the exact one
    is late.
    """
    return decode_camera_info(infos.exact_or_latest(stamp_ns), width, height, rectified)
