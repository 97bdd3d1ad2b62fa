"""Subscriptions to pictures: the reliability that the publishers offer, and the newest frame."""

from __future__ import annotations

import threading
import time
from collections import deque
from statistics import median

import numpy as np
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from maskhand_ros.nodes.compatibility import subscription_callback
from maskhand_ros.nodes.messages import stamp_to_ns
from maskhand_ros.nodes.silence import how_to_subscribe, type_name

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


HAND_OVER = 0.005
"""Seconds that the receiving thread gives an idle worker to fetch a frame."""

WAITING = 4
"""Frames that wait their turn at most, while the worker keeps up."""

LONGEST_WAIT = 0.08
"""Seconds for which a frame waits at most while there is a newer one: hands are for hands that move."""

_KEEPS_UP, _REMEMBERED = 0.9, 30
"""Share of the time from frame to frame that the worker may need for one to count as keeping up, by the last
so many."""

_PLAYED_FAST = 0.75
"""Share of the time between stamps: where frames come closer together than this, it is not for bursts."""

_GAP, _PUBLISHERS = 300, 8
"""Frames that one publisher can lose at once (10 s): a wider gap is another publisher's, where the middleware
does not tell them apart. Publishers whose numbers are remembered."""


class NewestFrame:
    """A mailbox between the receiving and the working thread.

    Where the worker needs longer than the camera, only the newest frame waits, so that its hands are never
    older than they must be. Where it keeps up, up to WAITING do, and none for long: frames that were late on
    the way arrive together, and there is time for each. The others are dropped.

    `received` counts frames sent to us; `dropped` those that newer ones replaced here; `lost` those that the
    middleware replaced or lost (seen as gaps in the publisher's sequence numbers).
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._frames = deque()
        self._awaited = False
        self._stamps, self._arrivals, self._needed = (deque(maxlen=_REMEMBERED) for _ in range(3))
        self._last_sequence, self._taken = {}, None
        self._last_arrival = time.monotonic()
        self.received = self.dropped = self.lost = 0

    def put(self, msg, info):
        """Takes an image message (subscription callback) with its MessageInfo."""
        with self._condition:
            missed = self._missed(info)
            self.received += 1 + missed
            self.lost += missed
            self._last_arrival = time.monotonic()
            self._stamps.append(stamp_to_ns(msg.header.stamp) * 1e-9)
            self._arrivals.append(self._last_arrival)
            self._frames.append((msg, self._last_arrival))
            self._drop_old()
            if self._awaited:
                # Else the next of a burst replaces this one before the interpreter lets the worker run.
                self._condition.notify_all()
                self._condition.wait_for(lambda: not self._frames, HAND_OVER)

    def take(self, timeout):
        """(message, arrival on the monotonic clock in s) of the next frame to look at, or None after
        `timeout` s without one. Who takes one is busy with it until the next call."""
        with self._condition:
            if self._taken is not None:
                self._needed.append(time.monotonic() - self._taken)
                self._drop_old()
            self._awaited = True
            self._condition.wait_for(lambda: self._frames, timeout)
            frame = self._frames.popleft() if self._frames else None
            self._awaited, self._taken = False, frame and time.monotonic()
            self._condition.notify_all()
            return frame

    def _drop_old(self):
        keeps_up = self._needed and median(self._needed) < _KEEPS_UP * self.interval()
        oldest = time.monotonic() - LONGEST_WAIT
        while len(self._frames) > (WAITING if keeps_up else 1) or (
            len(self._frames) > 1 and self._frames[0][1] < oldest
        ):
            self._frames.popleft()
            self.dropped += 1

    def interval(self):
        """Seconds from frame to frame: by the stamps, or by the mean of the arrivals where they say far less
        (a bag played fast). Arrivals in bursts say somewhat more or less."""
        with self._condition:
            if len(self._stamps) < 2:
                return 0.0
            stamped = median(np.diff(self._stamps))
            arrived = (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
            return arrived if arrived < _PLAYED_FAST * stamped else stamped

    @property
    def waiting(self):
        """How many frames wait."""
        return len(self._frames)

    def age(self):
        """Seconds since the last frame came, or since the mailbox was made."""
        return time.monotonic() - self._last_arrival

    def _missed(self, info):
        """Frames of this publisher that the middleware replaced or lost since its last one."""
        sequence = info.get('publication_sequence_number')
        publisher = str(info.get('publisher_gid'))  # absent before Kilted: then all count as one
        if sequence is None:
            return 0
        last = self._last_sequence.pop(publisher, sequence - 1)
        self._last_sequence[publisher] = sequence
        if len(self._last_sequence) > _PUBLISHERS:
            del self._last_sequence[next(iter(self._last_sequence))]
        gap = sequence - last - 1
        return gap if 0 < gap <= _GAP else 0
