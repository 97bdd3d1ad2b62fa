"""The worker thread: takes images from the queue, runs the pipeline and publishes the hands."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import rclpy
from std_msgs.msg import Header

from maskhand_ros.camera_info import calibration_doubts
from maskhand_ros.errors import BadInput, ModelError
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.diagnostics import Diagnostics
from maskhand_ros.nodes.faults import Faults
from maskhand_ros.nodes.frame_names import camera_frame
from maskhand_ros.nodes.images import decode_image
from maskhand_ros.nodes.inputs import Inputs
from maskhand_ros.nodes.messages import is_finite, stamp_to_ns
from maskhand_ros.nodes.outputs import Outputs
from maskhand_ros.nodes.stamps import StampCheck
from maskhand_ros.perception import gates
from maskhand_ros.perception.load_shedding import LatencyBudget, degradation_steps
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame, Hand

if TYPE_CHECKING:
    from maskhand_ros.nodes.hand_node import HandNode

DISCOVERY = 1.0
"""Seconds after activation in which CameraInfo, depth and transforms may be missing without a warning: their
publishers are being discovered."""
_NOT_YET_DISCOVERED = 'no CameraInfo', 'no depth', 'no transform to the depth camera'
"""Reasons of faults that are not counted during DISCOVERY."""

_REJECTION_REMEDIES = {
    gates.NOT_FINITE: 'Networks returned NaN or infinity: try another device; if it stays, report it',
    gates.JOINT_LIMITS: 'Joint angles that no hand has: poor light, motion blur, or another object',
    gates.BONE_LENGTHS: 'Larger or smaller than any hand: check depth, its unit, and hand_length',
    gates.PART: 'Found inside another hand: set search_budget above 0 for a video',
    gates.JUMP: 'Faster than a hand moves: a low image rate, another hand, or intermittent depth',
}
"""Remedies of rejected hands."""


class Worker:
    """Runs the pipeline on the newest image while the node is active. Unusable images are counted."""

    def __init__(
        self,
        node: HandNode,
        pipeline: HandPipeline,
        inputs: Inputs,
        outputs: Outputs,
        diagnostics: Diagnostics,
    ) -> None:
        self._node, self._pipeline, self._inputs, self._outputs = node, pipeline, inputs, outputs
        self._diagnostics = diagnostics
        self._decode = decode_compressed if node.get_parameter('compressed').value else decode_image
        self._running, self._clock_jumped = threading.Event(), threading.Event()
        limit, steps = node.get_parameter('max_latency').value, len(degradation_steps(pipeline.config))
        self._budget = LatencyBudget(limit, steps) if limit else None
        self._check_stamp = StampCheck()
        self._was_silent, self._started = False, time.monotonic()
        self._running.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Ends the thread after the current image. False if it still runs after 1 s."""
        self._running.clear()
        self._thread.join(timeout=1.0)
        return not self.is_busy

    @property
    def is_busy(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def forget_tracks(self) -> None:
        """Ends all tracks before the next image, because the ROS clock has jumped."""
        self._clock_jumped.set()

    def _run(self) -> None:
        self._pipeline.end_tracks()
        self._pipeline.degrade(0)
        while self._running.is_set():
            newest = self._inputs.frames.take(timeout=0.1)
            self._watch_silence(newest is None)
            if newest is not None and self._running.is_set():
                msg, arrival = newest
                taken = self._diagnostics.started()
                try:
                    with self._counted():
                        self._process(msg, arrival, taken)
                finally:
                    self._diagnostics.ended()

    def _process(self, msg: Any, arrival: float, taken: float) -> None:
        """Processes an image message and publishes its hands. `arrival` and `taken`: times of its arrival and
        of its removal from the queue (monotonic s)."""
        frame, header = self._frame(msg, arrival)
        decoded = time.monotonic()
        hands = [hand for hand in self._pipeline.process(frame) if self._finite(hand)]
        processed = time.monotonic()
        self._count_rejected()
        self._outputs.publish(hands, self._pipeline.lost_ids, header, frame, arrival)
        end = time.monotonic()
        times = {
            'wait': taken - arrival,
            'decode': decoded - taken,
            **self._pipeline.timings,
            'publish': end - processed,
            'total': end - arrival,
        }
        self._diagnostics.finished(hands, frame.depth is not None, times)
        self._shed_load(end - arrival, end)

    def _frame(self, msg: Any, arrival: float) -> tuple[Frame, Header]:
        """The Frame of an image message, and the header of the messages published for it."""
        stamp = stamp_to_ns(msg.header.stamp)
        rgb = self._decode(msg, self._value('max_image_pixels'))
        clock_was_set = self._clock_jumped.is_set()
        jump = self._check_stamp(stamp, clock_was_set)
        if jump is not None:
            self._count(self._diagnostics.images, jump)
        if clock_was_set:
            self._clock_jumped.clear()
            self._pipeline.end_tracks()
        age = (self._node.get_clock().now().nanoseconds - stamp) * 1e-9
        self._diagnostics.arrived(age - (time.monotonic() - arrival))
        frame = Frame(rgb=rgb, stamp_ns=stamp, camera=self._camera(stamp, rgb))
        header = self._header(msg.header)
        frame.depth = self._depth(frame, header.frame_id, msg.header.frame_id)
        return frame, header

    def _header(self, header: Header) -> Header:
        """The image's stamp, and its frame id in the form that tf2 accepts."""
        name, fault = camera_frame(header.frame_id, self._value('camera_frame'))
        if fault is not None:
            self._count(self._diagnostics.images, fault)
        return Header(stamp=header.stamp, frame_id=name)

    def _camera(self, stamp: int, rgb: np.ndarray) -> Camera | None:
        """The Camera of the image. None without a usable one: hands then have no metric position, and the
        fault is counted."""
        height, width = rgb.shape[:2]
        try:
            camera = self._inputs.camera(stamp, width, height, self._value('image_rectified'))
        except BadInput as error:
            self._count(self._diagnostics.calibration, error)
            return None
        for doubt in calibration_doubts(camera, self._inputs.image.topic):
            self._count(self._diagnostics.calibration, doubt)
        return camera

    def _depth(self, frame: Frame, frame_id: str, image_frame_id: str) -> np.ndarray | None:
        """Depth of the Frame. None without usable depth (the fault is counted) or without a Camera.
        `image_frame_id`: frame id of the image message, before `camera_frame` is applied."""
        if self._inputs.depth is None or frame.camera is None:
            return None
        try:
            return self._inputs.depth.depth_for(
                frame, frame_id, self._value('max_image_pixels'), image_frame_id
            )
        except BadInput as error:
            self._count(self._diagnostics.depth, error)
            return None

    def _shed_load(self, latency: float, now: float) -> None:
        """Changes the degradation level if the latency (s) of recent images is too high or low again."""
        if self._budget is None or not self._budget.observe(latency, now):
            return
        self._pipeline.degrade(self._budget.level)
        reduced = self._pipeline.degradations or 'nothing'
        self._node.get_logger().warning(f'load shedding for max_latency: reduced {reduced}')

    def _watch_silence(self, silent: bool) -> None:
        """Ends all tracks when no image has arrived for `image_timeout`."""
        late = silent and self._inputs.frames.age() > self._value('image_timeout')
        if late and not self._was_silent:
            self._pipeline.end_tracks()
            self._diagnostics.forget_hands()
        self._was_silent = late

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Context that counts and logs exceptions, so that one bad image does not end the node."""
        try:
            yield
        except BadInput as error:
            self._count(self._diagnostics.images, error)
        except ModelError as error:
            if self._diagnostics.faults.add(error.what, error.fix):
                self._node.get_logger().error(str(error))
        except Exception as error:
            if self._running.is_set() and rclpy.ok(context=self._node.context):
                reason = f'{type(error).__name__} while processing'
                if self._diagnostics.faults.add(reason, f'{error}; report this with the log'):
                    self._node.get_logger().error(traceback.format_exc())

    def _finite(self, hand: Hand) -> bool:
        finite = is_finite(hand)
        if not finite:
            self._diagnostics.faults.add(
                'hand with numbers that are not finite', 'not published; report this'
            )
        return finite

    def _count_rejected(self) -> None:
        for reason, hands in self._pipeline.rejected.items():
            for _ in range(hands):
                self._diagnostics.faults.add(f'hand rejected: {reason}', _REJECTION_REMEDIES[reason])

    def _count(self, faults: Faults, error: BadInput) -> None:
        if error.reason in _NOT_YET_DISCOVERED and time.monotonic() - self._started < DISCOVERY:
            return
        if faults.add(error.reason, error.remedy):
            self._node.get_logger().warning(str(error))

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value
