"""Messages of one topic, paired with images by their stamps."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from maskhand_ros.nodes.messages import stamp_to_ns

BACKWARDS_NS = 100_000_000
"""Nanoseconds by which a stamp may be older than one before it: messages can arrive out of order. A larger
step back is a jump of time, such as a bag that was started again."""


class ByStamp:
    """The last few messages of a topic, by stamp. Filled by the executor's thread, read by the worker.

    Messages are `Any`: every type with a std_msgs/Header is accepted.
    """

    def __init__(self, capacity: int = 10) -> None:
        self._condition = threading.Condition()
        self._messages: OrderedDict[int, Any] = OrderedDict()
        self._capacity = capacity
        self.paired = self.unpaired = 0
        """Calls of `exact_or_latest` that returned the message of the same stamp, and of another stamp."""

    def put(self, msg: Any) -> None:
        """Adds a message; drops the oldest beyond the capacity, and after a jump back all later ones
        (subscription callback)."""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        with self._condition:
            self._messages.pop(stamp_ns, None)
            for later in [other for other in self._messages if other > stamp_ns + BACKWARDS_NS]:
                del self._messages[later]
            self._messages[stamp_ns] = msg
            while len(self._messages) > self._capacity:
                self._messages.popitem(last=False)
            self._condition.notify()

    def latest(self) -> Any | None:
        """The message that arrived last, None before the first."""
        with self._condition:
            return next(reversed(self._messages.values()), None)

    def exact_or_latest(self, stamp_ns: int) -> Any | None:
        """The message of the same stamp, otherwise the one that arrived last, otherwise None."""
        with self._condition:
            exact = self._messages.get(stamp_ns)
            found = exact or next(reversed(self._messages.values()), None)
            self.paired += exact is not None
            self.unpaired += exact is None and found is not None
            return found

    def nearest(self, stamp_ns: int, tolerance_ns: int, timeout: float) -> Any | None:
        """The message nearest in time, None if none is within the tolerance.

        If the newest message is within the tolerance but older than `stamp_ns`, the call waits up to
        `timeout` seconds for the next one, which may have exactly this stamp.
        """
        with self._condition:
            newest = max(self._messages, default=-tolerance_ns)
            if stamp_ns - tolerance_ns <= newest < stamp_ns:
                self._condition.wait_for(lambda: max(self._messages) >= stamp_ns, timeout)
            found = min(self._messages, key=lambda stamp: abs(stamp - stamp_ns), default=None)
            return None if found is None or abs(found - stamp_ns) > tolerance_ns else self._messages[found]
