"""Subscriptions to pictures: the reliability that the publishers offer, and only the newest frame."""

from __future__ import annotations

import threading
import time

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from maskhand_ros.nodes.compatibility import subscription_callback

_RELIABILITY = {'reliable': ReliabilityPolicy.RELIABLE, 'best_effort': ReliabilityPolicy.BEST_EFFORT}

DEPTH = 5
"""Pictures that the middleware holds for us. The next is being put together from its fragments while the last
waits to be fetched: with one place for both, a reliable reader loses pictures on a default Fast DDS. Those
that are older than the newest, NewestFrame drops and counts."""

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
        self.topic = node.resolve_topic_name(topic) + suffix
        self.reliability = None
        self._subscription = None
        self._subscribe(_RELIABILITY.get(policy, ReliabilityPolicy.BEST_EFFORT))

    def follow_publishers(self):
        """Subscribes anew if the publishers now offer something else (policy `auto` only)."""
        offers = [
            info.qos_profile.reliability for info in self._node.get_publishers_info_by_topic(self.topic)
        ]
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
        """Why nothing can come from a publisher of the topic: one line for each that sends another type or
        offers less than is asked for."""
        lines = []
        for info in self._node.get_publishers_info_by_topic(self.topic):
            compatible, reason = qos_check_compatible(info.qos_profile, self._qos(self.reliability))
            own = self._msg_type.__module__.split('.')[0] + '/msg/' + self._msg_type.__name__
            if info.topic_type != own:
                lines.append(f'{info.node_name} sends {info.topic_type}, not {own}')
            elif compatible == QoSCompatibility.ERROR:
                offered = info.qos_profile.reliability.name.lower()
                lines.append(
                    f'{info.node_name} offers {offered}, image_qos asks for {self.reliability.name.lower()} '
                    f'({reason.removeprefix("ERROR: ").strip("; ")})'
                )
        return lines

    def close(self):
        """Ends the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

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


HAND_OVER = 0.005
"""Seconds that the receiving thread gives an idle worker to fetch a frame."""


class NewestFrame:
    """A mailbox with one slot between the receiving and the working thread: a frame that is not fetched in
    time is dropped.

    `received` counts frames sent to us; `dropped` those that a newer one replaced here; `lost` those that the
    middleware replaced or lost (seen as gaps in the publisher's sequence numbers).
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._slot = None
        self._awaited = False
        self._last_sequence = {}
        self._last_arrival = time.monotonic()
        self.received = self.dropped = self.lost = 0

    def put(self, msg, info):
        """Takes a message (subscription callback) with its MessageInfo; the one that waited is dropped."""
        with self._condition:
            missed = self._missed(info)
            self.received += 1 + missed
            self.lost += missed
            if self._slot is not None:
                self.dropped += 1
            self._last_arrival = time.monotonic()
            self._slot = msg, self._last_arrival
            if self._awaited:
                # Else the next of a burst replaces this one before the interpreter lets the worker run.
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._slot is None, HAND_OVER)

    def take(self, timeout):
        """(message, arrival on the monotonic clock in s) of the newest frame, or None after `timeout` s
        without one."""
        with self._condition:
            self._awaited = True
            self._condition.wait_for(lambda: self._slot is not None, timeout)
            newest, self._slot, self._awaited = self._slot, None, False
            self._condition.notify_all()
            return newest

    def age(self):
        """Seconds since the last frame came, or since the mailbox was made."""
        return time.monotonic() - self._last_arrival

    def _missed(self, info):
        """Frames of this publisher that the middleware replaced or lost since its last one."""
        sequence = info.get('publication_sequence_number')
        publisher = str(info.get('publisher_gid'))  # absent before Kilted: then all count as one
        if sequence is None:
            return 0
        last = self._last_sequence.get(publisher, sequence - 1)
        self._last_sequence[publisher] = sequence
        return max(sequence - last - 1, 0)
