"""Refusal of motion that no hand makes: a fingertip or a wrist that is elsewhere between two images.

The limits apply to what was measured, not to joint angles: robot joints turn at 25 rad/s in good frames,
because one joint of a robot may stand for two of a hand. Fastest in two real and rendered videos (827
frames): tips 3.1 m/s, wrist 2.7 m/s, 781 degrees/s.
"""

from __future__ import annotations

import math

import numpy as np

from maskhand_ros.errors import BadInput
from maskhand_ros.skeleton import FINGERS, TIP_KEYPOINTS
from maskhand_ros.teleoperation.records import HandSample, Pose

TIP_SPEED = 4.0
"""m/s, relative to the wrist."""
WRIST_SPEED = 3.0
"""m/s."""
WRIST_TURN = math.radians(1000.0)
"""rad/s."""
SHORTEST = 1 / 60
"""Seconds: images that are nearer to each other have the allowance of this time, or noise would be motion."""

LONGEST = 0.1
"""Seconds: after a longer gap the allowance is no larger. A hand that is further away by then is lost, and
followed from a new reference."""

_REMEDY = 'Faster than a hand moves: another hand, a low image rate, or intermittent depth'


class MotionGate:
    """Compares each sample with the last one that passed."""

    def __init__(self) -> None:
        self._last: HandSample | None = None

    def reset(self) -> None:
        """The next sample passes, whatever it is."""
        self._last = None

    def check(self, sample: HandSample) -> None:
        """BadInput if the hand cannot have moved so since the last sample of `passed`."""
        last = self._last
        if last is None or last.id != sample.id:
            return
        since = (sample.stamp_ns - last.stamp_ns) * 1e-9
        if since <= 0:
            remedy = 'Two publishers on one topic, or a recording that was started again'
            raise BadInput('hands out of order', f'{abs(since):.3f} s older than the last', remedy)
        seconds = min(max(since, SHORTEST), LONGEST)
        tips = list(TIP_KEYPOINTS)
        moved = np.linalg.norm(sample.keypoints_wrist[tips] - last.keypoints_wrist[tips], axis=1) / seconds
        fastest = int(moved.argmax())
        if moved[fastest] > TIP_SPEED:
            raise BadInput('impossible motion', f'{FINGERS[fastest]} tip {moved[fastest]:.1f} m/s', _REMEDY)
        if sample.wrist is not None and last.wrist is not None:
            _check_wrist(last.wrist, sample.wrist, seconds)

    def passed(self, sample: HandSample) -> None:
        """The sample is used: the next one is compared with it."""
        self._last = sample


def _check_wrist(before: Pose, now: Pose, seconds: float) -> None:
    speed = math.dist(before.position, now.position) / seconds
    if speed > WRIST_SPEED:
        raise BadInput('impossible motion', f'wrist {speed:.1f} m/s', _REMEDY)
    cosine = (float(np.vdot(before.rotation, now.rotation)) - 1) / 2
    turn = math.acos(min(1.0, max(-1.0, cosine))) / seconds
    if turn > WRIST_TURN:
        raise BadInput('impossible motion', f'wrist {math.degrees(turn):.0f} degrees/s', _REMEDY)
