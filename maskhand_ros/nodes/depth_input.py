"""The depth image of a colour image: paired by stamp, registered to the colour camera where it is not."""

from __future__ import annotations

import time

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.by_stamp import ByStamp
from maskhand_ros.nodes.frame_names import tf2_name
from maskhand_ros.nodes.image_subscription import CAMERA_INFO_QOS, AutoQosSubscription
from maskhand_ros.nodes.images import decode_depth
from maskhand_ros.nodes.transforms import RigidTransform, TransformTree
from maskhand_ros.perception.depth import DepthRegistration, same_camera
from maskhand_ros.perception.types import Frame

MAX_AGE_NS = 100_000_000
"""Nanoseconds between an image and its depth beyond which the hand may have moved."""

DEPTH_WAIT = 0.02
"""Seconds for which an image waits for the depth of its stamp."""

STATIC_TF_WAIT = 2.0
"""Seconds for which the transform to the depth camera is expected on /tf_static alone."""

REGISTER = 'Register depth to the colour image in the camera driver (align_depth and the like)'


class DepthInput:
    """Subscriptions to depth/image, depth/camera_info and TF, and the registration to the colour camera."""

    def __init__(self, node: Node, mirrored: bool = False) -> None:
        """`mirrored`: whether colour images are mirrored, as the pipeline was configured."""
        self._node, self._mirrored = node, mirrored
        self._rectified = node.get_parameter('image_rectified').value
        self._depths, self._infos, self._tree = ByStamp(), ByStamp(), TransformTree()
        policy = node.get_parameter('image_qos').value
        self._images = AutoQosSubscription(node, Image, 'depth/image', self._depths.put, policy)
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions: list[Subscription] = [
            node.create_subscription(CameraInfo, 'depth/camera_info', self._infos.put, CAMERA_INFO_QOS),
            node.create_subscription(TFMessage, '/tf_static', self._tree.put, latched),
        ]
        self._subscribed_to_tf = False
        self._transform_missing_since: float | None = None
        self._registration: DepthRegistration | None = None
        self._registered_cameras: tuple[Camera, Camera] | None = None

    def follow_publishers(self) -> None:
        """Adapts the subscription to the publishers' reliability, and subscribes to /tf if /tf_static has not
        had the transform for STATIC_TF_WAIT (on a robot /tf has a high rate)."""
        self._images.follow_publishers()
        since = self._transform_missing_since
        if not self._subscribed_to_tf and since is not None and time.monotonic() - since > STATIC_TF_WAIT:
            self._subscriptions.append(self._node.create_subscription(TFMessage, '/tf', self._tree.put, 100))
            self._subscribed_to_tf = True

    def close(self) -> None:
        """Destroys the subscriptions."""
        self._images.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def depth_for(self, frame: Frame, frame_id: str, max_pixels: int, image_frame_id: str = '') -> np.ndarray:
        """Depth (H, W) float32 metres in the camera of a Frame, NaN where unknown. Raises BadInput if there
        is none or it is unusable.

        `frame_id`: the camera's frame in TF. `image_frame_id`: frame_id of the image message; depth with the
        same one, or with none, is in the camera's frame.
        """
        assert frame.camera is not None  # the worker asks for depth only where there is a camera
        msg = self._depths.nearest(frame.stamp_ns, MAX_AGE_NS, DEPTH_WAIT)
        if msg is None:
            raise self._missing()
        depth = decode_depth(msg, max_pixels)
        if np.isnan(depth).all():
            raise BadInput(
                'empty depth',
                'no pixel has a reading',
                'Check the depth camera: covered, too near to the hands, or its projector is off',
            )
        depth_frame_id = tf2_name(msg.header.frame_id)
        if depth_frame_id in ('', tf2_name(image_frame_id)):
            depth_frame_id = frame_id
        return self._registered(depth, depth_frame_id, frame, frame.camera, frame_id)

    def _registered(
        self, depth: np.ndarray, depth_frame_id: str, frame: Frame, camera: Camera, frame_id: str
    ) -> np.ndarray:
        """Depth (h, w) of the camera in `depth_frame_id`, registered to the Frame's `camera` (H, W)."""
        info = self._infos.exact_or_latest(frame.stamp_ns)
        if info is None:
            if depth_frame_id == frame_id and depth.shape == frame.rgb.shape[:2]:
                return depth  # taken as registered: same frame, same size
            raise BadInput(
                'depth without CameraInfo',
                f'{depth.shape[1]} x {depth.shape[0]} from {depth_frame_id!r} for an image of '
                f'{frame.rgb.shape[1]} x {frame.rgb.shape[0]} from {frame_id!r}',
                f'Publish depth/camera_info with it. {REGISTER}',
            )
        depth_camera = decode_camera_info(info, depth.shape[1], depth.shape[0], self._rectified)
        if depth_frame_id == frame_id and same_camera(depth_camera, camera):
            return depth
        if self._mirrored:
            raise BadInput(
                'unregistered depth of a mirrored image',
                'depth is registered to unmirrored images only',
                REGISTER,
            )
        register = self._registration_between(depth_camera, camera)
        registered: np.ndarray = register(depth, *self._transform(frame_id, depth_frame_id))
        if np.isnan(registered).all():
            raise BadInput(
                'depth outside the image',
                'no reading projects into it',
                f'Check the transform from {depth_frame_id!r} to {frame_id!r}. {REGISTER}',
            )
        return registered

    def _transform(self, frame_id: str, depth_frame_id: str) -> RigidTransform:
        """The transform from the depth camera to the colour camera."""
        transform = self._tree.lookup(frame_id, depth_frame_id)
        if transform is not None:
            self._transform_missing_since = None
            return transform
        if self._transform_missing_since is None:
            self._transform_missing_since = time.monotonic()
        raise BadInput(
            'no transform to the depth camera',
            f'from {depth_frame_id!r} to {frame_id!r}',
            f'Publish it on /tf_static (the camera driver, a URDF, static_transform_publisher). {REGISTER}',
        )

    def _registration_between(self, depth_camera: Camera, camera: Camera) -> DepthRegistration:
        """The DepthRegistration from one Camera to another; the last one is reused while both are unchanged.
        Raises BadInput."""
        cameras = depth_camera, camera
        if self._registration is None or cameras != self._registered_cameras:
            try:
                self._registration, self._registered_cameras = DepthRegistration(*cameras), cameras
            except ValueError as error:
                remedy = f'Raise the resolution of depth, or check its CameraInfo. {REGISTER}'
                raise BadInput('depth too coarse', str(error), remedy) from error
        return self._registration

    def _missing(self) -> BadInput:
        """The BadInput for an image without depth near its stamp."""
        if self._depths.latest() is None:
            remedy = f'Publish {self._images.topic}, or remap `depth/image` to its topic'
            return BadInput('no depth', 'none received', remedy)
        remedy = 'Synchronise depth with colour in the camera driver, or raise its rate; one clock for both'
        return BadInput('depth too old', 'none within 100 ms of the image', remedy)
