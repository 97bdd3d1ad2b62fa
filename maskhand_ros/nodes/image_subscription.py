"""Image subscriptions with the reliability that the publishers offer."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from maskhand_ros.nodes.compatibility import subscription_callback
from maskhand_ros.nodes.silence import how_to_subscribe, type_name

_RELIABILITY = {'reliable': ReliabilityPolicy.RELIABLE, 'best_effort': ReliabilityPolicy.BEST_EFFORT}

DEPTH = 5
"""History depth of an image subscription. With a depth of 1 a reliable subscription loses images on a default
Fast DDS, because the next one is assembled from fragments while the last one waits."""

CAMERA_INFO_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""QoS for CameraInfo: best effort is compatible with every publisher."""


class AutoQosSubscription:
    """A subscription whose reliability follows the publishers: reliable if all of them offer it, else best
    effort.

    Best effort is compatible with both kinds, but loses large images on a default Fast DDS; reliable is
    compatible with reliable publishers only. Call `follow_publishers` periodically (the node does so twice a
    second): it replaces the subscription when the publishers' offers change.
    """

    def __init__(
        self,
        node: Node,
        msg_type: type,
        topic: str,
        callback: Callable[..., None],
        policy: str = 'auto',
        suffix: str = '',
        depth: int = DEPTH,
    ) -> None:
        """`topic` is relative and can be remapped; `suffix` is appended to the remapped name, as
        image_transport does. `policy`: auto, reliable or best_effort. `depth`: of the history."""
        self._node, self._msg_type, self._policy, self._depth = node, msg_type, policy, depth
        self._callback = subscription_callback(callback)
        self.topic, self.suffix = node.resolve_topic_name(topic) + suffix, suffix
        self._subscription: Subscription | None = None
        self._subscribe(_RELIABILITY.get(policy, ReliabilityPolicy.BEST_EFFORT))

    def follow_publishers(self) -> None:
        """Replaces the subscription if the publishers' reliability has changed (policy `auto` only)."""
        if self._policy != 'auto':
            return
        offers = [info.qos_profile.reliability for info in self._publishers() if self._has_our_type(info)]
        if not offers:
            return
        all_reliable = all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
        wanted = _RELIABILITY['reliable' if all_reliable else 'best_effort']
        if wanted != self.reliability:
            self._subscribe(wanted)

    def publishers(self) -> int:
        """Number of publishers of the topic."""
        return int(self._node.count_publishers(self.topic))

    def misfits(self) -> list[str]:
        """One line for each incompatible publisher of the topic (another type, or less reliability than
        requested), with the remedy."""
        lines = []
        for info in self._publishers():
            compatible, reason = qos_check_compatible(info.qos_profile, self._qos(self.reliability))
            if not self._has_our_type(info):
                remedy = how_to_subscribe(self.topic, info.topic_type)
                lines.append(f'{info.node_name} sends {info.topic_type}, not {self._type_name}; {remedy}')
            elif compatible == QoSCompatibility.ERROR:
                offered = info.qos_profile.reliability.name.lower()
                lines.append(
                    f'{info.node_name} offers {offered}, image_qos asks for {self.reliability.name.lower()} '
                    f'({reason.removeprefix("ERROR: ").strip("; ")}); set image_qos to auto'
                )
        return lines

    def close(self) -> None:
        """Destroys the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _publishers(self) -> list[TopicEndpointInfo]:
        return self._node.get_publishers_info_by_topic(self.topic)

    def _has_our_type(self, info: TopicEndpointInfo) -> bool:
        return bool(info.topic_type == self._type_name)

    @property
    def _type_name(self) -> str:
        return type_name(self._msg_type)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self.close()
        self._subscription = self._node.create_subscription(
            self._msg_type, self.topic, self._callback, self._qos(reliability)
        )
        self.reliability = reliability  # last: other threads take it as that of the subscription

    def _qos(self, reliability: ReliabilityPolicy) -> QoSProfile:
        return QoSProfile(
            reliability=reliability,
            durability=DurabilityPolicy.VOLATILE,
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
        )
