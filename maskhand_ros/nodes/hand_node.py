"""hand_node: a lifecycle node that reconstructs hands from an image topic.

    image -> FrameQueue -> [Worker: decode, HandPipeline, publish] -> ~/hands, /tf, ~/markers, ...

The executor's thread only receives; the worker's thread processes the newest image, so that latency stays
bounded.
"""

from __future__ import annotations

import dataclasses
import traceback
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from maskhand_ros.errors import ModelError
from maskhand_ros.nodes.diagnostics import Diagnostics
from maskhand_ros.nodes.faults import Faults, Reminders
from maskhand_ros.nodes.inputs import Inputs
from maskhand_ros.nodes.managed_node import ManagedNode
from maskhand_ros.nodes.memory import return_freed_memory
from maskhand_ros.nodes.outputs import Outputs, diagnostics_publisher
from maskhand_ros.nodes.running import run_node
from maskhand_ros.nodes.silence import duplicate_name
from maskhand_ros.nodes.statuses import ERROR, Status, diagnostic_array, statuses
from maskhand_ros.nodes.worker import Worker
from maskhand_ros.perception.config import PipelineConfig
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.srv import SelectOperator

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class HandNode(ManagedNode):
    """Lifecycle: configure loads and warms up the models, activate subscribes and processes images.
    Parameters are in maskhand_ros/options.py, topics in inputs.py and outputs.py."""

    def __init__(self, **options: Any) -> None:
        """`options`: those of rclpy's Node."""
        super().__init__('hand_node', **options)
        self.pipeline: HandPipeline | None = None
        self.diagnostics = Diagnostics()
        self._reminders = Reminders(self.get_logger())
        self._inputs: Inputs | None = None
        self._outputs: Outputs | None = None
        self._worker: Worker | None = None
        self._stuck_worker: Worker | None = None
        self._diagnostics_publisher = diagnostics_publisher(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # diagnostics continue while a simulation is paused
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(0.5, self._follow_publishers, clock=steady)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._forget_tracks,
        )
        self.create_service(SelectOperator, '~/select_operator', self._select_operator)
        # Last: a refused value raises, and destroy_node needs all of the above.
        self.declare_options()

    @property
    def callback_faults(self) -> Faults:
        """Faults of callbacks, in the diagnostics of the model."""
        return self.diagnostics.faults

    # lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the models and warms them up; on FAILURE the log and diagnostics name what is missing and how
        to get it."""
        values = self.values()
        fields = [field.name for field in dataclasses.fields(PipelineConfig)]
        try:
            config: dict[str, Any] = {name: value for name, value in values.items() if name in fields}
            self.pipeline = pipeline = HandPipeline(PipelineConfig(**config))
            pipeline.warm_up()
            self._outputs = Outputs(self, pipeline.hand_model, pipeline.model_name, values)
        except Exception as error:
            self._release()
            return self._failed('configure', error)
        self.diagnostics.failure = None
        self.diagnostics.forget_times()
        self.get_logger().info(f'{pipeline.model_name} on {pipeline.device.providers[0]} is ready')
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes and starts the worker. FAILURE while the worker of an earlier activation still runs."""
        result = super().on_activate(state)
        try:
            if self._stuck_worker is not None and self._stuck_worker.is_busy:
                raise ModelError('the worker still processes an image from before', 'restart the node')
            pipeline, outputs = self.pipeline, self._outputs
            assert pipeline is not None and outputs is not None  # a configured node has both
            outputs.publish_topology()
            self._inputs = inputs = Inputs(self, pipeline.config.mirrored_input)
            self._worker = Worker(self, pipeline, inputs, outputs, self.diagnostics)
        except Exception as error:
            self._stop()
            super().on_deactivate(state)
            return self._failed('activate', error)
        self.diagnostics.failure = None
        self.get_logger().info(f'subscribed to {inputs.image.topic}')
        return result

    def destroy_node(self) -> None:
        """Stops the worker, then destroys the node."""
        self._stop()
        self._jump_handle.unregister()
        super().destroy_node()

    def _stop(self) -> None:
        """Stops the worker and unsubscribes."""
        if self._worker is not None:
            self._stuck_worker = None if self._worker.stop() else self._worker
        if self._inputs is not None:
            self._inputs.close()
        self._worker = self._inputs = None
        self.diagnostics.forget_hands()
        return_freed_memory()

    def _release(self) -> None:
        """Releases models and publishers."""
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self.pipeline = None
        return_freed_memory()

    def _failed(self, step: str, error: Exception) -> TransitionCallbackReturn:
        """FAILURE of a transition; the error goes to the log and to diagnostics, because rclpy suppresses
        what a transition callback raises."""
        if isinstance(error, ModelError):
            what, fix = error.what, error.fix
        else:
            self.get_logger().error(traceback.format_exc())
            what, fix = f'{type(error).__name__}: {error}', 'report this with the log above'
        self.diagnostics.failure = what, fix
        self.get_logger().error(f'cannot {step}: {what}. Fix: {fix}')
        return FAILURE

    # timers and services

    def _follow_publishers(self) -> None:
        if self._inputs is not None:
            self._inputs.follow_publishers()

    def _forget_tracks(self, _jump: TimeJump) -> None:
        if self._worker is not None:
            self._worker.forget_tracks()

    def _select_operator(
        self, request: SelectOperator.Request, response: SelectOperator.Response
    ) -> SelectOperator.Response:
        if self._worker is None or self.pipeline is None:
            response.message = 'hand_node is not active'
            return response
        try:
            response.message, response.success = self.pipeline.select_operator(request.id), True
        except LookupError as error:
            response.message = error.args[0]
        return response

    def _publish_diagnostics(self) -> None:
        if self.pipeline is not None and self.pipeline.device.lost:
            self.get_logger().warning(f'on the CPU: {self.pipeline.device.lost}', throttle_duration_sec=60)
        self.diagnostics.duplicate_name = duplicate_name(self)
        parts = statuses(
            self, self._state_machine.current_state[1], self.diagnostics, self._inputs, self.pipeline
        )
        self._diagnostics_publisher.publish(
            diagnostic_array(self.get_name(), self.get_clock().now().to_msg(), parts)
        )
        self._remind(parts)

    def _remind(self, parts: list[Status]) -> None:
        """Logs persistent faults that no image reports; a launch file's terminal shows no diagnostics."""
        errors = {status.part: status.text for status in parts if status.level == ERROR}
        self._reminders.update('images', errors.get('images', ''))
        self._reminders.update('worker', errors.get('model', '') if self.diagnostics.stuck() else '')
        self._reminders.update('name', self.diagnostics.duplicate_name)


def main(args: list[str] | None = None) -> None:
    """Runs the node until SIGINT or SIGTERM; exit code 0, or 1 for an invalid parameter."""
    run_node('hand_node', HandNode, args)


if __name__ == '__main__':
    main()
