"""Calibration to the operator's hand: frames of a flat hand, collected for one second."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskhand_ros.teleoperation.records import HandSample

SECONDS = 1.0
"""Duration of the collected frames."""
TIMEOUT = 5.0
"""Seconds after which the calibration ends without enough frames."""
MIN_FRAMES = 10
"""Minimum number of frames."""


class OperatorCalibration:
    """Collects the hand, then calls `calibrate`, and tells `done` (success, what happened) once."""

    def __init__(
        self, calibrate: Callable[[np.ndarray], object], done: Callable[[bool, str], None], now: float
    ) -> None:
        """`calibrate`: function of frames (T, 21, 3), m, in the wrist frame, that raises ValueError where
        they cannot be used; `now`: monotonic s."""
        self._calibrate, self._done, self._until = calibrate, done, now + TIMEOUT
        self._frames: list[np.ndarray] = []
        self._began: float | None = None
        self._id: int | None = None

    def put(self, sample: HandSample, now: float) -> None:
        """Adds an accepted sample of the operator's hand; another hand starts the collection again."""
        if sample.id != self._id:
            self._id, self._began = sample.id, now
            self._frames.clear()
        self._frames.append(sample.keypoints_wrist)

    def is_over(self, now: float) -> bool:
        """Whether enough frames are collected, or TIMEOUT is over."""
        return now > self._until or (self._began is not None and now - self._began >= SECONDS)

    def finish(self) -> None:
        """Calibrates with the collected frames."""
        if len(self._frames) < MIN_FRAMES:
            return self.fail(
                f'{len(self._frames)} frames of the hand in {TIMEOUT:g} s: hold it flat, in view'
            )
        try:
            self._calibrate(np.array(self._frames))
        except ValueError as error:
            return self.fail(str(error))
        self._done(True, f'calibrated with {len(self._frames)} frames of hand {self._id}')

    def fail(self, why: str) -> None:
        """Ends without a calibration."""
        self._done(False, why)
