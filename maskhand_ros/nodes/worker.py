"""The two threads that work: newest picture in, everything about its hands out."""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import rclpy
from std_msgs.msg import Header

from maskhand_ros.camera_info import calibration_doubts
from maskhand_ros.errors import BadInput, ModelError
from maskhand_ros.nodes.by_stamp import BACKWARDS_NS
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.frame_names import camera_frame
from maskhand_ros.nodes.images import decode_image
from maskhand_ros.nodes.messages import is_finite, stamp_to_ns
from maskhand_ros.nodes.turn import Turn
from maskhand_ros.perception import gates
from maskhand_ros.perception.load_shedding import LatencyBudget, degradation_steps
from maskhand_ros.perception.pipeline import Look
from maskhand_ros.perception.tracker import MAX_AGE
from maskhand_ros.perception.types import Frame

DISCOVERY = 1.0
"""Seconds after activation in which what belongs to a picture may be missing without a warning: it is being
discovered."""
HASTE = 0.25
"""Seconds without a picture that has to wait after which the worker does one thing after the other again."""
NICENESS = 5
"""By how much the priority of what computes is below that of what moves messages: that is woken often and
works shortly, and a picture needs many rounds of it where Fast DDS cannot send it in one piece."""
_NO_HAND = {
    gates.NOT_FINITE: 'The networks gave no numbers: another device or model; if it stays, report it',
    gates.JOINT_LIMITS: 'No hand bends so: light, blur, or a thing taken for a hand',
    gates.BONE_LENGTHS: 'No hand is so large or small: check depth, its unit, and hand_length',
    gates.JUMP: 'Faster than a hand: a low rate, a lost hand, or depth that comes and goes',
}
_DISCOVERED = 'no CameraInfo', 'no depth', 'no transform to the depth camera'


@dataclass
class Seen:
    """An image that came at `arrival` and was taken at `since` (monotonic clock, s): the header of what is
    published about it, its Frame, what was found in it, and how long that took, {stage: s}."""

    header: Header
    arrival: float
    since: float
    frame: Frame
    look: Look
    times: dict


