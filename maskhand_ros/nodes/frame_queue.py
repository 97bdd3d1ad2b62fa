"""The queue between the executor's thread and the worker's. It holds at most two images, which limits the
latency."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

CAPACITY = 2
"""Maximum number of waiting images. Two, because delayed images often arrive together."""

HAND_OVER = 0.001
"""Maximum time for which `put` waits until a free worker has taken the image, seconds. Otherwise the executor
keeps Python's interpreter lock until it has prepared its next wait, 0.4 ms."""

LONGEST_WAIT = 0.08
"""Maximum waiting time of an image while there is a newer one, seconds."""

_GAP, _PUBLISHERS = 300, 8
"""Largest gap in sequence numbers that counts as lost images (10 s at 30 Hz): a wider one means another
publisher, where the middleware gives no publisher_gid. Maximum number of publishers that are remembered."""


class FrameQueue:
    """The images that wait for the worker.

    An image that comes while CAPACITY wait replaces all of them: the worker is slower than the camera, and
    only the newest image is worth processing. `received` counts images sent to us; `dropped` those that newer
    ones replaced here; `lost` those that the middleware lost (gaps in the publisher's sequence numbers).
    `is_awaited`: whether the worker waits for an image.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: function that gives monotonic seconds."""
        self._clock, self._condition = clock, threading.Condition()
        self._waiting: deque[tuple[Any, float]] = deque()
        self._last_sequence: dict[str, int] = {}
        self._last_arrival = clock()
        self.received = self.dropped = self.lost = 0
        self.is_awaited = False

    def put(self, msg: Any, info: dict[str, Any]) -> None:
        """Adds an image message with its MessageInfo (subscription callback)."""
        with self._condition:
            missed = self._missed(info)
            self.received += 1 + missed
            self.lost += missed
            self._last_arrival = self._clock()
            if len(self._waiting) == CAPACITY:
                self._drop(CAPACITY)
            self._waiting.append((msg, self._last_arrival))
            self._condition.notify_all()
            if self.is_awaited:
                self._condition.wait_for(lambda: not self._waiting, HAND_OVER)

    def take(self, timeout: float) -> tuple[Any, float] | None:
        """The next image and its arrival (monotonic s); None after `timeout` s without one."""
        with self._condition:
            self.is_awaited = True
            self._condition.wait_for(lambda: self._waiting, timeout)
            self.is_awaited = False
            self._condition.notify_all()
            if len(self._waiting) > 1 and self._clock() - self._waiting[0][1] > LONGEST_WAIT:
                self._drop(len(self._waiting) - 1)
            return self._waiting.popleft() if self._waiting else None

    def age(self) -> float:
        """Seconds since the last image came, or since the queue was made."""
        return self._clock() - self._last_arrival

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self.dropped += count

    def _missed(self, info: dict[str, Any]) -> int:
        """Images of this publisher that the middleware lost since its last one."""
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
