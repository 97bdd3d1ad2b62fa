"""The thread that looks: newest picture in, everything about its hands out."""

from __future__ import annotations

import threading
import time
import traceback

import rclpy

from maskhand_ros.nodes.by_stamp import BACKWARDS_NS
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.images import BadInput, decode_image
from maskhand_ros.nodes.inputs import camera_for
from maskhand_ros.nodes.messages import is_finite, stamp_to_ns
from maskhand_ros.perception import gates
from maskhand_ros.perception.budget import Budget, savings
from maskhand_ros.perception.errors import ModelError
from maskhand_ros.perception.tracker import REMEMBER
from maskhand_ros.perception.types import Frame

DISCOVERY = 1.0
"""Seconds after activation in which what belongs to a picture may be missing without a warning: it is being
discovered."""
_NO_HAND = {
    gates.NOT_FINITE: 'The networks gave no numbers: another device or model; if it stays, report it',
    gates.JOINT_LIMITS: 'No hand bends so: light, blur, or a thing taken for a hand',
    gates.BONE_LENGTHS: 'No hand is so large or small: check depth, its unit, and hand_length',
    gates.JUMP: 'Faster than a hand: a low rate, a lost hand, or depth that comes and goes',
}
_DISCOVERED = 'no CameraInfo', 'no depth', 'no transform to the depth camera'


