"""The robot's state as an input: positions of its joints by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskhand_ros.errors import BadInput

OUTSIDE = 0.1
"""Distance (rad, m) beyond a limit up to which a joint counts as at it: encoders have offsets."""


class RobotInput:
    """Collects joint states, which may come from several publishers."""

    def __init__(self, names: Sequence[str], lower: np.ndarray, upper: np.ndarray, timeout: float) -> None:
        """`names`: the n joints that are commanded, within `lower` and `upper` (n,); `timeout`: longest
        silence of each, seconds."""
        self._names, self._lower, self._upper, self._timeout = tuple(names), lower, upper, timeout
        self._known: dict[str, tuple[float, float]] = {}

    def put(self, names: Sequence[str], positions: Sequence[float] | np.ndarray, now: float) -> None:
        """Joint positions at monotonic `now`. BadInput if they cannot be used."""
        if len(names) != len(positions):
            seen = f'{len(names)} names, {len(positions)} positions'
            raise BadInput('joint_states without positions', seen, 'Name and position have the same length')
        found = {
            name: float(value) for name, value in zip(names, positions, strict=True) if name in self._names
        }
        wrong = [name for name, value in found.items() if not np.isfinite(value)]
        if wrong:
            remedy = "Look at the robot's driver"
            raise BadInput('joint_states with numbers that are not finite', ', '.join(wrong), remedy)
        self._known.update({name: (value, now) for name, value in found.items()})

    def missing(self, now: float) -> str:
        """Why the state is unknown at monotonic `now`; '' where it is known."""
        never = [name for name in self._names if name not in self._known]
        if never:
            return f'joint_states lack {_some(never)}'
        silent = [name for name in self._names if now - self._known[name][1] > self._timeout]
        return f'no joint_states for {self._timeout:g} s: {_some(silent)}' if silent else ''

    def outside(self) -> str:
        """Which joint is beyond its limits; '' for none. Needs a known state."""
        excess = np.maximum(self._lower - self.positions, self.positions - self._upper)
        worst = int(excess.argmax())
        if excess[worst] <= OUTSIDE:
            return ''
        return (
            f'{self._names[worst]} is {excess[worst]:.2f} beyond its limit: move it by hand, or see its zero'
        )

    @property
    def positions(self) -> np.ndarray:
        """(n,) in the order of the names. Needs a known state."""
        return np.array([self._known[name][0] for name in self._names])


def _some(names: Sequence[str]) -> str:
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(names[:3]) + more
