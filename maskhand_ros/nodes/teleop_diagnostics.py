"""Record of the work of teleop_node, and its statuses on /diagnostics: state, hands, robot."""

from __future__ import annotations

from collections import deque

import numpy as np

from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.faults import Faults
from maskhand_ros.nodes.statuses import ERROR, OK, WARN, Status
from maskhand_ros.teleoperation.records import ENGAGED, ENGAGING, State
from maskhand_ros.teleoperation.session import TeleopSession


class TeleopDiagnostics:
    """Counts and times."""

    def __init__(self) -> None:
        self.inputs, self.callbacks = Faults(), Faults()
        self.commands = 0
        self.failure: tuple[str, str] | None = None
        """(what, fix) of a transition that failed, or of a robot_description that cannot be used."""
        self._times: dict[str, deque[float]] = {}
        self._new: list[BadInput] = []

    def refused(self, refusal: BadInput) -> None:
        """Counts an input that was not used."""
        if self.inputs.add(refusal.reason, refusal.remedy):
            self._new.append(refusal)

    def take_new(self) -> list[BadInput]:
        """Refusals to be logged, since the last call."""
        new, self._new = self._new, []
        return new

    def took(self, stage: str, seconds: float) -> None:
        """Notes how long a stage took."""
        self._times.setdefault(stage, deque(maxlen=300)).append(seconds)

    def percentiles(self) -> list[tuple[str, str]]:
        """Pairs (key, value) of the times of the stages."""
        return [
            (f'{stage} p{p} (ms)', f'{np.percentile(times, p) * 1e3:.2f}')
            for stage, times in self._times.items()
            for p in (50, 95, 99)
        ]


def teleop_statuses(
    diagnostics: TeleopDiagnostics, state: State, reason: str, session: TeleopSession | None, dead_man: bool
) -> list[Status]:
    """The statuses of the node; `session`: None unless it is active and knows the robot."""
    return [
        _state(diagnostics, state, reason, dead_man),
        _hands(diagnostics, session),
    ]


def _state(diagnostics: TeleopDiagnostics, state: State, reason: str, dead_man: bool) -> Status:
    level, text = OK, f'{state}: {reason}'
    if diagnostics.failure:
        level, text = ERROR, f'{diagnostics.failure[0]}. Fix: {diagnostics.failure[1]}'
    elif not dead_man:
        level, text = WARN, f'{text} | no dead-man switch (dead_man: false): for a simulation only'
    elif state not in (ENGAGING, ENGAGED):
        level = WARN
    values: list[tuple] = [('state', state), ('reason', reason), ('commands', diagnostics.commands)]
    callbacks = diagnostics.callbacks
    if callbacks.recent():
        level, text = ERROR, ' '.join(callbacks.recent()[0])
    return Status('state', level, text, [*values, *diagnostics.percentiles(), *callbacks.values()])


def _hands(diagnostics: TeleopDiagnostics, session: TeleopSession | None) -> Status:
    values: list[tuple] = []
    newest = None if session is None else session.hand.newest
    if newest is not None:
        values = [('hand', newest.id), ('confidence', f'{newest.confidence:.2f}')]
    recent = diagnostics.inputs.recent()
    level, text = (WARN, f'{recent[0][0]}. {recent[0][1]}') if recent else (OK, 'inputs are used')
    return Status('inputs', level, text, [*values, *diagnostics.inputs.values()])
