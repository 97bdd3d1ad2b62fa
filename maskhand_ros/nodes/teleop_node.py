"""teleop_node: a lifecycle node that moves a robot's hand and arm as the operator's hand moves.

    hands, joint_states, enable, /tf -> [TeleopWorker: TeleopSession] -> ~/joint_trajectory, ~/arm_target, ...

The robot's model comes from the parameter `robot` or the topic robot_description. Everything runs in the
executor's thread: a hand takes a few milliseconds.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from maskhand_ros.nodes.faults import Faults
from maskhand_ros.nodes.managed_node import ManagedNode
from maskhand_ros.nodes.outputs import LATCHED, diagnostics_publisher
from maskhand_ros.nodes.robot_model import failure, load_retargeter
from maskhand_ros.nodes.running import run_node
from maskhand_ros.nodes.statuses import diagnostic_array
from maskhand_ros.nodes.teleop_diagnostics import TeleopDiagnostics, teleop_statuses
from maskhand_ros.nodes.teleop_outputs import TeleopOutputs
from maskhand_ros.nodes.teleop_state import StateTopic
from maskhand_ros.nodes.teleop_worker import TeleopWorker
from maskhand_ros.nodes.tool_frames import ToolFrames, frame_names
from maskhand_ros.skeleton import Handedness
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS
from maskhand_ros.teleoperation.records import DISENGAGED, State

if TYPE_CHECKING:
    from maskhand_ros.retargeting import Retargeter

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class TeleopNode(ManagedNode):
    """Lifecycle: configure reads the retargeting and the robot's model, activate subscribes. Commands end
    with deactivate. Parameters are in maskhand_ros/teleoperation/options.py, topics in teleop_worker.py and
    teleop_outputs.py."""

    options = TELEOP_OPTIONS

    def __init__(self, **options: Any) -> None:
        """`options`: those of rclpy's Node."""
        super().__init__('teleop_node', **options)
        self.diagnostics = TeleopDiagnostics()
        self.retargeter: Retargeter | None = None
        self._worker: TeleopWorker | None = None
        self._outputs: TeleopOutputs | None = None
        self._description: Subscription | None = None
        self._is_active = False
        self._side, self._retargeting, self._ordered = 'right', '', ('',)
        self._config, self._frame_names = TeleopConfig(), ('', '')
        self._state_topic = StateTopic(self)
        self._diagnostics_publisher = diagnostics_publisher(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._clock_was_set,
        )
        self.create_service(SetBool, '~/engage', self._engage)
        # A group of its own: a callback that waits keeps those of its group from running.
        own = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, '~/calibrate', self._calibrate, callback_group=own)
        # Last: a refused value raises, and destroy_node needs all of the above.
        self.declare_options()

    @property
    def callback_faults(self) -> Faults:
        """Faults of callbacks, in the diagnostics of the state."""
        return self.diagnostics.callbacks

    # lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Reads the retargeting configuration and the robot's model, or waits for robot_description."""
        values = self.values()
        try:
            TeleopConfig.of(values)
            frame_names(values)
            self._side, self._retargeting, self._ordered = (
                values[name] for name in ('side', 'retargeting', 'joints')
            )
            self._outputs = TeleopOutputs(self)
            if values['robot']:
                self._load(values['robot'])
            else:
                self._description = self.create_subscription(
                    String, 'robot_description', self._on_description, LATCHED
                )
        except Exception as error:
            self._release()
            return self._failed('configure', error)
        self.diagnostics.failure = None
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes; commands begin with the service engage."""
        try:
            self._config, self._frame_names = TeleopConfig.of(self.values()), frame_names(self.values())
        except Exception as error:
            return self._failed('activate', error)
        result = super().on_activate(state)
        self._is_active, self.diagnostics.failure = True, None
        self._start()
        return result

    def destroy_node(self) -> None:
        """Ends commands, then destroys the node."""
        self._stop()
        self._jump_handle.unregister()
        super().destroy_node()

    def tell_state(self) -> None:
        """Publishes the state where it changed, or was not told for a while."""
        self._state_topic.tell(*self._state_and_reason())

    def _start(self) -> None:
        """Makes the worker of an active node that knows its robot."""
        if self._is_active and self.retargeter is not None:
            assert self._outputs is not None  # a configured node has them
            config, (base, tool) = self._config, self._frame_names
            self._outputs.begin(config, base)
            frames = ToolFrames(self, base, tool, config.state_timeout) if base else None
            side = Handedness[self._side.upper()]
            self._worker = TeleopWorker(
                self, config, side, frames, self.retargeter, self._outputs, self.diagnostics
            )
        self.tell_state()

    def _stop(self) -> None:
        """Ends commands and unsubscribes."""
        self._close_worker()
        self._is_active = False
        self.tell_state()

    def _close_worker(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def _release(self) -> None:
        """Releases the robot's model and publishers."""
        if self._outputs is not None:
            self._outputs.close()
        if self._description is not None:
            self.destroy_subscription(self._description)
        self._outputs = self._description = self.retargeter = None

    def _load(self, source: str) -> None:
        """Reads the robot's model, from a file or as text. ModelError if it does not fit the parameters."""
        retargeter, warnings = load_retargeter(source, self._retargeting, self._side)
        assert self._outputs is not None  # made before
        self._outputs.name_joints(retargeter.joint_names, self._ordered)
        self.retargeter = retargeter
        for warning in warnings:
            self.get_logger().warning(warning)
        self.get_logger().info(f'robot hand with {len(retargeter.joint_names)} joints is ready')

    def _failed(self, step: str, error: Exception) -> TransitionCallbackReturn:
        """FAILURE of a transition; the error goes to the log and to diagnostics."""
        known = failure(error)
        if known is None:
            self.get_logger().error(traceback.format_exc())
        what, fix = known or (f'{type(error).__name__}: {error}', 'see the log above')
        self.diagnostics.failure = what, fix
        self.get_logger().error(f'cannot {step}: {what}. Fix: {fix}')
        return FAILURE

    # topics, timers and services

    def _on_description(self, msg: String) -> None:
        """Another robot: commands end, and the model is read again."""
        self._close_worker()
        self.retargeter = self.diagnostics.failure = None
        try:
            self._load(msg.data)
        except Exception as error:
            self._failed('use robot_description', error)
        self._start()

    def _state_and_reason(self) -> tuple[State, str]:
        if self._worker is not None:
            engagement = self._worker.session.engagement
            return engagement.state, engagement.reason
        if self.diagnostics.failure is not None:
            return DISENGAGED, self.diagnostics.failure[0]
        if self._is_active:
            return DISENGAGED, f'no robot description on {self.resolve_topic_name("robot_description")}'
        return DISENGAGED, f'the node is {self._state_machine.current_state[1]}'

    def _engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Success means that the request holds; the message tells what is still missing."""
        if self._worker is None:
            response.message = self._state_and_reason()[1]
            return response
        self._worker.session.consent.engage(request.data)
        self._worker.step()
        response.success, response.message = True, ': '.join(map(str, self._state_and_reason()))
        return response

    async def _calibrate(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Watches the operator's flat hand for a second; answers then."""
        state, reason = self._state_and_reason()
        if self._worker is None or self.retargeter is None or state != DISENGAGED:
            response.message = f'calibrate while it is active and disengaged; it is {state}: {reason}'
            return response
        response.success, response.message = await self._worker.calibrate(self.retargeter.calibrate)
        self.get_logger().info(response.message)
        return response

    def _clock_was_set(self, _jump: TimeJump) -> None:
        if self._worker is not None:
            self._worker.clock_was_set()

    def _publish_diagnostics(self) -> None:
        for refusal in self.diagnostics.take_new():
            self.get_logger().warning(str(refusal))
        session = self._worker.session if self._worker is not None else None
        dead_man = bool(self.get_parameter('dead_man').value)
        parts = teleop_statuses(self.diagnostics, *self._state_and_reason(), session, dead_man)
        stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(diagnostic_array(self.get_name(), stamp, parts))
        self.tell_state()


def main(args: list[str] | None = None) -> None:
    """Runs the node until SIGINT or SIGTERM; exit code 0, or 1 for an invalid parameter."""
    run_node('teleop_node', TeleopNode, args)


if __name__ == '__main__':
    main()
