"""Search of an image for new hands: the palm detector proposes regions in many views, the landmark network
accepts or rejects them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import covers, has_part, is_near
from maskhand_ros.perception.crop import nearly_same, roi_from_keypoints
from maskhand_ros.perception.detector import PalmDetector
from maskhand_ros.perception.observer import Observer
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.perception.views import View, steady_cycle, thorough_views, view_around, whole_view

_LOST_VIEW = 4.0
"""Edge length of the view around a lost hand, in hand sizes."""
_LOST_DISTANCE = 1.0
"""Maximum distance of the middles of a hand and a lost one, in hand sizes, at which they may be the same."""
_WHOLE_EVERY = 5
"""Frames from one search of the whole image to the next while a hand is known."""
_BESIDE = 0.5
"""Maximum distance of the middles of two hands of one side, in hand sizes, at which the new one is taken for
the tracked one: while hands touch, the landmarks of a track may be off."""
_PLAIN_PALM = 0.5
"""Score of a palm in the whole upright image from which its hand needs no check of its presence: none of 60
such hands in everyday images was false."""
_REJECTED_SECONDS = 0.3
"""Time for which a rejected region is not examined again."""
_SAME_REGION = {'place': 0.1, 'size': 0.15, 'roll': 0.35}
"""Tolerances within which a region counts as one that was rejected (crop.nearly_same)."""


@dataclass
class SearchCounts:
    """Counts of the search."""

    views: int = 0
    """Runs of the palm detector."""
    proposals: int = 0
    """Regions examined by the landmark network."""
    found: int = 0
    """New hands."""

    def __add__(self, other: SearchCounts) -> SearchCounts:
        return SearchCounts(
            self.views + other.views, self.proposals + other.proposals, self.found + other.found
        )


@dataclass
class NominalCosts:
    """Costs of the operations in seconds, in place of measured ones. A search with them depends on the
    images alone, not on the machine: for evaluations and tests."""

    view: float = 0.008
    proposal: float = 0.015


@dataclass
class _Rejected:
    """Regions that the landmark network has rejected."""

    regions: list[tuple[HandRoi, float]] = field(default_factory=list)

    def forget(self, stamp: float) -> None:
        """Drops the regions that were rejected more than _REJECTED_SECONDS before `stamp`, or after it."""
        self.regions = [each for each in self.regions if 0 <= stamp - each[1] < _REJECTED_SECONDS]

    def __contains__(self, roi: HandRoi) -> bool:
        return any(nearly_same(other, roi, **_SAME_REGION) for other, _ in self.regions)


@dataclass
class _Task:
    """The search of one frame; fields as the arguments of HandSearch."""

    rgb: np.ndarray
    camera: Camera
    stamp: float
    known: Sequence[Observation]
    lost: Sequence[Track]
    room: int
    found: list[Observation] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, px."""
        return self.rgb.shape[1], self.rgb.shape[0]

    @property
    def seen(self) -> list[Observation]:
        """All hands of the frame so far."""
        return [*self.known, *self.found]

    @property
    def wants_more(self) -> bool:
        """Whether there is room for another hand."""
        return len(self.found) < self.room


