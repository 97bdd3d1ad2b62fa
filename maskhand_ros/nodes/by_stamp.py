"""Messages of one topic, to be paired with pictures by their stamps."""

from __future__ import annotations

import threading
from collections import OrderedDict

from maskhand_ros.nodes.messages import stamp_to_ns

BACKWARDS_NS = 100_000_000
"""Nanoseconds by which a stamp may be older than one before it: messages overtake each other on the way. One
that goes further back is of another time, such as a bag that was started again."""


class ByStamp:
    """The last few messages of a topic, by their stamp. Filled by the receiving thread, read by the
    worker."""

    def __init__(self, capacity=10):
        self._condition = threading.Condition()
        self._messages = OrderedDict()
        self._capacity = capacity
        self.paired = self.unpaired = 0
        """How often `exact_or_latest` gave the message of the very stamp, and how often another."""

    def put(self, msg):
        """Keeps a message and forgets the oldest, and all those of another time (subscription callback)."""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        with self._condition:
            self._messages.pop(stamp_ns, None)
            for later in [other for other in self._messages if other > stamp_ns + BACKWARDS_NS]:
                del self._messages[later]
            self._messages[stamp_ns] = msg
            while len(self._messages) > self._capacity:
                self._messages.popitem(last=False)
            self._condition.notify()

    def latest(self):
        """The message that came last, None before the first."""
        with self._condition:
            return next(reversed(self._messages.values()), None)

    def exact_or_latest(self, stamp_ns):
        """The message of this very stamp, otherwise the one that came last, otherwise None."""
        with self._condition:
            exact = self._messages.get(stamp_ns)
            found = exact or next(reversed(self._messages.values()), None)
            self.paired += exact is not None
            self.unpaired += exact is None and found is not None
            return found

    def nearest(self, stamp_ns, tolerance_ns, patience):
        """The message nearest in time, None if it is further away than the tolerance.

        Where the last one is older than `stamp_ns`, though within the tolerance, the next one is waited for,
        up to `patience` seconds: that of the same moment may be on its way.
        """
        with self._condition:
            newest = max(self._messages, default=-tolerance_ns)
            if stamp_ns - tolerance_ns <= newest < stamp_ns:
                self._condition.wait_for(lambda: max(self._messages) >= stamp_ns, patience)
            found = min(self._messages, key=lambda stamp: abs(stamp - stamp_ns), default=None)
            return None if found is None or abs(found - stamp_ns) > tolerance_ns else self._messages[found]
