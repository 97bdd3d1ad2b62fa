"""Whose turn it is: of two threads that work on one picture after another with one state between them."""

from __future__ import annotations

import threading
import time

_NEWEST = 0.2
"""Weight of the newest in a running mean."""


class Turn:
    """The first thread gives the turn away with each picture and waits until it has it back. Meanwhile it
    prepares for the next; so that it is ready then, and not long before, it is remembered how long both take.
    """

    def __init__(self):
        self._here = threading.Event()
        self._here.set()
        self._given = self._away = self._preparing = None

    @property
    def is_away(self):
        """Whether the second thread has it."""
        return not self._here.is_set()

    def give(self):
        """To the second thread."""
        self._given = time.monotonic()
        self._here.clear()

    def give_back(self):
        """To the first thread."""
        self._away = _mean(self._away, time.monotonic() - self._given)
        self._here.set()

    def wait(self):
        """Until it is the first thread's."""
        self._here.wait()

    def prepared(self, seconds):
        """The first thread needed so long to prepare."""
        self._preparing = _mean(self._preparing, seconds)

    @property
    def slower_half(self):
        """Seconds that the slower of the two needs for a picture."""
        return max(self._away or 0.0, self._preparing or 0.0)

    def wait_till_near(self):
        """Until it is time to prepare for it, as far as that is known."""
        if self._away is not None and self._preparing is not None:
            self._here.wait(max(self._given + self._away - self._preparing - time.monotonic(), 0))


def _mean(before, value):
    return value if before is None else before + _NEWEST * (value - before)