class HandSearch:
    """Search for hands that are not tracked.

    `budget` seconds a frame (video): the whole image is searched in each frame while no hand is known, and in
    every _WHOLE_EVERY-th frame otherwise. The budget is spent on further views in turn (views.steady_cycle),
    around lost hands first. An operation that costs more than what is left is paid off in the following
    frames. `budget` 0: all views of views.thorough_views in each frame (single images). `counts` are of the
    last frame, `total` of all frames.
    """

    def __init__(
        self, detector: PalmDetector, observer: Observer, budget: float, costs: NominalCosts | None = None
    ) -> None:
        """`costs`: fixed costs in place of the measured time."""
        self._detector, self._observer, self.budget, self.costs = detector, observer, budget, costs
        self.counts, self.total = SearchCounts(), SearchCounts()
        self.reset()

    def reset(self) -> None:
        """Starts the turn of the views again and forgets the rejected regions."""
        self._credit, self._turn, self._lost_turn, self._since_whole = 0.0, 0, 0, _WHOLE_EVERY
        self._rejected = _Rejected()

    def __call__(
        self,
        rgb: np.ndarray,
        camera: Camera,
        stamp: float,
        known: Sequence[Observation],
        lost: Sequence[Track],
        room: int,
    ) -> list[Observation]:
        """Observations of at most `room` hands in an image (H, W, 3) at `stamp` seconds that are not among
        the `known` ones. `lost`: Tracks that are not found in it."""
        self.counts = SearchCounts()
        self._rejected.forget(stamp)
        task = _Task(rgb, camera, stamp, known, lost, room)
        if room <= 0:
            return []
        if not self.budget:
            for view in thorough_views(*task.size):
                self._look(view, task)
            return [each for each in task.found if not _is_part(each, task.found)]
        self._since_whole += 1
        if not known or self._since_whole >= _WHOLE_EVERY:
            self._since_whole = 0
            self._look(whole_view(*task.size), task)
        self._credit = min(self._credit + self.budget, self.budget)
        while self._credit > 0 and task.wants_more:
            self._credit -= self._look(self._next_view(task), task)
        return task.found

    def at_regions(
        self,
        rgb: np.ndarray,
        camera: Camera,
        rois: Iterable[HandRoi],
        known: Sequence[Observation],
        room: int,
    ) -> list[Observation]:
        """Observations of at most `room` hands at `rois`, in place of a search."""
        found: list[Observation] = []
        for roi in rois:
            if len(found) >= room:
                break
            hand = self._observer.hand_at(rgb, camera, roi, [*known, *found])
            found += [hand] if hand else []
        return found

    def _next_view(self, task: _Task) -> View:
        """The next view in turn; every second one is around a lost hand, if there are any."""
        self._lost_turn += 1
        if task.lost and self._lost_turn % 2:
            track = task.lost[(self._lost_turn // 2) % len(task.lost)]
            return view_around(track.keypoints_px.mean(0), _LOST_VIEW * max(track.size_px, 1.0))
        views = steady_cycle(*task.size)
        self._turn = (self._turn + 1) % len(views)
        return views[self._turn]

    def _look(self, view: View, task: _Task) -> float:
        """Searches one View, adds to the hands found, and returns the cost in seconds."""
        start, counts = time.perf_counter(), SearchCounts(views=1)
        for roi in self._detector(task.rgb, view):
            if not task.wants_more:
                break
            if roi in self._rejected or any(covers(each, roi) for each in task.seen):
                continue
            counts.proposals += 1
            hand = self._examine(roi, view, task)
            if hand is None:
                self._rejected.regions.append((roi, task.stamp))
            else:
                task.found.append(hand)
                counts.found += 1
        self.counts, self.total = self.counts + counts, self.total + counts
        if self.costs is None:
            return time.perf_counter() - start
        return self.costs.view + self.costs.proposal * counts.proposals

    def _examine(self, roi: HandRoi, view: View, task: _Task) -> Observation | None:
        """The hand at a proposal of a View; None if there is none, or none that is new. It is the best of
        three crops. In a video a hand whose palm is plain is not cropped again. Nor is one that may be lost:
        it was checked when it was new, and may now be half hidden."""
        hand = self._observer.hand_at(task.rgb, task.camera, roi, task.seen)
        if hand is None or is_near(hand, task.known, _BESIDE):
            return None
        plain = roi.score >= _PLAIN_PALM and view.turns == 0 and view.size_px >= max(task.size)
        if (plain and self.budget) or is_near(hand, task.lost, _LOST_DISTANCE):
            return hand
        return self._observer.best_of_three(hand, task.rgb, task.camera, task.seen, certain=plain)


def _is_part(observation: Observation, others: Sequence[Observation]) -> bool:
    """Whether an Observation is a part of a larger hand among the `others`, found after it."""
    region = roi_from_keypoints(observation.keypoints_px, observation.side)
    return any(other is not observation and has_part(other, region) for other in others)
