"""Subscriptions of hand_node: images, CameraInfo and depth, paired by stamp."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.by_stamp import ByStamp
from maskhand_ros.nodes.depth_input import DepthInput
from maskhand_ros.nodes.frame_queue import FrameQueue
from maskhand_ros.nodes.image_subscription import CAMERA_INFO_QOS, AutoQosSubscription
from maskhand_ros.nodes.silence import why_no_camera_info


class Inputs:
    """The subscriptions of an active node and their messages: `frames`, `infos`, `depth` (None unless
    use_depth is set)."""

    def __init__(self, node: Node, mirrored: bool) -> None:
        """`mirrored`: whether images are mirrored, as the pipeline was configured."""
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
        self._infos = node.create_subscription(CameraInfo, 'camera_info', self.infos.put, CAMERA_INFO_QOS)
        self._info_topic = node.resolve_topic_name('camera_info')
        self._why_no_info = why_no_camera_info(node, self._info_topic)
        use_depth = node.get_parameter('use_depth').value
        self.depth = DepthInput(node, mirrored) if use_depth else None
        self._decoded: tuple[tuple, Camera] | None = None

    def follow_publishers(self) -> None:
        """Adapts the subscriptions to the publishers' reliability, and updates why there is no CameraInfo."""
        self.image.follow_publishers()
        if self.infos.latest() is None:
            self._why_no_info = why_no_camera_info(self._node, self._info_topic)
        if self.depth is not None:
            self.depth.follow_publishers()

    def camera(self, stamp_ns: int, width: int, height: int, rectified: bool) -> Camera:
        """The Camera of an image. Raises BadInput where there is no usable CameraInfo.

        A camera driver sends the same calibration with every image, so the latest CameraInfo is used where
        the one of the same stamp has not arrived, and an equal one is not decoded again.
        """
        info = self.infos.exact_or_latest(stamp_ns)
        if info is None:
            raise BadInput('no CameraInfo', *self._why_no_info)
        content = (*_content(info), width, height, rectified)
        if self._decoded is None or self._decoded[0] != content:
            self._decoded = content, decode_camera_info(info, width, height, rectified)
        return self._decoded[1]

    def close(self) -> None:
        """Destroys the subscriptions."""
        self.image.close()
        self._node.destroy_subscription(self._infos)
        if self.depth is not None:
            self.depth.close()


def _content(info: CameraInfo) -> tuple:
    """All that decode_camera_info reads of a CameraInfo, to compare."""
    numbers = (np.asarray(part, float).tobytes() for part in (info.d, info.k, info.p))
    roi = info.roi
    window = roi.x_offset, roi.y_offset, roi.width, roi.height
    return info.width, info.height, info.binning_x, info.binning_y, info.distortion_model, *window, *numbers
