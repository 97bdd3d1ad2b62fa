"""Faults by reason: count, time of the last one, and remedy."""

from __future__ import annotations

import threading
import time
from collections import Counter

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger

RECENT = 5.0
"""Seconds for which a fault keeps its status at WARN."""

REPEAT = 10.0
"""Seconds after which the log repeats a fault that persists."""


class Reminders:
    """Log lines of persistent faults: one when a fault begins or its text changes, then at most one every
    REPEAT seconds."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._logged: dict[str, tuple[str, float]] = {}

    def update(self, part: str, text: str) -> None:
        """Sets the fault of a part; '' where there is none."""
        last, at = self._logged.get(part, ('', -np.inf))
        if text and (text != last or time.monotonic() - at >= REPEAT):
            self._logger.warning(text)
            self._logged[part] = text, time.monotonic()


class Faults:
    """Counts of faults by reason, with the remedy of each. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._remedies: dict[str, str] = {}
        self._last: dict[str, float] = {}

    def add(self, reason: str, remedy: str) -> bool:
        """Counts a fault; True if it is the first of its reason for RECENT seconds and should be logged."""
        with self._lock:
            now = time.monotonic()
            is_new = now - self._last.get(reason, -np.inf) > RECENT
            self._counts[reason] += 1
            self._remedies[reason], self._last[reason] = remedy, now
            return is_new

    def recent(self) -> list[tuple[str, str]]:
        """Pairs (reason, remedy) of the last RECENT seconds, newest first."""
        with self._lock:
            since = time.monotonic() - RECENT
            return [
                (reason, self._remedies[reason])
                for reason, at in sorted(self._last.items(), key=lambda item: -item[1])
                if at > since
            ]

    def values(self) -> list[tuple[str, int | str]]:
        """Pairs (key, value): a count and a remedy for each reason."""
        with self._lock:
            return [
                pair
                for reason, count in sorted(self._counts.items())
                for pair in ((f'{reason}: count', count), (f'{reason}: remedy', self._remedies[reason]))
            ]
