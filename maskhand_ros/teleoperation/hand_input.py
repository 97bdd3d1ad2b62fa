"""The operator's hand as an input: acceptance of samples, and loss of the hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskhand_ros.errors import BadInput
from maskhand_ros.teleoperation.motion_gate import MotionGate
from maskhand_ros.teleoperation.records import HandSample, Pose

FUTURE = 0.05
"""Seconds that a stamp may be ahead of this clock: two synchronised machines."""
STEADY = 0.2
"""Seconds of uninterrupted samples of one hand before it is followed."""
LEAP = 2.0
"""Gap between two stamps, as a multiple of `max_age`, above which the hand is lost although messages came."""
_CLOCKS = 'Synchronise the clocks (chrony), or set use_sim_time for a recording'


class HandInput:
    """Takes samples of the operator's hand.

    A sample that is refused changes nothing: the last good one stays the newest until it is older than
    `max_age`. So a single bad frame is no loss, and lasting silence, lasting refusal and a lost hand are one
    case.
    """

    def __init__(self, max_age: float) -> None:
        """`max_age`: seconds since the stamp of the image."""
        self._max_age, self._motion = max_age, MotionGate()
        self.newest: HandSample | None = None
        """The last sample that was used; None after a loss."""
        self._seen_at = self._steady_since = 0.0
        """When the image of `newest` was taken, and since when there are samples of this hand; monotonic
        s."""
        self._refusal, self._refused_at = '', 0.0
        self._lost_because = ''

    def put(self, sample: HandSample, age: float, now: float, use: Callable[[HandSample], None]) -> None:
        """Uses a sample, or BadInput. `age`: seconds since its stamp by the ROS clock; `use`: what is done
        with a good one; where that raises BadInput the sample is refused too."""
        try:
            self._check(sample, age)
            use(sample)
        except BadInput as refusal:
            self.refuse(refusal, now)
            raise
        if self.newest is not None and self.newest.id != sample.id:
            self.forget(f'hand {self.newest.id} became hand {sample.id}')
        if self.newest is None:
            self._steady_since = now
        self._motion.passed(sample)
        self.newest, self._seen_at, self._refusal = sample, now - age, ''

    def refuse(self, refusal: BadInput, now: float) -> None:
        """Notes why a message brought no sample."""
        self._refusal, self._refused_at = f'{refusal.reason}: {refusal.seen}', now

    def forget(self, because: str) -> None:
        """Loses the hand, such as when the clock was set."""
        self.newest, self._lost_because = None, because
        self._motion.reset()

    def missing(self, now: float) -> str:
        """Why there is no hand to follow at this time; '' where there is one. The cause of a loss is named
        until the hand is followed again."""
        refusal = self._refusal if now - self._refused_at <= self._max_age else ''
        if self.newest is not None and now - self._seen_at > self._max_age:
            self.forget(refusal or f'no new hands for {self._max_age:g} s')
        if self.newest is None:
            return refusal or self._lost_because or 'no hands have been received'
        if now - self._steady_since < STEADY:
            watched = f'hand {self.newest.id} is watched for {STEADY:g} s'
            return f'{self._lost_because}; {watched}' if self._lost_because else watched
        self._lost_because = ''
        return ''

    def _check(self, sample: HandSample, age: float) -> None:
        """BadInput for a sample that is not fresh, tracked, finite and of possible motion."""
        if not sample.is_tracked:
            raise BadInput('hand not tracked', 'seen too briefly, or predicted', 'Hold the hand in view')
        if age > self._max_age:
            raise BadInput('hands too old', f'{age:.2f} s, limit {self._max_age:g} s', _CLOCKS)
        if age < -FUTURE:
            raise BadInput('hands from the future', f'{-age:.2f} s ahead of this clock', _CLOCKS)
        if not _is_finite(sample):
            raise BadInput('hand with numbers that are not finite', f'hand {sample.id}', 'Report this')
        if sample.wrist_fault:
            raise BadInput('no place of the wrist', sample.wrist_fault, 'The arm cannot follow without it')
        self._check_time(sample)
        self._motion.check(sample)

    def _check_time(self, sample: HandSample) -> None:
        """BadInput, and a loss, where the stamps leap although messages kept coming: the hand may be
        anywhere."""
        gap = 0.0 if self.newest is None else (sample.stamp_ns - self.newest.stamp_ns) * 1e-9
        if gap > LEAP * self._max_age:
            refusal = BadInput('time leapt', f'{gap:.1f} s between two images', _CLOCKS)
            self.forget(f'{refusal.reason}: {refusal.seen}')
            raise refusal


def _is_finite(sample: HandSample) -> bool:
    numbers = [sample.keypoints_wrist, sample.stddev, np.array(sample.confidence)]
    if isinstance(sample.wrist, Pose):
        numbers += [sample.wrist.position, sample.wrist.rotation]
    return all(np.isfinite(each).all() for each in numbers) and bool((sample.stddev >= 0).all())
