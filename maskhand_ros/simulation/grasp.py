"""Whether the hand lifted the cube and put it down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskhand_ros.simulation.hand_simulation import HandSimulation

LIFT, LIFT_SECONDS = 0.05, 0.5
"""Height above the start, m, and for how long, s, the cube must be in the air."""
DOWN = 0.005
"""Height above the start, m, below which it is down again."""


class GraspWatch:
    """The cube of a simulation over time."""

    def __init__(self, simulation: HandSimulation) -> None:
        self._simulation = simulation
        self._start = float(simulation.cube_pose.position[2])
        self._raised_since: float | None = None
        self._lifted = False
        self.lift = 0.0
        """Greatest height above the start, m."""

    def look(self) -> None:
        """Note where the cube is."""
        height = float(self._simulation.cube_pose.position[2]) - self._start
        self.lift = max(self.lift, height)
        now = self._simulation.time
        if height < LIFT:
            self._raised_since = None
        elif self._raised_since is None:
            self._raised_since = now
        elif now - self._raised_since >= LIFT_SECONDS:
            self._lifted = True

    def outcome(self) -> str:
        """What became of the cube: 'lifted and put down', or what is missing."""
        if not self._lifted:
            return 'not lifted'
        simulation = self._simulation
        if simulation.cube_contacts != {'table'}:
            return 'lifted, not released on the table'
        down = float(simulation.cube_pose.position[2]) - self._start < DOWN
        return 'lifted and put down' if down else 'lifted, not put down flat'
