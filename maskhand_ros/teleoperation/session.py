"""TeleopSession: hands, robot state and consent in, bounded commands out; on the caller's clock.

hands -> HandInput -> retarget, Clutch -> targets -> AxisLimiter, ArmLimiter -> Command
                      Engagement decides whether targets count
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from maskhand_ros.errors import BadInput
from maskhand_ros.teleoperation.clutch import Clutch
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.consent import Consent
from maskhand_ros.teleoperation.engagement import Engagement, Seen
from maskhand_ros.teleoperation.hand_input import HandInput
from maskhand_ros.teleoperation.limiter import ArmLimiter, AxisLimiter, RotationLimiter
from maskhand_ros.teleoperation.records import HOLDING, Command, HandSample, Pose
from maskhand_ros.teleoperation.robot_input import RobotInput

LONGEST_STEPS = 2.0
"""Periods of `rate` that one command moves at most: a stall does not become a leap."""
MAX_RETARGET_STEP = 0.1
"""Seconds that the retargeting is told at most between two hands."""

MAX_ARM_ERROR = 0.2
"""Distance of the arm's tool from its target, metres, above which the arm counts as not following."""


class Retargeting(Protocol):
    """What a session needs of maskhand_ros.retargeting.Retargeter."""

    @property
    def joint_names(self) -> Sequence[str]:
        """The n joints."""

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower, upper, velocity (n,)."""

    def reset(self, joints: np.ndarray) -> None:
        """Begins at joints (n,)."""

    def __call__(self, keypoints_wrist: np.ndarray, stddev: np.ndarray, dt: float) -> Retargeted:
        """Joints for keypoints (21, 3) m with standard deviations (21,) m, `dt` s after the last ones."""


class Retargeted(Protocol):
    """What a session needs of a RetargetedHand."""

    @property
    def joints(self) -> np.ndarray:
        """(n,) rad."""


@dataclass
class Targets:
    """Where the commands go while a hand is followed; None: not yet known, they rest."""

    joints: np.ndarray | None = None
    arm: Pose | None = None


class TeleopSession:
    """One hand of the operator and one robot. Not thread-safe. `now` is monotonic seconds, the same clock
    everywhere."""

    def __init__(
        self, config: TeleopConfig, retarget: Retargeting, tool_pose: Callable[[], Pose | None] | None = None
    ) -> None:
        """`tool_pose`: function that gives the pose of the arm's tool in its base frame, None where it is
        unknown; without it no arm is moved."""
        lower, upper, velocity = retarget.limits
        longest = LONGEST_STEPS / config.rate
        self.retarget, self._tool_pose = retarget, tool_pose
        self.consent = Consent(config.enable_timeout, config.dead_man)
        self.robot = RobotInput(retarget.joint_names, lower, upper, config.state_timeout)
        self.hand = HandInput(config.max_age)
        self.engagement = Engagement(config.ramp, config.min_confidence, config.on_lost == 'hold')
        speed = np.minimum(velocity, config.joint_speed)
        self._joints = AxisLimiter(lower, upper, speed, config.joint_acceleration, longest)
        lowest, highest = np.array(config.workspace[:3]), np.array(config.workspace[3:])
        self._clutch = Clutch(config.arm_scale)
        position = AxisLimiter(
            lowest, highest, np.full(3, config.arm_speed), config.arm_acceleration, longest
        )
        self._arm = ArmLimiter(
            position, RotationLimiter(config.turn_speed, config.turn_acceleration, longest)
        )
        self._targets, self._emitting = Targets(), False
        self._stepped_at = self._retargeted_at = 0.0
        self.retargeted: Retargeted | None = None
        """The last hand that was retargeted."""

    @property
    def arm_pose(self) -> Pose | None:
        """Pose of the tool in the base frame: the last commanded, before any the present one; None where it
        is unknown, or no arm is moved."""
        if self._tool_pose is None:
            return None
        return self._arm.pose if self._emitting else self._tool_pose()

    def put_hand(self, sample: HandSample, age: float, now: float) -> None:
        """A hand of the operator, `age` seconds after the stamp of its image. BadInput if it is not used."""
        self.hand.put(sample, age, now, self._follow)

    def clock_was_set(self) -> None:
        """Ages of stamps have no meaning across a jump of the ROS clock: the hand is lost."""
        self.hand.forget('the clock was set')

    def step(self, now: float) -> Command | None:
        """The next command; None where none is to be sent."""
        self._watch_arm(now)
        began = self.engagement.update(self._seen(now), now)
        if began:
            self._begin(now)
        follows = self.engagement.follows
        if not follows:
            self._targets = Targets()
        at_rest = self._joints.rests and (self._tool_pose is None or self._arm.rests)
        seconds, self._stepped_at = now - self._stepped_at, now
        self._emitting = self._emitting and (follows or self.engagement.state == HOLDING or not at_rest)
        return self._command(seconds, self.engagement.scale(now)) if self._emitting and seconds > 0 else None

    def _seen(self, now: float) -> Seen:
        hand, newest = self.hand.missing(now), self.hand.newest
        return Seen(
            self.consent.missing(now),
            self._robot_missing(now),
            hand,
            None if newest is None else newest.id,
            0.0 if newest is None else newest.confidence,
        )

    def _robot_missing(self, now: float) -> str:
        """Reason why the robot's state is unknown or commands cannot start from it; '' if there is none."""
        missing = self.robot.missing(now)
        tool = None if self._tool_pose is None else self._tool_pose()
        if missing or (self._tool_pose is not None and tool is None):
            return missing or 'the pose of tool_frame in base_frame is unknown'
        if self._emitting:
            return ''
        if tool is not None and not self._arm.contains(tool):
            where = np.array2string(tool.position, precision=2)
            return f'the tool is outside of the workspace: {where} m in base_frame'
        return self.robot.outside()

    def _watch_arm(self, now: float) -> None:
        """Withdraws the consent if the arm does not follow its commands, as after an emergency stop: when it
        is released, the arm must not start to move. Fingers are not checked, because they hold objects."""
        if not self._emitting or self._tool_pose is None or self.robot.missing(now):
            return
        tool = self._tool_pose()
        if tool is None:
            return
        distance = math.dist(tool.position, self._arm.pose.position)
        if distance > MAX_ARM_ERROR:
            self.consent.withdraw(f'the arm does not follow: {distance:.2f} m from its target')

    def _begin(self, now: float) -> None:
        """Takes references: the robot's measured state, or the last command while commands are still sent."""
        if not self._emitting:
            self._joints.reset(self.robot.positions)
            if self._tool_pose is not None:
                tool = self._tool_pose()
                assert tool is not None  # _robot_missing
                self._arm.reset(tool)
            self._stepped_at, self._emitting = now, True
        self.retarget.reset(self._joints.position)
        self._retargeted_at = 0.0
        newest = self.hand.newest
        assert newest is not None  # the engagement has a hand
        if newest.wrist is not None:
            self._clutch.couple(newest.wrist, self._arm.pose)

    def _follow(self, sample: HandSample) -> None:
        """Sets the targets for a hand while one is followed. BadInput where the retargeting fails."""
        newest = self.hand.newest
        if not self.engagement.follows or newest is None or newest.id != sample.id:
            return
        stamp = sample.stamp_ns * 1e-9
        seconds = min(max(stamp - self._retargeted_at, 1e-3), MAX_RETARGET_STEP)
        try:
            found = self.retarget(sample.keypoints_wrist, sample.stddev, seconds)
        except (ValueError, RuntimeError, ArithmeticError) as error:
            raise BadInput('retargeting failed', str(error), 'Report this with the log') from error
        if not np.isfinite(found.joints).all():
            raise BadInput('retargeting failed', 'joints that are not finite', 'Report this with the log')
        self._retargeted_at, self.retargeted = stamp, found
        self._targets.joints = found.joints
        if sample.wrist is not None and self._tool_pose is not None:
            self._targets.arm = self._clutch.target(sample.wrist)

    def _command(self, seconds: float, scale: float) -> Command:
        joints = self._joints.step(self._targets.joints, seconds, scale)
        arm = None if self._tool_pose is None else self._arm.step(self._targets.arm, seconds, scale)
        return Command(joints, self._joints.velocity, arm)