class Worker:
    """Runs the pipeline on the newest frame for as long as the node is active; a bad picture is counted.

    Two threads take turns at the pipeline's state: one sees where hands are, the other describes and
    publishes them. Where pictures have had to wait, the first glances at the next one beside the second, and
    more of them are answered; else one after the other is faster, for each has all the cores.
    """

    def __init__(self, node, pipeline, inputs, outputs, diagnostics):
        self._node, self._pipeline, self._inputs, self._outputs = node, pipeline, inputs, outputs
        self._diagnostics = diagnostics
        self._decode = decode_compressed if node.get_parameter('compressed').value else decode_image
        self._running, self._clock_jumped = threading.Event(), threading.Event()
        limit = node.get_parameter('max_latency').value
        self._budget = LatencyBudget(limit, len(degradation_steps(pipeline.config))) if limit else None
        self._last_stamp = None
        self._silent = False
        self._begun, self._waited = time.monotonic(), -math.inf
        self._seen, self._turn = queue.SimpleQueue(), Turn()
        self._running.set()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._see_all, self._describe_all)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Ends the threads after the picture at hand; False where that one takes too long to wait for."""
        self._running.clear()
        end = time.monotonic() + 1.0
        for thread in self._threads:
            thread.join(timeout=max(end - time.monotonic(), 0))
        return not self.is_busy

    @property
    def is_busy(self):
        """Whether a thread still runs."""
        return any(thread.is_alive() for thread in self._threads)

    def forget_tracks(self):
        """The clock has jumped: the next picture has nothing to do with the last one."""
        self._clock_jumped.set()

    def _see_all(self):
        _stand_back()
        try:
            self._pipeline.end_tracks()
            self._pipeline.degrade(0)
            while self._running.is_set():
                self._wait_for_turn()
                newest = self._inputs.frames.take(timeout=0.1)
                self._watch(silent=newest is None)
                if newest is not None and self._running.is_set():
                    self._see_one(*newest)
        finally:
            self._seen.put(None)

    def _wait_for_turn(self):
        """Until it is time to take the next picture: its turn, or for a while after one had to wait, no
        sooner than a glance at it needs, lest it grow old. Where the camera is too fast even so, answers
        would only be older."""
        if self._inputs.frames.waiting:
            self._waited = time.monotonic()
        in_haste = time.monotonic() - self._waited < HASTE
        if in_haste and self._turn.slower_half < self._inputs.frames.interval():
            self._turn.wait_till_near()
        else:
            self._turn.wait()

    def _see_one(self, msg, arrival):
        since, seen = self._diagnostics.started(), None
        with self._counted():
            seen = self._see(msg, arrival, since)
        if seen is None:
            self._diagnostics.ended(since)
        else:
            self._turn.give()
            self._seen.put(seen)

    def _describe_all(self):
        _stand_back()
        while (seen := self._seen.get()) is not None:
            try:
                with self._counted():
                    self._describe(seen)
            finally:
                self._diagnostics.ended(seen.since)
                self._turn.give_back()

    @contextmanager
    def _counted(self):
        """Counts what is raised inside, and tells of it: one bad picture must not end the node."""
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

    def _watch(self, silent):
        """Ends all tracks once no picture has come for image_timeout: nobody knows what happened since."""
        late = silent and self._inputs.frames.age() > self._value('image_timeout')
        if late and not self._silent:
            self._turn.wait()
            self._pipeline.end_tracks()
            self._diagnostics.forget_hands()
        self._silent = late

    def _see(self, msg, arrival, since):
        """From an image message to what is Seen in it; None where the node was stopped over it."""
        stamp = stamp_to_ns(msg.header.stamp)
        rgb = self._decode(msg, self._value('max_image_pixels'))
        if self._check_stamp(stamp):
            self._turn.wait()
            self._pipeline.end_tracks()
        since_stamp = self._node.get_clock().now().nanoseconds - stamp
        self._diagnostics.arrived(since_stamp * 1e-9 - (time.monotonic() - arrival))
        frame = Frame(rgb=rgb, stamp_ns=stamp, camera=self._camera(stamp, rgb))
        header = self._header(msg.header)
        frame.depth = self._depth(frame, header.frame_id, msg.header.frame_id)
        decoded = time.monotonic()
        glance, glanced = None, decoded
        if self._turn.is_away:
            glance, glanced = self._pipeline.glance(frame), time.monotonic()
            self._turn.wait()
        if not self._running.is_set():
            return None
        begin = time.monotonic()
        times = {'wait': since - arrival, 'decode': decoded - since, 'turn': begin - glanced}
        look = self._pipeline.look(frame, glance=glance)
        self._turn.prepared(glanced - since + time.monotonic() - begin)
        return Seen(header, arrival, since, frame, look, times)

    def _describe(self, seen):
        """From what is Seen to everything that is published about it."""
        arrival, frame = seen.arrival, seen.frame
        hands = [hand for hand in self._pipeline.describe(seen.look) if self._finite(hand)]
        described = time.monotonic()
        self._count_refused()
        self._outputs.publish(
            hands, self._pipeline.lost_ids, seen.header, frame, lambda: time.monotonic() - arrival
        )
        end = time.monotonic()
        times = {**seen.times, **self._pipeline.timings, 'publish': end - described, 'total': end - arrival}
        self._diagnostics.finished(hands, frame.depth is not None, times)
        if self._budget and self._budget.observe(end - arrival, end):
            self._pipeline.degrade(self._budget.level)
            saved = self._pipeline.degradations or 'nothing'
            self._node.get_logger().warning(f'to stay below max_latency, goes without: {saved}')

    def _check_stamp(self, stamp):
        """Whether the clock was set before a picture with this `stamp` in ns. Raises BadInput where that is
        no time of its own; counts jumps of time."""
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
        clock_was_set = self._clock_jumped.is_set()
        if clock_was_set:
            self._clock_jumped.clear()
        jump = self._jump(since or 0, clock_was_set)
        if jump is not None:
            self._count(self._diagnostics.images, jump)
        return clock_was_set

    @staticmethod
    def _jump(since, clock_was_set):
        """The BadInput that tells of a jump of time, `since` ns after the last picture; None if there is
        none."""
        seconds = f'{abs(since) * 1e-9:.1f} s'
        if since < 0:
            remedy = 'All hands are new ones: a bag was started again, or there are two publishers'
            return BadInput('time went back', seconds, remedy)
        if since > MAX_AGE * 1e9:
            remedy = 'All hands are new ones: the camera paused, or its clock was set'
            return BadInput('time leapt', seconds, remedy)
        if clock_was_set:
            return BadInput('clock was set', 'back, or to another source', 'All hands are new ones')
        return None

    def _header(self, header: Header) -> Header:
        """The header of everything that is published about an image: its stamp, and the frame's name as tf2
        takes it."""
        name, fault = camera_frame(header.frame_id, self._value('camera_frame'))
        if fault is not None:
            self._count(self._diagnostics.images, fault)
        return Header(stamp=header.stamp, frame_id=name)

    def _camera(self, stamp, rgb):
        """The picture's Camera, or None: then hands have no metric place, and diagnostics say why."""
        height, width = rgb.shape[:2]
        try:
            camera = self._inputs.camera(stamp, width, height, self._value('image_rectified'))
        except BadInput as error:
            self._count(self._diagnostics.calibration, error)
            return None
        for doubt in calibration_doubts(camera, self._inputs.image.topic):
            self._count(self._diagnostics.calibration, doubt)
        return camera

    def _depth(self, frame, frame_id, image_frame_id):
        """Depth of the Frame's picture, or None: then the scale comes from elsewhere, and diagnostics say
        why. Without a camera it would be of no use. `image_frame_id`: as the image message has it."""
        if self._inputs.depth is None or frame.camera is None:
            return None
        try:
            return self._inputs.depth.picture_for(
                frame, frame_id, self._value('max_image_pixels'), image_frame_id
            )
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
        for reason, hands in self._pipeline.rejected.items():
            for _ in range(hands):
                self._diagnostics.faults.add(f'hand held back: {reason}', _NO_HAND[reason])

    def _count(self, faults, error):
        if error.reason in _DISCOVERED and time.monotonic() - self._begun < DISCOVERY:
            return
        if faults.add(error.reason, error.remedy):
            self._node.get_logger().warning(str(error))

    def _value(self, name):
        return self._node.get_parameter(name).value


def _stand_back():
    """Lowers the priority of the calling thread, and so of those that it starts, by NICENESS."""
    if sys.platform == 'linux':  # elsewhere a priority is a whole process's
        thread = threading.get_native_id()
        with suppress(OSError):  # where a sandbox forbids it, it works as well, only later
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
