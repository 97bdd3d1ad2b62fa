"""The work of an active teleop_node: subscriptions, and its TeleopSession stepped at `rate` and by hands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from maskhand_ros.errors import BadInput
from maskhand_ros.msg import HandArray
from maskhand_ros.nodes.teleop_diagnostics import TeleopDiagnostics
from maskhand_ros.nodes.teleop_messages import hand_sample
from maskhand_ros.nodes.teleop_outputs import TeleopOutputs
from maskhand_ros.nodes.tool_frames import ToolFrames
from maskhand_ros.skeleton import Handedness
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.operator_calibration import OperatorCalibration
from maskhand_ros.teleoperation.records import HandSample
from maskhand_ros.teleoperation.session import Retargeting, TeleopSession

if TYPE_CHECKING:
    from maskhand_ros.nodes.teleop_node import TeleopNode

SHORTEST_STEP = 0.002
"""Seconds between two commands, at least: the timer may follow a hand at once."""
LONGEST_BRAKING = 1.0
"""Seconds for which deactivate waits for the motion to end."""
MARKER_PERIOD = 0.1
"""Seconds."""
CLOCK_STEP = 0.05
"""Seconds by which ROS time may change against the machine's steady time between two steps."""
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
ANY = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Receives from publishers of any reliability."""


class TeleopWorker:
    """Subscriptions, timer and session of an active node; everything runs in the executor's thread."""

    def __init__(
        self,
        node: TeleopNode,
        config: TeleopConfig,
        side: Handedness,
        frames: ToolFrames | None,
        retarget: Retargeting,
        outputs: TeleopOutputs,
        diagnostics: TeleopDiagnostics,
    ) -> None:
        """`frames`: None where no arm is moved."""
        self._node, self._outputs, self._diagnostics = node, outputs, diagnostics
        self._side, self._frames = side, frames
        tool_pose = None if self._frames is None else self._frames.tool_pose
        self.session = TeleopSession(config, retarget, tool_pose)
        self._calibration: OperatorCalibration | None = None
        self._rate = config.rate
        self._shown_at = 0.0
        self._stepped_at, self._clock_offset = 0.0, self._ros_time() - time.monotonic()
        self._subscriptions = [
            node.create_subscription(HandArray, 'hands', self._on_hands, NEWEST),
            node.create_subscription(JointState, 'joint_states', self._on_joint_states, ANY),
            node.create_subscription(Bool, 'enable', self._on_enable, ANY),
        ]
        # Steady: while the ROS clock stands still commands must still brake.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1 / config.rate, self._on_timer, clock=steady)

    def close(self) -> None:
        """Brakes, ends commands, and unsubscribes."""
        self._brake()
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._frames is not None:
            self._frames.close()
        if self._calibration is not None:
            self._calibration.fail('teleop_node was deactivated')

    def step(self, sample: HandSample | None = None) -> bool:
        """Steps the session and publishes its command; with the `sample` that caused it, the time since its
        image is noted. False where no command is to be sent."""
        now, stamp = time.monotonic(), self._node.get_clock().now()
        self._stepped_at = now
        command = self.session.step(now)
        if command is not None:
            self._outputs.publish(command, stamp.to_msg())
            self._diagnostics.commands += 1
            if sample is not None and self.session.engagement.follows:
                self._diagnostics.took('image to command', self._ros_time() - sample.stamp_ns * 1e-9)
        if self._calibration is not None and self._calibration.is_over(now):
            self._calibration.finish()
            self._calibration = None
        self._node.tell_state()
        self._show(now)
        return command is not None

    def calibrate(self, calibrate: Callable[[np.ndarray], object]) -> Future:
        """A Future of (success, what happened) of a calibration by `calibrate`, which takes frames (T, 21, 3)
        of the operator's flat hand."""
        done = Future()
        if self._calibration is not None:
            done.set_result((False, 'it is calibrating already'))
            return done
        self._calibration = OperatorCalibration(
            calibrate, lambda success, message: done.set_result((success, message)), time.monotonic()
        )
        return done

    def clock_was_set(self) -> None:
        """The ROS clock has jumped."""
        self.session.clock_was_set()

    def _show(self, now: float) -> None:
        """Publishes markers at MARKER_PERIOD."""
        target, engagement = self.session.arm_pose, self.session.engagement
        if target is not None and now - self._shown_at >= MARKER_PERIOD:
            self._shown_at = now
            self._outputs.publish_markers(target, engagement.state, engagement.reason)

    def _brake(self) -> None:
        """Sends the commands that brake what still moves. After a signal nothing can be published."""
        self.session.consent.engage(False)
        until = time.monotonic() + LONGEST_BRAKING
        while self._node.context.ok() and time.monotonic() < until and self.step():
            time.sleep(1 / self._rate)

    def _on_hands(self, msg: HandArray) -> None:
        arrival, now = time.perf_counter(), time.monotonic()
        try:
            to_base = None if self._frames is None else self._frames.to_base
            sample = hand_sample(msg, self._side, to_base)
        except BadInput as refusal:
            self.session.hand.refuse(refusal, now)
            self._diagnostics.refused(refusal)
            return
        try:
            self._watch_clock()
            self.session.put_hand(sample, self._ros_time() - sample.stamp_ns * 1e-9, now)
        except BadInput as refusal:
            self._diagnostics.refused(refusal)
            return
        if self._calibration is not None:
            self._calibration.put(sample, now)
        self._diagnostics.took('hand to targets', time.perf_counter() - arrival)
        self.step(sample)
        self._timer.reset()

    def _on_joint_states(self, msg: JointState) -> None:
        try:
            self.session.robot.put(msg.name, msg.position, time.monotonic())
        except BadInput as refusal:
            self._diagnostics.refused(refusal)

    def _on_enable(self, msg: Bool) -> None:
        self.session.consent.put(msg.data, time.monotonic())

    def _on_timer(self) -> None:
        self._watch_clock()
        if time.monotonic() - self._stepped_at > SHORTEST_STEP:
            self.step()

    def _watch_clock(self) -> None:
        """Notices a system clock that was set, of which rclpy does not tell; a simulated one may run at any
        rate."""
        offset = self._ros_time() - time.monotonic()
        is_simulated = self._node.get_clock().ros_time_is_active
        if abs(offset - self._clock_offset) > CLOCK_STEP and not is_simulated:
            self.clock_was_set()
        self._clock_offset = offset

    def _ros_time(self) -> float:
        seconds: Any = self._node.get_clock().now().nanoseconds * 1e-9
        return float(seconds)
