"""What /diagnostics says about the node, once a second: rate, stage times, drops, faults each with its
remedy."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

RECENT = 5.0
"""Seconds for which a fault keeps its status at WARN, and over which the rate is taken."""

STUCK = 5.0
"""Seconds in one picture after which the worker counts as stuck."""


class Faults:
    """Counts faults by reason and keeps the remedy of each. Safe to use from several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._counts, self._remedies, self._last = Counter(), {}, {}

    def add(self, reason, remedy):
        """Counts one; True for the first of its kind in a while, which is worth a line in the log."""
        with self._lock:
            now = time.monotonic()
            fresh = now - self._last.get(reason, -np.inf) > RECENT
            self._counts[reason] += 1
            self._remedies[reason], self._last[reason] = remedy, now
            return fresh

    def recent(self):
        """[(reason, remedy)] of the last seconds, newest first."""
        with self._lock:
            since = time.monotonic() - RECENT
            return [
                (reason, self._remedies[reason])
                for reason, at in sorted(self._last.items(), key=lambda item: -item[1])
                if at > since
            ]

    def values(self):
        """Pairs (key, value): a count and a remedy for each reason."""
        with self._lock:
            return [
                pair
                for reason, count in sorted(self._counts.items())
                for pair in ((f'{reason}: count', count), (f'{reason}: remedy', self._remedies[reason]))
            ]


class Diagnostics:
    """Collects what the worker does and reports it as four statuses: images, calibration, depth,
    model."""

    def __init__(self, name):
        self._seen = 0, 0
        self._name = name
        self.images, self.calibration, self.depth, self.faults = (Faults() for _ in range(4))
        self._lock = threading.Lock()
        self._finished = deque(maxlen=300)
        self._times = {}
        self._busy_since = None
        self.taken = self.processed = self.with_depth = 0
        self.hands = 0
        self.failure = None
        """(what, fix) of a configuration that failed."""

    def started(self):
        """The worker took a picture."""
        self._busy_since = time.monotonic()
        self.taken += 1

    def finished(self, hands, with_depth, timings):
        """The worker published `hands` hands, of a picture with or without depth; `timings` {stage:
        seconds}."""
        with self._lock:
            self.processed += 1
            self.with_depth += with_depth
            self.hands = hands
            self._finished.append(time.monotonic())
            for stage, seconds in timings.items():
                self._times.setdefault(stage, deque(maxlen=300)).append(seconds)
        self._busy_since = None  # last: who sees the worker idle sees it counted

    def abandoned(self):
        """The worker gave a picture up."""
        self._busy_since = None

    @property
    def busy(self):
        """Whether the worker has a picture in hand."""
        return self._busy_since is not None

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

    def message(self, stamp, state, inputs=None, image_timeout=2.0, model=()):
        """DiagnosticArray. `state`: label of the lifecycle state. `inputs`: Inputs while the node is active,
        else None. `model`: pairs to show with the model."""
        return DiagnosticArray(
            header=Header(stamp=stamp),
            status=[
                self._image_status(state, inputs, image_timeout),
                self._calibration_status(),
                self._depth_status(inputs),
                self._model_status(state, model),
            ],
        )

    def _image_status(self, state, inputs, timeout):
        values = [('processed', self.processed), ('rate (Hz)', f'{self.rate():.1f}'), ('hands', self.hands)]
        level, text = OK, state
        if inputs is not None:
            image, frames = inputs.image, inputs.frames
            publishers, age = image.publishers(), frames.age()
            values += [
                ('topic', image.topic),
                ('reliability', image.reliability.name.lower()),
                ('publishers', publishers),
                ('received', frames.received),
                ('dropped', frames.dropped),
                ('lost', frames.lost),
            ]
            text = (
                f'{self.rate():.1f} Hz; of {frames.received}: {frames.dropped} dropped for newer ones, '
                f'{frames.lost} lost on the way'
            )
            if self._losing(frames):
                level = WARN
                text += '. Use config/fastdds.xml on both sides, or a reliable camera'
            if age > timeout:
                level = ERROR
                text = f'no images on {image.topic}: ' + (
                    'nobody publishes it; start the camera or remap `image`'
                    if publishers == 0
                    else 'its publisher is silent; look at the camera'
                )
        recent = self.images.recent()
        if recent and level == OK:
            level, text = WARN, f'{recent[0][0]}. {recent[0][1]}'
        return self._status('images', level, text, values + self.images.values())

    def _losing(self, frames):
        """Whether the middleware lost over a tenth of the pictures since the last status."""
        received, lost = frames.received - self._seen[0], frames.lost - self._seen[1]
        self._seen = frames.received, frames.lost
        return lost > max(received / 10, 2)

    def _calibration_status(self):
        recent = self.calibration.recent()
        text = f'{recent[0][0]}: no metric place, no TF. {recent[0][1]}' if recent else 'CameraInfo is used'
        return self._status('calibration', WARN if recent else OK, text, self.calibration.values())

    def _depth_status(self, inputs):
        recent = self.depth.recent()
        level, text = OK, 'not asked for'
        if inputs is not None and inputs.depth is not None:
            text = f'used in {self.with_depth} of {self.processed} pictures'
        if recent:
            level, text = WARN, f'{recent[0][0]}: scale comes from elsewhere. {recent[0][1]}'
        values = [('pictures with depth', self.with_depth), *self.depth.values()]
        return self._status('depth', level, text, values)

    def _model_status(self, state, model):
        with self._lock:
            values = [
                (f'{stage} p{p} (ms)', f'{np.percentile(times, p) * 1e3:.1f}')
                for stage, times in self._times.items()
                for p in (50, 95)
            ]
        level, text = OK, state
        recent = self.faults.recent()
        busy = self._busy_since
        if self.failure:
            level, text = ERROR, f'{self.failure[0]}. Fix: {self.failure[1]}'
        elif busy is not None and time.monotonic() - busy > STUCK:
            level, text = ERROR, f'stuck in one picture for {time.monotonic() - busy:.0f} s; restart the node'
        elif recent:
            level, text = ERROR, f'{recent[0][0]}. {recent[0][1]}'
        return self._status('model', level, text, [*model, *values, *self.faults.values()])

    def _status(self, part, level, text, values):
        return DiagnosticStatus(
            name=f'{self._name}: {part}',
            hardware_id=self._name,
            level=level,
            message=text,
            values=[KeyValue(key=str(key), value=str(value)) for key, value in values],
        )
