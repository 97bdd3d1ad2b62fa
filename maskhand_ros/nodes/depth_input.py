"""The depth picture that goes with a colour picture: paired by stamp, registered here where it is not."""

from __future__ import annotations

import time

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.by_stamp import ByStamp
from maskhand_ros.nodes.frame_names import tf2_name
from maskhand_ros.nodes.image_subscription import SMALL, AutoQosSubscription
from maskhand_ros.nodes.images import decode_depth
from maskhand_ros.nodes.transforms import TransformTree
from maskhand_ros.perception.depth import DepthRegistration, same_camera

MAX_AGE_NS = 100_000_000
"""Nanoseconds between a picture and its depth beyond which the hand has moved on."""

PATIENCE = 0.02
"""Seconds for which a picture waits for the depth of its moment."""

STATIC_SECONDS = 2.0
"""For which the transform to the depth camera is awaited on /tf_static alone."""

REGISTER = 'Register depth to the colour picture in the camera driver (align_depth and the like)'


class DepthInput:
    """Subscriptions to depth/image, depth/camera_info and TF, and what is made of them."""

    def __init__(self, node, mirrored: bool = False):
        """`mirrored`: whether the colour picture is a mirror image, as the pipeline was configured."""
        self._node, self._mirrored = node, mirrored
        self._rectified = node.get_parameter('image_rectified').value
        self._depths, self._infos, self._tree = ByStamp(), ByStamp(), TransformTree()
        policy = node.get_parameter('image_qos').value
        self._images = AutoQosSubscription(node, Image, 'depth/image', self._depths.put, policy)
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._plain = [
            node.create_subscription(CameraInfo, 'depth/camera_info', self._infos.put, SMALL),
            node.create_subscription(TFMessage, '/tf_static', self._tree.put, latched),
        ]
        self._tf = self._astray_since = None
        self._register = self._registered_cameras = None

    def follow_publishers(self):
        """Subscribes anew where the publishers now offer another reliability; and to /tf, which is much to
        listen to on a robot, once /tf_static has turned out not to do."""
        self._images.follow_publishers()
        astray = self._astray_since
        if self._tf is None and astray is not None and time.monotonic() - astray > STATIC_SECONDS:
            self._tf = self._node.create_subscription(TFMessage, '/tf', self._tree.put, 100)
            self._plain.append(self._tf)

    def close(self):
        """Ends the subscriptions."""
        self._images.close()
        for subscription in self._plain:
            self._node.destroy_subscription(subscription)

    def picture_for(self, frame, frame_id, max_pixels, image_frame_id=''):
        """Depth (H, W) float32 metres of a Frame with a camera, seen from it, NaN where unknown. `frame_id`
        is the camera's in TF; depth with none, or with `image_frame_id`, the one in the image message, is in
        the same frame. Raises BadInput where there is none that can be used."""
        msg = self._depths.nearest(frame.stamp_ns, MAX_AGE_NS, PATIENCE)
        if msg is None:
            raise self._missing()
        depth = decode_depth(msg, max_pixels)
        if np.isnan(depth).all():
            raise BadInput(
                'empty depth',
                'no pixel has a reading',
                'Look at the depth camera: covered, too near to the hands, or its projector is off',
            )
        own = tf2_name(msg.header.frame_id)
        same = own in ('', tf2_name(image_frame_id))
        return self._registered(depth, frame_id if same else own, frame, frame_id)

    def _registered(self, depth, depth_frame_id, frame, frame_id):
        """Depth (h, w) of the camera `depth_frame_id` as the Frame's camera sees it (H, W)."""
        info = self._infos.exact_or_latest(frame.stamp_ns)
        if info is None:
            if depth_frame_id == frame_id and depth.shape == frame.rgb.shape[:2]:
                return depth  # nothing says that it is not registered
            raise BadInput(
                'depth without CameraInfo',
                f'{depth.shape[1]} x {depth.shape[0]} from {depth_frame_id!r} for a picture of '
                f'{frame.rgb.shape[1]} x {frame.rgb.shape[0]} from {frame_id!r}',
                f'Publish depth/camera_info beside it. {REGISTER}',
            )
        camera = decode_camera_info(info, depth.shape[1], depth.shape[0], self._rectified)
        if depth_frame_id == frame_id and same_camera(camera, frame.camera):
            return depth
        if self._mirrored:
            raise BadInput('depth beside a mirror image', 'no way leads from one to the other', REGISTER)
        found = self._registration(camera, frame.camera)(depth, *self._way(frame_id, depth_frame_id))
        if np.isnan(found).all():
            raise BadInput(
                'depth beside the picture',
                'no reading falls into it',
                f'Look at the transform from {depth_frame_id!r} to {frame_id!r}. {REGISTER}',
            )
        return found

    def _way(self, frame_id, depth_frame_id):
        """Rotation and translation from the depth camera to the picture's."""
        way = self._tree.lookup(frame_id, depth_frame_id)
        if way is not None:
            self._astray_since = None
            return way
        if self._astray_since is None:
            self._astray_since = time.monotonic()
        raise BadInput(
            'no transform to the depth camera',
            f'from {depth_frame_id!r} to {frame_id!r}',
            f'Publish it on /tf_static (the camera driver, a URDF, static_transform_publisher). {REGISTER}',
        )

    def _registration(self, depth_camera, camera):
        """The DepthRegistration from one Camera to another: the one at hand while they stay the same. Raises
        BadInput."""
        cameras = depth_camera, camera
        if cameras != self._registered_cameras:
            try:
                self._register, self._registered_cameras = DepthRegistration(*cameras), cameras
            except ValueError as error:
                remedy = f'Raise the resolution of depth, or look at its CameraInfo. {REGISTER}'
                raise BadInput('depth too coarse', str(error), remedy) from error
        return self._register

    def _missing(self):
        """The BadInput for a picture to which no depth belongs."""
        if self._depths.latest() is None:
            remedy = f'Publish {self._images.topic}, or remap `depth/image` to its topic'
            return BadInput('no depth', 'none came', remedy)
        remedy = 'Synchronise depth with colour in the camera driver, or raise its rate; one clock for both'
        return BadInput('depth too old', 'none within 100 ms of the picture', remedy)
