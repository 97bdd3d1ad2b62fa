"""Bounds on the speed and acceleration of commands, counted from the last command emitted.

A position follows its target with the highest speed from which it can still brake before the target. Without
a target it brakes. A time step longer than `longest_step` (a stall) moves no further than one of
`longest_step`, and the velocity becomes that which the robot saw: the step over the true time.
"""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import matrix_to_rotvec, rotvec_to_matrix
from maskhand_ros.teleoperation.records import ArmCommand, Pose

REST = 1e-6
"""Speed (rad/s, m/s) below which a command rests."""


class AxisLimiter:
    """Positions (n,) of independent axes, such as joints, or the three of a position."""

    def __init__(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        speed: np.ndarray,
        acceleration: float,
        longest_step: float,
    ) -> None:
        """`lower`, `upper` (n,): bounds of the positions; `speed` (n,) and `acceleration` in units of the
        position and seconds; `longest_step`: seconds."""
        self._lower, self._upper, self._speed = lower, upper, speed
        self._acceleration, self._longest_step = acceleration, longest_step
        self.reset(lower)

    def reset(self, position: np.ndarray) -> None:
        """Begins at rest at `position` (n,), clipped to the bounds."""
        self.position = np.clip(position, self._lower, self._upper)
        self.velocity = np.zeros_like(self.position)

    @property
    def rests(self) -> bool:
        """Whether nothing moves."""
        return bool(np.abs(self.velocity).max() < REST)

    def contains(self, position: np.ndarray) -> bool:
        """Whether a position (n,) is within the bounds."""
        return bool(((position >= self._lower) & (position <= self._upper)).all())

    def step(self, target: np.ndarray | None, seconds: float, scale: float = 1.0) -> np.ndarray:
        """The next position (n,), `seconds` (> 0) after the last one. `target` (n,) or None (brake); `scale`
        0 to 1 of the speed limit."""
        step = min(seconds, self._longest_step)
        wanted = np.zeros_like(self.velocity)
        if target is not None:
            error = np.clip(target, self._lower, self._upper) - self.position
            most = np.minimum(self._speed * scale, braking_speed(np.abs(error), self._acceleration, step))
            wanted = np.sign(error) * np.minimum(most, np.abs(error) / step)
        change = self._acceleration * step
        velocity = self.velocity + np.clip(wanted - self.velocity, -change, change)
        position = np.clip(self.position + velocity * step, self._lower, self._upper)
        self.velocity = (position - self.position) / seconds
        self.position = position
        return position


class RotationLimiter:
    """A rotation (3, 3) whose angular velocity (3,), rad/s, and its change are bounded in length."""

    def __init__(self, speed: float, acceleration: float, longest_step: float) -> None:
        """`speed` in rad/s, `acceleration` in rad/s^2, `longest_step` in seconds."""
        self._speed, self._acceleration, self._longest_step = speed, acceleration, longest_step
        self.reset(np.eye(3))

    def reset(self, rotation: np.ndarray) -> None:
        """Begins at rest at `rotation` (3, 3)."""
        self.rotation, self.velocity = rotation, np.zeros(3)

    @property
    def rests(self) -> bool:
        """Whether nothing turns."""
        return bool(np.linalg.norm(self.velocity) < REST)

    def step(self, target: np.ndarray | None, seconds: float, scale: float = 1.0) -> np.ndarray:
        """The next rotation (3, 3), `seconds` (> 0) after the last one. `target` (3, 3) or None (brake)."""
        step = min(seconds, self._longest_step)
        wanted = np.zeros(3)
        if target is not None:
            error = matrix_to_rotvec(target @ self.rotation.T)
            angle = float(np.linalg.norm(error))
            most = min(self._speed * scale, float(braking_speed(angle, self._acceleration, step)))
            wanted = error * min(1 / step, most / max(angle, 1e-12))
        change = wanted - self.velocity
        change *= min(1.0, self._acceleration * step / max(float(np.linalg.norm(change)), 1e-12))
        turn = (self.velocity + change) * step
        self.rotation = _orthonormal(rotvec_to_matrix(turn) @ self.rotation)
        self.velocity = turn / seconds
        return self.rotation


class ArmLimiter:
    """A pose in the robot's base frame: position within the workspace, both with bounded speed and
    acceleration."""

    def __init__(self, position: AxisLimiter, rotation: RotationLimiter) -> None:
        self._position, self._rotation = position, rotation

    def reset(self, pose: Pose) -> None:
        """Begins at rest at `pose`."""
        self._position.reset(pose.position)
        self._rotation.reset(pose.rotation)

    @property
    def pose(self) -> Pose:
        """The last pose."""
        return Pose(self._position.position, self._rotation.rotation)

    @property
    def rests(self) -> bool:
        """Whether nothing moves."""
        return self._position.rests and self._rotation.rests

    def contains(self, pose: Pose) -> bool:
        """Whether a pose is within the workspace."""
        return self._position.contains(pose.position)

    def step(self, target: Pose | None, seconds: float, scale: float = 1.0) -> ArmCommand:
        """The next pose, `seconds` (> 0) after the last one. `target` None: brake."""
        self._position.step(None if target is None else target.position, seconds, scale)
        self._rotation.step(None if target is None else target.rotation, seconds, scale)
        return ArmCommand(self.pose, self._position.velocity, self._rotation.velocity)


def braking_speed(distance: np.ndarray | float, acceleration: float, step: float) -> np.ndarray:
    """Highest speed (n,) of a step of `step` seconds after which braking with `acceleration`, in steps of
    any duration, ends before `distance` (n,): solves v^2 / 2a + v step = distance."""
    change = acceleration * step
    speed: np.ndarray = np.sqrt(change * change + 2 * acceleration * np.asarray(distance)) - change
    return speed


def _orthonormal(rotation: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) nearest to a product of many."""
    u, _, vt = np.linalg.svd(rotation)
    nearest: np.ndarray = u @ vt
    return nearest
