"""The thread that looks: newest picture in, everything about its hands out."""

from __future__ import annotations

import threading
import time
import traceback

import rclpy

from maskhand_ros.nodes.images import BadInput, decode_compressed, decode_image
from maskhand_ros.nodes.inputs import camera_for, depth_for
from maskhand_ros.nodes.messages import is_finite, stamp_to_ns
from maskhand_ros.perception.types import Frame

DISCOVERY = 1.0
"""Seconds after activation in which CameraInfo may be missing without a warning: it is being discovered."""


class Worker:
    """Runs the pipeline on the newest frame for as long as the node is active; a bad picture is counted."""

    def __init__(self, node, pipeline, inputs, outputs, diagnostics):
        self._node, self._pipeline, self._inputs, self._outputs = node, pipeline, inputs, outputs
        self._diagnostics = diagnostics
        self._decode = decode_compressed if node.get_parameter('compressed').value else decode_image
        self._running, self._start_afresh = threading.Event(), threading.Event()
        self._last_stamp = 0
        self._begun = time.monotonic()
        self._running.set()
        self._thread = threading.Thread(target=self._work, name='worker', daemon=True)
        self._thread.start()

    def stop(self):
        """Ends the thread after the picture at hand."""
        self._running.clear()
        self._thread.join(timeout=1.5)

    def forget_tracks(self):
        """The clock has jumped: the next picture has nothing to do with the last one."""
        self._start_afresh.set()

    def _work(self):
        self._pipeline.reset()
        while self._running.is_set():
            newest = self._inputs.frames.take(timeout=0.1)
            if newest is None or not self._running.is_set():
                continue
            self._diagnostics.started()
            try:
                self._look(*newest)
            except BadInput as error:
                self._count(self._diagnostics.images, error)
            except Exception as error:  # one bad picture must not end the node
                if self._running.is_set() and rclpy.ok(context=self._node.context):
                    reason = f'{type(error).__name__} while processing'
                    if self._diagnostics.faults.add(reason, f'{error}; report this with the log'):
                        self._node.get_logger().error(traceback.format_exc())
            self._diagnostics.abandoned()

    def _look(self, msg, arrival):
        """From one image message to everything that is published about it."""
        begin = time.monotonic()
        stamp = self._check_stamp(stamp_to_ns(msg.header.stamp))
        rgb = self._decode(msg, self._value('max_image_pixels'))
        frame = Frame(rgb=rgb, stamp_ns=stamp, camera=self._camera(stamp, rgb))
        frame.depth = self._depth(frame)
        decoded = time.monotonic()
        hands = [hand for hand in self._pipeline.process(frame) if self._finite(hand)]
        seen = time.monotonic()
        self._outputs.publish(
            hands, self._pipeline.lost_ids, msg.header, frame, lambda: time.monotonic() - arrival
        )
        end = time.monotonic()
        times = {'wait': begin - arrival, 'decode': decoded - begin, **self._pipeline.timings}
        self._diagnostics.finished(len(hands), {**times, 'publish': end - seen, 'total': end - arrival})

    def _check_stamp(self, stamp):
        """The stamp in ns; a repeated one is refused, one that goes back starts the tracks afresh."""
        if stamp == 0:
            remedy = 'The camera driver must stamp its pictures'
            self._count(self._diagnostics.images, BadInput('zero stamp', 'header.stamp is 0', remedy))
        elif stamp == self._last_stamp:
            remedy = 'Two publishers on one topic, or a driver that does not stamp'
            raise BadInput('repeated stamp', f'{stamp} ns came twice', remedy)
        elif stamp < self._last_stamp:
            seconds = (self._last_stamp - stamp) * 1e-9
            remedy = 'Tracks start afresh; two publishers on one topic, or a bag that was started again'
            self._count(self._diagnostics.images, BadInput('time went back', f'by {seconds:.3f} s', remedy))
            self._start_afresh.set()
        if self._start_afresh.is_set():
            self._start_afresh.clear()
            self._pipeline.reset()
        self._last_stamp = stamp
        return stamp

    def _camera(self, stamp, rgb):
        """The picture's Camera, or None: then hands have no metric place, and diagnostics say why."""
        height, width = rgb.shape[:2]
        try:
            return camera_for(self._inputs.infos, stamp, width, height, self._value('image_rectified'))
        except BadInput as error:
            if error.reason != 'no CameraInfo' or time.monotonic() - self._begun > DISCOVERY:
                self._count(self._diagnostics.calibration, error)
            return None

    def _depth(self, frame):
        if not self._value('use_depth'):
            return None
        try:
            return depth_for(
                self._inputs.depths, self._inputs.depth_infos, frame, self._value('max_image_pixels')
            )
        except BadInput as error:
            self._count(self._diagnostics.images, error)
            return None

    def _finite(self, hand):
        finite = is_finite(hand)
        if not finite:
            self._diagnostics.faults.add(
                'hand with numbers that are not finite', 'not published; report this'
            )
        return finite

    def _count(self, faults, error):
        if faults.add(error.reason, error.remedy):
            self._node.get_logger().warning(str(error))

    def _value(self, name):
        return self._node.get_parameter(name).value
