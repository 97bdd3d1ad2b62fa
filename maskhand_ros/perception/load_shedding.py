"""Load shedding: reduces the work per frame to keep latency below a limit; max_hands is reduced last."""

from __future__ import annotations

from collections import deque

import numpy as np

from maskhand_ros.perception.config import PipelineConfig

WINDOW = 15
"""Frames over which the median latency is taken; minimum frames between two changes."""
_UNDO_SHARE = 0.7
"""Share of the limit below which a step is undone."""
_HOLD, _LONGEST_HOLD = 5.0, 60.0
"""Seconds that latency must stay below that share before a step is undone: initial and maximum. Doubled
after each relapse."""
_RELAPSE = 10.0
"""Seconds after undoing a step in which a latency above the limit counts as a relapse."""
_LEAST_SEARCH = 0.001
"""Reduced search budget, seconds per frame."""


def degradation_steps(config: PipelineConfig) -> list[tuple[str, float]]:
    """Steps that reduce the work of a pipeline, in order: a field of PipelineConfig and its reduced value.
    max_hands comes last, one hand at a time."""
    steps: list[tuple[str, float]] = []
    if config.hypotheses:
        steps.append(('hypotheses', 0))
    if config.iterations > 1:
        steps.append(('iterations', 1))
    if not 0 < config.search_budget <= _LEAST_SEARCH:
        steps.append(('search_budget', _LEAST_SEARCH))
    return steps + [('max_hands', hands) for hands in range(config.max_hands - 1, 0, -1)]


class LatencyBudget:
    """Chooses the degradation `level`, 0 to `steps`, so that latency stays below `limit` seconds."""

    def __init__(self, limit: float, steps: int) -> None:
        self.limit, self.level, self._steps = limit, 0, steps
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._changed = self._eased = -np.inf
        self._hold = _HOLD

    def observe(self, latency: float, now: float) -> bool:
        """Adds the latency of a frame finished at `now`, both in seconds. Returns True if `level` changed."""
        self._recent.append(latency)
        if len(self._recent) < WINDOW:
            return False
        median = np.median(self._recent)
        if median > self.limit and self.level < self._steps:
            if now - self._eased < _RELAPSE:
                self._hold = min(2 * self._hold, _LONGEST_HOLD)
            return self._change(1, now)
        if median < _UNDO_SHARE * self.limit and self.level and now - self._changed > self._hold:
            self._eased = now
            return self._change(-1, now)
        return False

    def _change(self, by: int, now: float) -> bool:
        self.level += by
        self._changed = now
        self._recent.clear()
        return True
