"""The state machine of teleoperation: DISENGAGED, ENGAGING, ENGAGED, HOLDING, each with its reason.

    consent or robot state missing   -> DISENGAGED, from every state
    hand lost                        -> HOLDING (on_lost: hold) or DISENGAGED (stop)
    all is there                     -> ENGAGING, and after `ramp` seconds ENGAGED

From DISENGAGED, and with another hand, following begins only if the confidence of the hand is high enough. A
hand that was followed is followed again at any confidence: a fist has a lower confidence than an open hand,
and operators close their hand to grasp.
"""

from __future__ import annotations

from typing import NamedTuple

from maskhand_ros.teleoperation.records import DISENGAGED, ENGAGED, ENGAGING, HOLDING, State


class Seen(NamedTuple):
    """What an Engagement decides on, at one time: why consent, robot state and hand are missing ('' where
    they are there), and the track id (None without a hand) and confidence of the hand."""

    consent: str
    robot: str
    hand: str
    hand_id: int | None
    confidence: float


class Engagement:
    """State and reason."""

    def __init__(self, ramp: float, min_confidence: float, hold: bool) -> None:
        """`ramp`: seconds; `hold`: whether a loss leads to HOLDING."""
        self._ramp, self._min_confidence, self._hold = ramp, min_confidence, hold
        self.state, self.reason = DISENGAGED, 'just started'
        self._hand_id: int | None = None
        self._began = 0.0

    @property
    def follows(self) -> bool:
        """Whether commands follow the hand."""
        return self.state in (ENGAGING, ENGAGED)

    def scale(self, now: float) -> float:
        """Factor 0 to 1 on the speed limits at monotonic `now`."""
        return min(1.0, max(0.0, (now - self._began) / self._ramp))

    def update(self, seen: Seen, now: float) -> bool:
        """The next state at monotonic `now`. True where following begins: the caller takes new references."""
        if seen.consent or seen.robot:
            self._hand_id = None
            self._become(DISENGAGED, seen.consent or seen.robot)
            return False
        if seen.hand:
            self._lose(seen.hand)
            return False
        if self.follows:
            if self.scale(now) == 1.0:
                self._become(ENGAGED, f'following hand {seen.hand_id}')
            return False
        if seen.hand_id != self._hand_id and seen.confidence < self._min_confidence:
            low = f'hand {seen.hand_id} is seen with confidence {seen.confidence:.2f}'
            self._become(
                self.state, f'{low}, {self._min_confidence:g} is needed: open the hand towards the camera'
            )
            return False
        self._hand_id, self._began = seen.hand_id, now
        self._become(ENGAGING, f'beginning to follow hand {seen.hand_id}')
        return True

    def _lose(self, reason: str) -> None:
        if self.follows and not self._hold:
            self._hand_id = None
        keeps = self._hold and self.state != DISENGAGED
        self._become(HOLDING if keeps else DISENGAGED, reason)

    def _become(self, state: State, reason: str) -> None:
        self.state, self.reason = state, reason
