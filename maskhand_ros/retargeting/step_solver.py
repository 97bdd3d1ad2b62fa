"""Solver of one frame: the step of the joints, within its limits, that lowers the squared errors most."""

from __future__ import annotations

from collections.abc import Sequence

import mink
import numpy as np
import qpsolvers

from maskhand_ros.retargeting.robot_hand import RobotHand

ITERATIONS = 2
"""Linearizations of one frame; the limits of the frame hold for their sum."""
DAMPING = 0.05
"""Weight of the squared step of a joint, as a share of its own curvature of the squared errors (Marquardt
1963): all joints converge alike."""
SHARES = 1.0, 0.5, 0.25, 0.0
"""Shares of a linearized step that are tried, until the errors do not rise."""
POSTURE = 1e-6
"""Weight of the squared angles from rest, m^2/rad^2 against the squared errors in m^2."""


class StepSolver:
    """The configuration of a robot with N commanded joints, moved step by step. Each linearization is a
    quadratic program of mink, in the commanded joints, solved by daqp."""

    def __init__(
        self, robot: RobotHand, tasks: Sequence[mink.Task], collisions: Sequence[mink.Limit]
    ) -> None:
        self._robot, self._tasks, self._collisions = robot, list(tasks), list(collisions)
        self._posture = mink.PostureTask(robot.model, cost=np.sqrt(POSTURE))
        self._posture.set_target(robot.rest)
        self.configuration = mink.Configuration(robot.model)

    def move(self, joints: np.ndarray) -> None:
        """Set the commanded joints (N,)."""
        self.configuration.update(self._robot.expand(joints))

    def step(self, start: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
        """Step (N,) from `start`, between `low` and `high` on each joint; None where none keeps clear of
        collisions. The configuration ends where the step does."""
        step, cost = np.clip(0.0, low, high), self._cost()
        for iteration in range(ITERATIONS):
            more = self._quadratic_program(step, low, high)
            if more is None:
                return step if iteration else None
            step, cost = self._descend(start, step, np.clip(step + more, low, high), cost)
        return step

    def _descend(
        self, start: np.ndarray, old: np.ndarray, new: np.ndarray, cost: float
    ) -> tuple[np.ndarray, float]:
        """The step (N,) from `old` towards `new` that does not raise the squared errors above `cost`, and its
        errors. Where errors stay large the linearization goes too far, and would swing to and fro."""
        for share in SHARES:
            step = old + share * (new - old)
            self.move(start + step)
            reached = self._cost()
            if reached <= cost:
                break
        return step, reached

    def _cost(self) -> float:
        """Weighted sum of the squared errors at the configuration, m^2."""
        errors = [task.cost * task.compute_error(self.configuration) for task in self._tasks]
        away = self.configuration.q - self._robot.rest
        return float(sum(error @ error for error in errors) + POSTURE * away @ away)

    def _quadratic_program(self, step: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
        """The change of this frame's `step` (N,) that keeps it from `low` to `high`; None if none does."""
        tasks = [*self._tasks, self._posture]
        # dt 1: mink divides the distance that is left to a collision by it, but the unknown is the step.
        whole = mink.build_ik(self.configuration, tasks, 1.0, 1e-9, limits=self._collisions)
        expand = self._robot.expansion
        near, bounds = None, None
        if whole.G is not None:
            finite = np.isfinite(whole.h)
            if finite.any():
                near, bounds = whole.G[finite] @ expand, whole.h[finite]
        curvature, slope = expand.T @ whole.P @ expand, expand.T @ whole.q
        damping = DAMPING * np.diag(curvature)
        problem = qpsolvers.Problem(
            curvature + np.diag(damping), slope + damping * step, near, bounds, lb=low - step, ub=high - step
        )
        return qpsolvers.solve_problem(problem, solver='daqp').x