class Worker:
    """Runs the pipeline on the newest frame for as long as the node is active; a bad picture is counted."""

    def __init__(self, node, pipeline, inputs, outputs, diagnostics):
        self._node, self._pipeline, self._inputs, self._outputs = node, pipeline, inputs, outputs
        self._diagnostics = diagnostics
        self._decode = decode_compressed if node.get_parameter('compressed').value else decode_image
        self._running, self._clock_jumped = threading.Event(), threading.Event()
        limit = node.get_parameter('max_latency').value
        self._budget = Budget(limit, len(savings(pipeline.config))) if limit else None
        self._last_stamp = None
        self._silent = False
        self._begun = time.monotonic()
        self._running.set()
        self._thread = threading.Thread(target=self._work, name='worker', daemon=True)
        self._thread.start()

    def stop(self):
        """Ends the thread after the picture at hand; False where that one takes too long to wait for."""
        self._running.clear()
        self._thread.join(timeout=1.0)
        return not self.is_busy

    @property
    def is_busy(self):
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def forget_tracks(self):
        """The clock has jumped: the next picture has nothing to do with the last one."""
        self._clock_jumped.set()

    def _work(self):
        self._pipeline.end_tracks()
        self._pipeline.save(0)
        while self._running.is_set():
            newest = self._inputs.frames.take(timeout=0.1)
            self._watch(silent=newest is None)
            if newest is None or not self._running.is_set():
                continue
            self._diagnostics.started()
            try:
                self._look(*newest)
            except BadInput as error:
                self._count(self._diagnostics.images, error)
            except ModelError as error:
                if self._diagnostics.faults.add(error.what, error.fix):
                    self._node.get_logger().error(str(error))
            except Exception as error:  # one bad picture must not end the node
                if self._running.is_set() and rclpy.ok(context=self._node.context):
                    reason = f'{type(error).__name__} while processing'
                    if self._diagnostics.faults.add(reason, f'{error}; report this with the log'):
                        self._node.get_logger().error(traceback.format_exc())
            self._diagnostics.abandoned()

    def _watch(self, silent):
        """Ends all tracks once no picture has come for image_timeout: nobody knows what happened since."""
        late = silent and self._inputs.frames.age() > self._value('image_timeout')
        if late and not self._silent:
            self._pipeline.end_tracks()
            self._diagnostics.forget_hands()
        self._silent = late

    def _look(self, msg, arrival):
        """From one image message to everything that is published about it."""
        begin = time.monotonic()
        stamp = stamp_to_ns(msg.header.stamp)
        rgb = self._decode(msg, self._value('max_image_pixels'))
        self._check_stamp(stamp)
        since_stamp = self._node.get_clock().now().nanoseconds - stamp
        self._diagnostics.arrived(since_stamp * 1e-9 - (time.monotonic() - arrival))
        frame = Frame(rgb=rgb, stamp_ns=stamp, camera=self._camera(stamp, rgb))
        frame.depth = self._depth(frame, msg.header.frame_id)
        decoded = time.monotonic()
        hands = [hand for hand in self._pipeline.process(frame) if self._finite(hand)]
        seen = time.monotonic()
        self._count_refused()
        self._outputs.publish(
            hands, self._pipeline.lost_ids, msg.header, frame, lambda: time.monotonic() - arrival
        )
        end = time.monotonic()
        times = {'wait': begin - arrival, 'decode': decoded - begin, **self._pipeline.timings}
        times.update({'publish': end - seen, 'total': end - arrival})
        self._diagnostics.finished(hands, frame.depth is not None, times)
        if self._budget and self._budget.observe(end - arrival, end):
            self._pipeline.save(self._budget.level)
            saved = self._pipeline.saved or 'nothing'
            self._node.get_logger().warning(f'to stay below max_latency, goes without: {saved}')

    def _check_stamp(self, stamp):
        """Raises BadInput for a picture whose `stamp` in ns is no time of its own; counts jumps of time."""
        if stamp == 0:
            raise BadInput('zero stamp', 'header.stamp is 0', 'The camera driver must stamp its pictures')
        if stamp < 0:
            raise BadInput('negative stamp', f'{stamp} ns', 'Time begins at 0: look at the camera driver')
        since = None if self._last_stamp is None else stamp - self._last_stamp
        if since == 0:
            remedy = 'Two publishers on one topic, or a driver that does not stamp'
            raise BadInput('repeated stamp', f'{stamp} ns came twice', remedy)
        if since is not None and -BACKWARDS_NS <= since < 0:
            remedy = 'Two publishers on one topic, or a link that changes the order'
            raise BadInput('picture out of order', f'{-since * 1e-9:.3f} s older than the last', remedy)
        self._last_stamp = stamp
        jump = self._jump(since or 0)
        if jump is not None:
            self._count(self._diagnostics.images, jump)

    def _jump(self, since):
        """The BadInput that tells of a jump of time, `since` ns after the last picture; None if there is
        none."""
        seconds = f'{abs(since) * 1e-9:.1f} s'
        clock_was_set = self._clock_jumped.is_set()
        if clock_was_set:  # of what the stamps themselves tell, the pipeline takes care
            self._clock_jumped.clear()
            self._pipeline.end_tracks()
        if since < 0:
            remedy = 'All hands are new ones: a bag was started again, or there are two publishers'
            return BadInput('time went back', seconds, remedy)
        if since > REMEMBER * 1e9:
            remedy = 'All hands are new ones: the camera paused, or its clock was set'
            return BadInput('time leapt', seconds, remedy)
        if clock_was_set:
            return BadInput('clock was set', 'back, or to another source', 'All hands are new ones')
        return None

    def _camera(self, stamp, rgb):
        """The picture's Camera, or None: then hands have no metric place, and diagnostics say why."""
        height, width = rgb.shape[:2]
        try:
            return camera_for(self._inputs.infos, stamp, width, height, self._value('image_rectified'))
        except BadInput as error:
            self._count(self._diagnostics.calibration, error)
            return None

    def _depth(self, frame, frame_id):
        """Depth of the Frame's picture, or None: then the scale comes from elsewhere, and diagnostics say
        why. Without a camera it would be of no use."""
        if self._inputs.depth is None or frame.camera is None:
            return None
        try:
            return self._inputs.depth.picture_for(frame, frame_id, self._value('max_image_pixels'))
        except BadInput as error:
            self._count(self._diagnostics.depth, error)
            return None

    def _finite(self, hand):
        finite = is_finite(hand)
        if not finite:
            self._diagnostics.faults.add(
                'hand with numbers that are not finite', 'not published; report this'
            )
        return finite

    def _count_refused(self):
        for reason, hands in self._pipeline.refused.items():
            for _ in range(hands):
                self._diagnostics.faults.add(f'hand held back: {reason}', _NO_HAND[reason])

    def _count(self, faults, error):
        if error.reason in _DISCOVERED and time.monotonic() - self._begun < DISCOVERY:
            return
        if faults.add(error.reason, error.remedy):
            self._node.get_logger().warning(str(error))

    def _value(self, name):
        return self._node.get_parameter(name).value
