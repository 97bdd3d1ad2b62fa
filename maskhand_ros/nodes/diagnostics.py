"""What /diagnostics says about the node, once a second: rate, stage times, drops, faults each with its
remedy."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from maskhand_ros.nodes.faults import RECENT, Faults

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

ACCEPTABLE_AGE = -0.1, 5.0
"""Seconds from a picture's stamp to its arrival: diagnostic_updater's TimeStampStatus takes -1 to 5."""

STUCK = 5.0
"""Seconds in one picture after which the worker counts as stuck."""


class Diagnostics:
    """Collects what the worker does and reports it as four statuses: images, calibration, depth,
    model."""

    def __init__(self, name):
        self._seen = 0, 0
        self._name = name
        self.images, self.calibration, self.depth, self.faults = (Faults() for _ in range(4))
        self._lock = threading.Lock()
        self._finished = deque(maxlen=300)
        self._times, self._ages = {}, deque(maxlen=30)
        self._in_hand = []
        self.taken = self.processed = self.with_depth = 0
        self.hands = []
        self.failure = None
        """(what, fix) of a configuration that failed."""

    def started(self):
        """The worker took a picture; returns when, for the picture's `ended`."""
        with self._lock:
            self._in_hand.append(since := time.monotonic())
            self.taken += 1
        return since

    def arrived(self, age):
        """A picture came, `age` seconds after its stamp by the node's clock."""
        with self._lock:
            self._ages.append(age)

    def finished(self, hands, with_depth, timings):
        """The worker published the Hands of a picture with or without depth; `timings` {stage: seconds}.
        `ended` comes after it: who sees the worker idle sees the picture counted."""
        with self._lock:
            self.processed += 1
            self.with_depth += with_depth
            self.hands = hands
            self._finished.append(time.monotonic())
            for stage, seconds in timings.items():
                self._times.setdefault(stage, deque(maxlen=300)).append(seconds)

    def ended(self, since):
        """The worker is done with the picture that it took then, or gave it up."""
        with self._lock:
            self._in_hand.remove(since)

    def forget_hands(self):
        """No hand is followed any more."""
        self.hands = []

    def forget_times(self):
        """Other models, or another device: what was measured before says nothing of them."""
        with self._lock:
            self._times.clear()
            self._ages.clear()

    @property
    def busy(self):
        """Whether the worker has a picture in hand."""
        return bool(self._in_hand)

    def rate(self):
        """Pictures processed per second over the last seconds."""
        with self._lock:
            since = time.monotonic() - RECENT
            recent = [t for t in self._finished if t > since]
        return (
            (len(recent) - 1) / (recent[-1] - recent[0])
            if len(recent) > 1 and recent[-1] > recent[0]
            else 0.0
        )

    def message(self, stamp, state, inputs=None, image_timeout=2.0, pipeline=None):
        """DiagnosticArray. `state`: label of the lifecycle state. `inputs`: Inputs while the node is active,
        else None. `pipeline`: HandPipeline while the node is configured, else None."""
        return DiagnosticArray(
            header=Header(stamp=stamp),
            status=[
                self._image_status(state, inputs, image_timeout),
                self._calibration_status(inputs),
                self._depth_status(inputs),
                self._model_status(state, pipeline),
            ],
        )

    def _image_status(self, state, inputs, timeout):
        values = [
            ('processed', self.processed),
            ('rate (Hz)', f'{self.rate():.1f}'),
            ('hands', len(self.hands)),
            ('tracks', ', '.join(map(_told, self.hands)) or 'none'),
        ]
        level, text = OK, state
        if inputs is not None:
            image, frames = inputs.image, inputs.frames
            values += [
                ('topic', image.topic),
                ('reliability', image.reliability.name.lower()),
                ('publishers', image.publishers()),
                ('received', frames.received),
                ('dropped', frames.dropped),
                ('lost', frames.lost),
                ('age on arrival p50 (ms)', f'{self._age() * 1e3:.1f}'),
            ]
            level, text = self._gravest(image, frames, timeout)
        return self._status('images', level, text, values + self.images.values())

    def _gravest(self, image, frames, timeout):
        """Level and text of what is worst about the pictures."""
        losing, recent, age = self._losing(frames), self.images.recent(), self._age()
        text = (
            f'{self.rate():.1f} Hz; of {frames.received}: {frames.dropped} dropped for newer ones, '
            f'{frames.lost} lost on the way'
        )
        if frames.age() > timeout:
            return ERROR, f'no images on {image.topic}: {_why_silent(image)}'
        if recent:
            return WARN, f'{recent[0][0]}. {recent[0][1]}'
        if losing:
            return WARN, f'{text}. Use config/fastdds.xml on both sides, or a reliable camera'
        if not ACCEPTABLE_AGE[0] <= age <= ACCEPTABLE_AGE[1]:
            return WARN, (
                f'stamps are {age:.3f} s before their arrival by this clock: who gates on age refuses all '
                'hands. Set the clocks (chrony), or use_sim_time for a bag'
            )
        return OK, text

    def _losing(self, frames):
        """Whether the middleware lost over a tenth of the pictures since the last status."""
        received, lost = frames.received - self._seen[0], frames.lost - self._seen[1]
        self._seen = frames.received, frames.lost
        return lost > max(received / 10, 2)

    def _age(self):
        with self._lock:
            return float(np.median(self._ages)) if self._ages else 0.0

    def _calibration_status(self, inputs):
        recent = self.calibration.recent()
        text, values = 'CameraInfo is used', []
        if inputs is not None:
            paired, unpaired = inputs.infos.paired, inputs.infos.unpaired
            values = [('of the same stamp', paired), ('latest in its place', unpaired)]
            if unpaired:
                text += f'; the latest for {unpaired} of {paired + unpaired} pictures, theirs had not come'
        if recent:
            text = f'{recent[0][0]}: no metric place, no TF. {recent[0][1]}'
        return self._status(
            'calibration', WARN if recent else OK, text, [*values, *self.calibration.values()]
        )

    def _depth_status(self, inputs):
        recent = self.depth.recent()
        level, text = OK, 'not asked for'
        if inputs is not None and inputs.depth is not None:
            text = f'used in {self.with_depth} of {self.processed} pictures'
        if recent:
            level, text = WARN, f'{recent[0][0]}: scale comes from elsewhere. {recent[0][1]}'
        values = [('pictures with depth', self.with_depth), *self.depth.values()]
        return self._status('depth', level, text, values)

    def _model_status(self, state, pipeline):
        with self._lock:
            values = [
                (f'{stage} p{p} (ms)', f'{np.percentile(times, p) * 1e3:.1f}')
                for stage, times in self._times.items()
                for p in (50, 95, 99)
            ]
        level, text = OK, state
        if pipeline is not None:
            device = pipeline.device
            saved = ', '.join(f'{name} {value}' for name, value in pipeline.saved.items())
            values = [
                ('model', pipeline.model_name),
                ('model hash', pipeline.model_hash),
                ('hand model', pipeline.hand_model.name),
                ('device', device.name),
                ('providers', ', '.join(device.providers)),
                ('reduced for max_latency', saved or 'nothing'),
                *values,
            ]
            if saved:
                level, text = WARN, f'to stay below max_latency: {saved}'
            if device.lost:
                level, text = (
                    WARN,
                    f'the CPU stands in for {device.name}: {device.lost}; configure again to retry',
                )
        recent = self.faults.recent()
        with self._lock:
            busy = min(self._in_hand, default=None)
        if self.failure:
            level, text = ERROR, f'{self.failure[0]}. Fix: {self.failure[1]}'
        elif busy is not None and time.monotonic() - busy > STUCK:
            level, text = ERROR, f'stuck in one picture for {time.monotonic() - busy:.0f} s; restart the node'
        elif recent:
            level, text = ERROR, f'{recent[0][0]}. {recent[0][1]}'
        return self._status('model', level, text, [*values, *self.faults.values()])

    def _status(self, part, level, text, values):
        return DiagnosticStatus(
            name=f'{self._name}: {part}',
            hardware_id=self._name,
            level=level,
            message=text,
            values=[KeyValue(key=str(key), value=str(value)) for key, value in values],
        )


def _told(hand):
    operator = ", the operator's" if hand.operator else ''
    return f'{hand.id} {hand.side} {hand.state}{operator}'


def _why_silent(image):
    """What keeps pictures away, and what to do."""
    if not image.publishers():
        return 'nobody publishes it; start the camera or remap `image`'
    misfits = image.misfits()
    if misfits:
        return '. '.join(misfits)
    return 'its publisher is silent; look at the camera'
