"""The operator's consent: `engage`, and a dead-man switch that must be held."""

from __future__ import annotations

NOT_ENGAGED = 'not engaged: call the service engage'


class Consent:
    """Whether the operator wants the robot to follow.

    The dead-man switch sends `true` again and again while it is pressed. One `false` counts for a whole
    `timeout`, so that of two switches both must be pressed. Silence while it is pressed is a fault, not a
    release: it takes the engagement back, so that a link that returns does not start the robot.
    """

    def __init__(self, timeout: float, dead_man: bool) -> None:
        """`timeout`: longest silence in seconds. `dead_man` False: no switch, engaged from the start."""
        self._timeout, self._dead_man = timeout, dead_man
        self._engaged, self._why_not = not dead_man, NOT_ENGAGED
        self._heard_at: float | None = None
        self._released_at: float | None = None

    def engage(self, wanted: bool) -> None:
        """The request of the service engage. The switch must be heard after it."""
        self._engaged, self._why_not, self._heard_at = wanted, NOT_ENGAGED, None

    def withdraw(self, why: str) -> None:
        """Takes the engagement back: what happened needs the operator's attention."""
        self._engaged, self._why_not = False, f'{why}: call engage again'

    def put(self, pressed: bool, now: float) -> None:
        """A message of the dead-man switch at monotonic `now`."""
        self._heard_at = now
        if not pressed:
            self._released_at = now

    def missing(self, now: float) -> str:
        """Why there is no consent at monotonic `now`; '' where there is."""
        if not self._engaged or not self._dead_man:
            return '' if self._engaged else self._why_not
        if self._heard_at is None:
            return 'the dead-man switch is not heard'
        if now - self._heard_at > self._timeout:
            was_pressed = self._released_at is None or self._heard_at - self._released_at > self._timeout
            if was_pressed:
                self.withdraw(f'the dead-man switch was silent for {self._timeout:g} s')
                return self._why_not
            return 'the dead-man switch is released'
        if self._released_at is not None and now - self._released_at <= self._timeout:
            return 'the dead-man switch is released'
        return ''
