"""Publishers of hand_node. The messages of an image are built only while their topic has subscribers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.msg import HandArray, HandTopology
from maskhand_ros.nodes import messages
from maskhand_ros.nodes.compressed import encode_compressed
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.markers import HandMarkers
from maskhand_ros.nodes.transforms import HandNames, hand_transforms, prefix_for
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.types import TRACKED, Frame, Hand
from maskhand_ros.skeleton import Handedness

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """Lifecycle publishers of hand_node and the messages of an image on each of them."""

    def __init__(
        self, node: LifecycleNode, hand_model: HandModel, network: str, parameters: Mapping[str, Any]
    ) -> None:
        """`network`: name and version of the networks. `parameters`: {name: value} at configuration."""
        self._node, self._hand_model, self._network = node, hand_model, network
        self._publishers: list[LifecyclePublisher] = []
        self._hands = self._publisher(HandArray, '~/hands', 1)
        self._topology = self._publisher(HandTopology, '~/topology', LATCHED)
        self._markers = self._publisher(MarkerArray, '~/markers', 1)
        self._cloud = self._publisher(PointCloud2, '~/keypoints', 1)
        self._overlay = self._publisher(Image, '~/overlay', 1)
        self._overlay_jpeg = self._publisher(CompressedImage, '~/overlay/compressed', 1)
        self._wrists = {
            side: self._publisher(PoseWithCovarianceStamped, f'~/{side}/wrist', 1) for side in Handedness
        }
        self._mirrored = bool(parameters['mirrored_input'])
        self._tf = self._publisher(TFMessage, '/tf', 100)
        self._marker_builder = HandMarkers(hand_model)
        self._names = HandNames(
            int(parameters['max_hands']), prefix_for(str(parameters['tf_prefix']), node.get_namespace())
        )

    def publish_topology(self) -> None:
        """Publishes the constant part of the mesh (latched), once per activation."""
        self._topology.publish(messages.topology_msg(self._hand_model))

    def publish(
        self,
        hands: list[Hand],
        lost_ids: list[int],
        header: Header,
        frame: Frame,
        arrival: float,
    ) -> None:
        """Publishes the hands of one image on all topics, with the image's stamp.

        If `header.frame_id` is empty, of the topics in that frame only `~/hands` is published; otherwise it
        is valid for tf2. `arrival`: of the image (monotonic s).
        """
        # TF first: a subscriber of ~/hands may look up the frames at once.
        self._names.forget(lost_ids)
        if header.frame_id and self._node.get_parameter('publish_tf').value and _has_subscribers(self._tf):
            self._publish_tf(hands, header)
        if _has_subscribers(self._hands):
            self._publish_hands(hands, lost_ids, header, frame, arrival)
        if header.frame_id:
            self._publish_in_camera_frame(hands, header)
        self._publish_overlay(hands, header, frame)

    def close(self) -> None:
        """Destroys the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def _publisher(self, msg_type: type, topic: str, qos: QoSProfile | int) -> LifecyclePublisher:
        publisher = self._node.create_lifecycle_publisher(msg_type, topic, qos)
        self._publishers.append(publisher)
        return publisher

    def _publish_in_camera_frame(self, hands: list[Hand], header: Header) -> None:
        """Publishes wrist poses, markers and keypoints, which are in the frame of the header."""
        for hand in hands:
            wrist = self._wrists[hand.side]
            if (
                hand.operator
                and hand.state == TRACKED
                and hand.wrist_position is not None
                and _has_subscribers(wrist)
            ):
                wrist.publish(messages.wrist_msg(hand, header))
        if _has_subscribers(self._markers):
            self._markers.publish(self._marker_builder.build(hands, header))
        if _has_subscribers(self._cloud):
            self._cloud.publish(messages.cloud_msg(hands, header))

    def _publish_tf(self, hands: list[Hand], header: Header) -> None:
        named = [(hand, self._names.name(hand)) for hand in hands]
        transforms = [t for hand, name in named if name for t in hand_transforms(hand, name, header)]
        if transforms:
            self._tf.publish(TFMessage(transforms=transforms))

    def _publish_hands(
        self,
        hands: list[Hand],
        lost_ids: list[int],
        header: Header,
        frame: Frame,
        arrival: float,
    ) -> None:
        height, width = frame.rgb.shape[:2]
        vertices = self._node.get_parameter('publish_vertices').value
        array = messages.hands_to_msg(
            hands, lost_ids, header, width, height, 0.0, self._hand_model.name, self._network, vertices
        )
        array.processing_time = messages.to_duration(time.monotonic() - arrival)
        self._hands.publish(array)

    def _publish_overlay(self, hands: list[Hand], header: Header, frame: Frame) -> None:
        raw, jpeg = _has_subscribers(self._overlay), _has_subscribers(self._overlay_jpeg)
        if not (raw or jpeg):
            return
        drawn = draw_hands(frame.rgb, hands, frame.camera, self._hand_model.faces, mirrored=self._mirrored)
        if raw:
            self._overlay.publish(encode_image(drawn, header))
        if jpeg:
            quality = self._node.get_parameter('jpeg_quality').value
            self._overlay_jpeg.publish(encode_compressed(drawn, header, quality))


def diagnostics_publisher(node: Node) -> Publisher:
    """The publisher of /diagnostics: not a lifecycle publisher, because it publishes in every state."""
    return node.create_publisher(DiagnosticArray, '/diagnostics', 1)


def _has_subscribers(publisher: Publisher) -> bool:
    """Whether the topic has subscribers."""
    return bool(publisher.get_subscription_count() > 0)
