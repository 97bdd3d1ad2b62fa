"""Labels of a clip as the pipeline gives them, frame by frame.

The search does not depend on the speed of the machine (search.NominalCosts). While a hand is missing, all
views are searched in the first frame and after each _SEARCH_PERIOD of the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from maskhand_ros.geometry import Camera
from maskhand_ros.labelling.label_options import LabelOptions
from maskhand_ros.labelling.records import FrameLabels, labels_of
from maskhand_ros.labelling.sources import Source, SourceFrame
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.search import NominalCosts
from maskhand_ros.perception.types import Frame

_SEARCH_PERIOD = 2.0
"""Seconds from one search of all views to the next while a hand is missing."""

WARM_UP = 2.0
"""Seconds before a segment from which on its hands are followed; their labels are the context of the first
frames, and tell which hand of the segment before is which."""

AHEAD = 1.0
"""Seconds after a segment that are labelled as context of its last frames."""


@dataclass(frozen=True)
class Window:
    """A segment of a clip: frames at `start_ns` or later and before `stop_ns` (None: to the end)."""

    start_ns: int = 0
    stop_ns: int | None = None

    @property
    def first_ns(self) -> int:
        """Time from which on frames are labelled."""
        return max(self.start_ns - round(WARM_UP * 1e9), 0)

    @property
    def last_ns(self) -> float:
        """Time before which frames are labelled."""
        return float('inf') if self.stop_ns is None else self.stop_ns + round(AHEAD * 1e9)

    def holds(self, frame: FrameLabels) -> bool:
        """Whether the frame is in the segment, and not in its context."""
        time_ns = round(frame.source_time_s * 1e9)
        return self.start_ns <= time_ns and (self.stop_ns is None or time_ns < self.stop_ns)


def segments(duration: float | None, length: float) -> list[Window]:
    """The segments of a clip of `duration` seconds, each of `length` seconds: one where it is unknown. The
    last is open, because the duration may be wrong, and at most 1.5 times as long."""
    count = max(round((duration or 0.0) / length), 1)
    edges = [round(number * length * 1e9) for number in range(count)]
    return [Window(start, stop) for start, stop in zip(edges, [*edges[1:], None], strict=True)]


class Labeller:
    """A pipeline that labels one clip after the other."""

    def __init__(self, options: LabelOptions) -> None:
        """Loads the models. ModelError where they are missing."""
        self.options = options
        self.pipeline = HandPipeline(options.config())
        self.pipeline.search.costs = NominalCosts()
        self.camera: Camera | None = None
        """Of the last frame."""
        self.size = 0, 0
        """Width and height of the last frame, px."""

    def __call__(
        self, source: Source, window: Window, on_frame: Callable[[int], None] = lambda done: None
    ) -> Iterator[FrameLabels]:
        """The labels of a segment with its context, frame by frame. `on_frame` gets the number of frames
        so far."""
        self.pipeline.reset()
        search = _SearchRule(self.pipeline, self.options.stills)
        for number, frame in enumerate(source.frames(window.first_ns)):
            if frame.time_ns >= window.last_ns:
                return
            yield self._label(frame, number, source.rate, search)
            on_frame(number + 1)

    def _label(self, frame: SourceFrame, number: int, rate: float, search: _SearchRule) -> FrameLabels:
        self.camera, self.size = frame.camera, (frame.rgb.shape[1], frame.rgb.shape[0])
        search.prepare(frame.time_ns)
        hands = self.pipeline.process(Frame(frame.rgb, frame.time_ns, frame.camera))
        search.found = len(hands)
        return FrameLabels(
            frame_index=number,
            timestamp_s=number / rate,
            source_time_s=frame.time_ns * 1e-9,
            intrinsics=None if frame.camera is None else frame.camera.K,
            hands=[labels_of(hand) for hand in hands],
        )


class _SearchRule:
    """Decides for each frame how much is searched. `found`: hands of the last frame."""

    def __init__(self, pipeline: HandPipeline, stills: bool) -> None:
        self._pipeline, self._stills, self.found = pipeline, stills, 0
        self._budget, self._due_ns = pipeline.config.search_budget, 0

    def prepare(self, time_ns: int) -> None:
        """Sets the budget of the search for the frame at `time_ns`; 0 is the search of all views."""
        if self._stills:
            self._pipeline.reset()
        missing = self.found < self._pipeline.config.max_hands
        all_views = self._stills or (missing and time_ns >= self._due_ns)
        if all_views:
            self._due_ns = time_ns + round(_SEARCH_PERIOD * 1e9)
        self._pipeline.search.budget = 0.0 if all_views else self._budget
