"""Record of the work of hand_node: rate, stage times, hands, faults. statuses.py publishes it."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np

from maskhand_ros.nodes.faults import RECENT, Faults
from maskhand_ros.nodes.frame_queue import FrameQueue
from maskhand_ros.perception.types import Hand

STUCK = 5.0
"""Processing time of one image, seconds, above which the worker counts as stuck."""


class Diagnostics:
    """Counts, times and faults of the worker. Thread-safe."""

    def __init__(self) -> None:
        self._seen = 0, 0
        self.images, self.calibration, self.depth, self.faults = (Faults() for _ in range(4))
        self._lock = threading.Lock()
        self._finished: deque[float] = deque(maxlen=300)
        self._times: dict[str, deque[float]] = {}
        self._ages: deque[float] = deque(maxlen=30)
        self._busy_since: float | None = None
        self.taken = self.processed = self.with_depth = 0
        self.hands: list[Hand] = []
        self.failure: tuple[str, str] | None = None
        """(what, fix) of a configuration that failed."""
        self.duplicate_name = ''
        """Fault text if another node has the name of this one; else empty."""

    def started(self) -> float:
        """Marks the start of the work on an image; returns its time (monotonic s)."""
        with self._lock:
            self._busy_since = since = time.monotonic()
            self.taken += 1
        return since

    def arrived(self, age: float) -> None:
        """Adds an image that arrived `age` seconds after its stamp by the node's clock."""
        with self._lock:
            self._ages.append(age)

    def finished(self, hands: list[Hand], with_depth: bool, timings: dict[str, float]) -> None:
        """Adds the published Hands of an image, with or without depth; `timings` {stage: seconds}. Call it
        before `ended`: when `busy` is False, the image must be counted."""
        with self._lock:
            self.processed += 1
            self.with_depth += with_depth
            self.hands = hands
            self._finished.append(time.monotonic())
            for stage, seconds in timings.items():
                self._times.setdefault(stage, deque(maxlen=300)).append(seconds)

    def ended(self) -> None:
        """Marks the end of the work on an image, successful or not."""
        with self._lock:
            self._busy_since = None

    def forget_hands(self) -> None:
        """Clears the hands."""
        self.hands = []

    def forget_times(self) -> None:
        """Clears the measured times, which do not hold for other models or another device."""
        with self._lock:
            self._times.clear()
            self._ages.clear()

    @property
    def busy(self) -> bool:
        """Whether the worker processes an image."""
        return self._busy_since is not None

    def rate(self) -> float:
        """Images processed per second over the last seconds."""
        with self._lock:
            since = time.monotonic() - RECENT
            recent = [t for t in self._finished if t > since]
        return (
            (len(recent) - 1) / (recent[-1] - recent[0])
            if len(recent) > 1 and recent[-1] > recent[0]
            else 0.0
        )

    def age(self) -> float:
        """Median time from the stamp of an image to its arrival, by the node's clock, seconds."""
        with self._lock:
            return float(np.median(self._ages)) if self._ages else 0.0

    def losing(self, frames: FrameQueue) -> bool:
        """Whether the middleware lost over a tenth of the images since the last call."""
        received, lost = frames.received - self._seen[0], frames.lost - self._seen[1]
        self._seen = frames.received, frames.lost
        return lost > max(received / 10, 2)

    def stuck(self) -> bool:
        """Whether the worker has been busy with one image for longer than STUCK."""
        with self._lock:
            return self._busy_since is not None and time.monotonic() - self._busy_since > STUCK

    def percentiles(self) -> list[tuple[str, str]]:
        """Pairs (key, value) of the percentiles of the stage times."""
        with self._lock:
            return [
                (f'{stage} p{p} (ms)', f'{np.percentile(times, p) * 1e3:.1f}')
                for stage, times in self._times.items()
                for p in (50, 95, 99)
            ]
