"""Keeps latency below a limit by going without things, the dearest last."""

from __future__ import annotations

import dataclasses
from collections import deque

import numpy as np

from maskhand_ros.options import OPTIONS

WINDOW = 15
"""Pictures whose median latency counts; so many are seen after each change before the next."""
_ROOM = 0.7
"""Share of the limit below which something is taken up again."""
_HOLD, _LONGEST_HOLD = 5.0, 60.0
"""Seconds for which there must be room before that; twice as many each time that it proved too much."""
_RELAPSE = 10.0
"""Seconds after taking something up in which a latency above the limit is laid to it."""
_RARELY = 4
"""Factor by which the detector runs less often."""


def savings(config):
    """What a pipeline of this PipelineConfig can go without for the sake of time, first to last: pairs of a
    field and its lesser value. Hands come last, one at a time."""
    steps = []
    if config.hypotheses:
        steps.append(('hypotheses', 0))
    if config.iterations > 1:
        steps.append(('iterations', 1))
    _, longest = OPTIONS['detect_interval'].limits
    steps.append(('detect_interval', min(_RARELY * config.detect_interval, longest)))
    return steps + [('max_hands', hands) for hands in range(config.max_hands - 1, 0, -1)]


def reduced(config, level):
    """The PipelineConfig without the first `level` of its `savings`."""
    return dataclasses.replace(config, **dict(savings(config)[:level]))


class Budget:
    """Decides how much to go without: `level`, 0 to `steps`, so that latency stays below `limit` seconds."""

    def __init__(self, limit, steps):
        self.limit, self.level, self._steps = limit, 0, steps
        self._recent = deque(maxlen=WINDOW)
        self._changed = self._eased = -np.inf
        self._hold = _HOLD

    def observe(self, latency, now):
        """Takes in the latency of a picture that was finished at `now`, both in seconds; True if `level` is
        another after it."""
        self._recent.append(latency)
        if len(self._recent) < WINDOW:
            return False
        median = np.median(self._recent)
        if median > self.limit and self.level < self._steps:
            if now - self._eased < _RELAPSE:
                self._hold = min(2 * self._hold, _LONGEST_HOLD)
            return self._change(1, now)
        if median < _ROOM * self.limit and self.level and now - self._changed > self._hold:
            self._eased = now
            return self._change(-1, now)
        return False

    def _change(self, by, now):
        self.level += by
        self._changed = now
        self._recent.clear()
        return True
