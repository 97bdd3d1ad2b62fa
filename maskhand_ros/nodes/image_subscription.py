"""Subscriptions to images with the reliability that the publishers offer."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from maskhand_ros.nodes.compatibility import subscription_callback
from maskhand_ros.nodes.silence import how_to_subscribe, type_name

_RELIABILITY = {'reliable': ReliabilityPolicy.RELIABLE, 'best_effort': ReliabilityPolicy.BEST_EFFORT}

DEPTH = 5
"""Images that the middleware holds for us. With a depth of 1 a reliable reader loses images on a default Fast
DDS, because the next one is assembled from fragments while the last one waits."""

SMALL = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For CameraInfo: small messages that every publisher's reliability can serve."""


class AutoQosSubscription:
    """A subscription whose reliability follows the publishers: reliable if every one offers it, else best
    effort.

    Best effort hears both kinds, but loses big pictures on a default Fast DDS; reliable hears only reliable
    publishers. Call `follow_publishers` now and then (the node does twice a second): it subscribes anew when
    the answer changes. `topic` is relative and remappable; `suffix` is put behind the remapped name, as
    image_transport does.
    """

    def __init__(self, node, msg_type, topic, callback, policy='auto', suffix='', depth=DEPTH):
        self._node, self._msg_type, self._policy, self._depth = node, msg_type, policy, depth
        self._callback = subscription_callback(callback)
        self.topic, self.suffix = node.resolve_topic_name(topic) + suffix, suffix
        self.reliability = None
        self._subscription = None
        self._subscribe(_RELIABILITY.get(policy, ReliabilityPolicy.BEST_EFFORT))

    def follow_publishers(self):
        """Subscribes anew if the publishers now offer something else (policy `auto` only)."""
        offers = [info.qos_profile.reliability for info in self._publishers() if self._is_ours(info)]
        if self._policy != 'auto' or not offers:
            return
        wanted = _RELIABILITY[
            'reliable' if all(o == ReliabilityPolicy.RELIABLE for o in offers) else 'best_effort'
        ]
        if wanted != self.reliability:
            self._subscribe(wanted)

    def publishers(self):
        """How many publishers the topic has."""
        return self._node.count_publishers(self.topic)

    def misfits(self):
        """Why nothing can come from a publisher of the topic, and what to do: one line for each that sends
        another type or offers less than is asked for."""
        lines = []
        for info in self._publishers():
            compatible, reason = qos_check_compatible(info.qos_profile, self._qos(self.reliability))
            if not self._is_ours(info):
                remedy = how_to_subscribe(self.topic, info.topic_type)
                lines.append(f'{info.node_name} sends {info.topic_type}, not {self._type_name}; {remedy}')
            elif compatible == QoSCompatibility.ERROR:
                offered = info.qos_profile.reliability.name.lower()
                lines.append(
                    f'{info.node_name} offers {offered}, image_qos asks for {self.reliability.name.lower()} '
                    f'({reason.removeprefix("ERROR: ").strip("; ")}); set image_qos to auto'
                )
        return lines

    def close(self):
        """Ends the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _publishers(self):
        return self._node.get_publishers_info_by_topic(self.topic)

    def _is_ours(self, info):
        return info.topic_type == self._type_name

    @property
    def _type_name(self):
        return type_name(self._msg_type)

    def _subscribe(self, reliability):
        self.close()
        self._subscription = self._node.create_subscription(
            self._msg_type, self.topic, self._callback, self._qos(reliability)
        )
        self.reliability = reliability

    def _qos(self, reliability):
        return QoSProfile(
            reliability=reliability,
            durability=DurabilityPolicy.VOLATILE,
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
        )
