"""One run of teleoperation in the simulation, on the clock of a video."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from maskhand_ros.commands.teleop_frames import WatchedFrame
from maskhand_ros.errors import BadInput
from maskhand_ros.retargeting import Retargeter
from maskhand_ros.simulation import HandSimulation
from maskhand_ros.simulation.grasp import GraspWatch
from maskhand_ros.teleoperation import measures
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.pipeline_hands import sample_of
from maskhand_ros.teleoperation.records import Pose
from maskhand_ros.teleoperation.retarget_log import RetargetLog
from maskhand_ros.teleoperation.session import TeleopSession

TICK = 0.01
"""Seconds between commands, as of teleop_node."""


class OfflineRun:
    """Hands in, motion of a HandSimulation out; `seed` displaces its cube."""

    def __init__(self, simulation: HandSimulation, retargeter: Retargeter, seed: int | None = None) -> None:
        simulation.reset(seed)
        retargeter.reset()
        self._simulation, self._log = simulation, RetargetLog(retargeter)
        config = TeleopConfig(dead_man=False, rate=1 / TICK)
        self._session = TeleopSession(config, self._log, self._tool)
        self._order = [simulation.joint_names.index(name) for name in retargeter.joint_names]
        self._now: float | None = None
        self._emitted: list[tuple[float, np.ndarray]] = []
        self.grasp = GraspWatch(simulation)
        self.refused: Counter[str] = Counter()

    def frame(self, watched: WatchedFrame) -> None:
        """Advances the simulation to the time of a frame, then gives its hand to the session."""
        stamp = watched.stamp_ns * 1e-9
        if self._now is None:
            self._now = stamp - TICK
        while self._now + TICK <= stamp + 1e-6:
            self._now += TICK
            self._tick(self._now)
        reason = self._put(watched, self._now)
        if reason:
            self.refused[reason] += 1

    @property
    def label(self) -> str:
        """State and reason of the engagement, and the height of the cube."""
        engagement = self._session.engagement
        height = self._simulation.cube_pose.position[2]
        return f'{engagement.state}: {engagement.reason}; cube {1e3 * height:.0f} mm'

    def figures(self) -> dict[str, Any]:
        """Figures of retargeting and commands, and the refused frames by reason."""
        seconds = np.array([second for second, _ in self._emitted])
        commands = np.array([joints for _, joints in self._emitted])
        steps = measures.joint_speed(commands, seconds) if len(commands) else 0.0
        return {**self._log.figures(), 'command_speed_rad_s': steps, 'refused_frames': dict(self.refused)}

    def _tick(self, now: float) -> None:
        joints = self._simulation.joints[self._order]
        self._session.robot.put(self._log.joint_names, joints.tolist(), now)
        command = self._session.step(now)
        if command is not None:
            target = self._simulation.joints
            target[self._order] = command.joints
            self._simulation.command(target, None if command.arm is None else command.arm.pose)
            self._emitted.append((now, command.joints))
        self._simulation.step(TICK)
        self.grasp.look()

    def _put(self, watched: WatchedFrame, now: float) -> str:
        """Why the frame was refused; '' if it was used."""
        if watched.operator is None:
            return (
                'no hand of the operator' if not watched.hands else "another hand than the operator's right"
            )
        try:
            self._session.put_hand(sample_of(watched.operator, watched.stamp_ns), 0.0, now)
        except BadInput as refusal:
            return refusal.reason
        return ''

    def _tool(self) -> Pose:
        return self._simulation.base_pose
