"""Faults by reason: how many, when last, and what to do about each."""

from __future__ import annotations

import threading
import time
from collections import Counter

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger

RECENT = 5.0
"""Seconds for which a fault keeps its status at WARN."""

REPEAT = 10.0
"""Seconds after which the log says again what still lasts."""


class Reminders:
    """Log lines about what is wrong for as long as it lasts: one when it begins or changes, then at most one
    every REPEAT seconds."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._said: dict[str, tuple[str, float]] = {}

    def update(self, part: str, text: str) -> None:
        """What is wrong with a part now; '' where nothing is."""
        said, at = self._said.get(part, ('', -np.inf))
        if text and (text != said or time.monotonic() - at >= REPEAT):
            self._logger.warning(text)
            self._said[part] = text, time.monotonic()


class Faults:
    """Counts faults by reason and keeps the remedy of each. Safe to use from several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._counts, self._remedies, self._last = Counter(), {}, {}

    def add(self, reason, remedy):
        """Counts one; True for the first of its kind in a while, which is worth a line in the log."""
        with self._lock:
            now = time.monotonic()
            fresh = now - self._last.get(reason, -np.inf) > RECENT
            self._counts[reason] += 1
            self._remedies[reason], self._last[reason] = remedy, now
            return fresh

    def recent(self):
        """[(reason, remedy)] of the last seconds, newest first."""
        with self._lock:
            since = time.monotonic() - RECENT
            return [
                (reason, self._remedies[reason])
                for reason, at in sorted(self._last.items(), key=lambda item: -item[1])
                if at > since
            ]

    def values(self):
        """Pairs (key, value): a count and a remedy for each reason."""
        with self._lock:
            return [
                pair
                for reason, count in sorted(self._counts.items())
                for pair in ((f'{reason}: count', count), (f'{reason}: remedy', self._remedies[reason]))
            ]
