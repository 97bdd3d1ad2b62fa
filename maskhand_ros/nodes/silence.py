"""Explanations for missing images and CameraInfo: the reason, what is published instead, and the remedy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from maskhand_ros.nodes.transports import TYPES, republish

if TYPE_CHECKING:
    from maskhand_ros.nodes.image_subscription import AutoQosSubscription

MAX_NAMED = 5
"""Topics that a message names."""

_PLUGINS = {'compressed', 'compressedDepth', *TYPES.values()}

_UNKNOWN = '_NODE_NAME_UNKNOWN_'
"""Name that the middleware gives a node that is not discovered yet."""


def type_name(message_type: type) -> str:
    """Name of a message class in the graph, such as sensor_msgs/msg/Image."""
    return f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}'


IMAGE, COMPRESSED, CAMERA_INFO = (type_name(each) for each in (Image, CompressedImage, CameraInfo))


class Topic(NamedTuple):
    """A topic that somebody publishes: its type, and the full names of the nodes."""

    name: str
    type: str
    nodes: tuple[str, ...]

    @property
    def base(self) -> str:
        """The name without the suffix that an image_transport plugin adds."""
        base, _, plugin = self.name.rpartition('/')
        return base if self.type != IMAGE and plugin in _PLUGINS else self.name

    def text(self) -> str:
        """The name and the nodes, and for a compressed image how it is subscribed to."""
        notes = [f'by {", ".join(self.nodes)}'] if self.nodes else []
        if self.type == COMPRESSED and self.base != self.name:
            notes.append(f'compressed:=true image:={self.base}')
        return f'{self.name} ({"; ".join(notes)})' if notes else self.name


def why_no_images(node: Node, image: AutoQosSubscription) -> str:
    """Reason why the image subscription of hand_node receives nothing, with the remedy."""
    publishers = node.get_publishers_info_by_topic(image.topic)
    if not publishers:
        return f'nobody publishes it{_instead(node, image)}'
    misfits = image.misfits()
    if misfits:
        return '. '.join(misfits)
    return f'its publisher is silent: {", ".join(_names(publishers))}; check the camera'


def why_no_camera_info(node: Node, topic: str) -> tuple[str, str]:
    """Reason why a subscription to CameraInfo on `topic` receives nothing, and the remedy."""
    publishers = node.get_publishers_info_by_topic(topic)
    seen = f'nobody publishes {topic}'
    if publishers:
        fitting = any(info.topic_type == CAMERA_INFO for info in publishers)
        seen = f'{Topic(topic, CAMERA_INFO, _names(publishers)).text()} '
        seen += 'is silent' if fitting else f'has the type {publishers[0].topic_type}'
    others = [other for other in published(node, (CAMERA_INFO,)) if other.name != topic]
    listed = _listed(others, topic, CAMERA_INFO)
    return seen, f'Publish it beside the image, or remap `camera_info` (launch: camera_info:=TOPIC); {listed}'


def duplicate_name(node: Node) -> str:
    """Fault text if another node has the same name and namespace; else ''."""
    own = node.get_name(), node.get_namespace()
    if node.get_node_names_and_namespaces().count(own) < 2:
        return ''
    return (
        f'another node is named {node.get_fully_qualified_name()} in {_domain()}: services answer for '
        'either, and topics are mixed. Give one another name or namespace (launch: namespace:=NAME), or end '
        'it; one that was killed stays visible for about 20 s'
    )


def published(node: Node, types: Iterable[str]) -> list[Topic]:
    """Topics of these types that other nodes publish."""
    own, wanted, found = node.get_fully_qualified_name(), set(types), []
    for name, held in node.get_topic_names_and_types():
        for kind in wanted.intersection(held):
            infos = [info for info in node.get_publishers_info_by_topic(name) if info.topic_type == kind]
            others = [info for info in infos if _full_name(info) != own]
            if others:
                found.append(Topic(name, kind, _names(others)))
    return found


def how_to_subscribe(topic: str, kind: str) -> str:
    """Arguments of hand.launch.py (parameter and remapping of the node) that subscribe to an image topic of
    the type `kind`."""
    if kind == IMAGE:
        return f'set compressed:=false and image:={topic}'
    if kind == COMPRESSED and topic.endswith('/compressed'):
        return f'set compressed:=true and image:={topic.removesuffix("/compressed")}'
    if kind == COMPRESSED and topic.endswith('/compressedDepth'):
        return republish('compressedDepth', topic)
    if kind == COMPRESSED:
        return f'publish it as {topic}/compressed (a remapping in the camera driver) and set compressed:=true'
    if kind in TYPES:
        return republish(TYPES[kind], topic)
    return 'remap `image` to a topic of images (launch: image:=TOPIC)'


def _instead(node: Node, image: AutoQosSubscription) -> str:
    """Text about what is published instead of an image topic: the same image in another transport, or other
    topics."""
    here = published(node, (IMAGE, COMPRESSED, *TYPES))
    base, wanted = image.topic.removesuffix(image.suffix), COMPRESSED if image.suffix else IMAGE
    same = [topic for topic in here if topic.base in (base, base.removesuffix('/compressed'))]
    if same:
        best = min(same, key=lambda topic: (topic.type != wanted, topic.type not in (IMAGE, COMPRESSED)))
        return f', but {best.name} is there: {how_to_subscribe(best.name, best.type)}'
    listed = _listed(here, base, wanted)
    return f'; {listed}. Start the camera, or remap `image` (launch: image:=TOPIC)'


def _listed(topics: list[Topic], name: str, kind: str) -> str:
    """The topics, those of the type `kind` and with the most similar names to `name` first, and how many more
    there are."""
    what = 'CameraInfo' if kind == CAMERA_INFO else 'Image'
    if not topics:
        return f'no other {what} topic is published in {_domain()}'
    unlike = {topic: -SequenceMatcher(None, name, topic.name).ratio() for topic in topics}
    nearest = sorted(topics, key=lambda topic: (topic.type != kind, unlike[topic], topic.name))
    named = ', '.join(topic.text() for topic in nearest[:MAX_NAMED])
    more = len(topics) - MAX_NAMED
    return f'{what} topics here: {named}{f", and {more} more" if more > 0 else ""}'


def _domain() -> str:
    return f'ROS_DOMAIN_ID {os.environ.get("ROS_DOMAIN_ID", "0")}'


def _names(infos: Iterable[TopicEndpointInfo]) -> tuple[str, ...]:
    """Full names of the nodes of endpoints, each once."""
    return tuple(sorted({_full_name(info) for info in infos if info.node_name != _UNKNOWN}))


def _full_name(info: TopicEndpointInfo) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
