"""Search of an image for new hands: the palm detector proposes regions in many views, the landmark network
accepts or rejects them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import covers, has_part
from maskhand_ros.perception.crop import nearly_same, roi_from_keypoints
from maskhand_ros.perception.detector import PalmDetector
from maskhand_ros.perception.observer import Observer
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.perception.views import View, steady_cycle, thorough_views, view_around, whole_view

_LOST_VIEW = 4.0
"""Edge length of the view around a lost hand, in hand sizes."""
_WHOLE_EVERY = 5
"""Frames from one search of the whole image to the next while a hand is known."""
_BESIDE = 0.5
"""Maximum distance of the middles of two hands of one side, in hand sizes, at which the new one is taken for
the tracked one: while hands touch, the landmarks of a track may be off."""
_PLAIN_PALM = 0.5
"""Score of a palm in the whole upright image from which its hand needs no further check: none of 60 such
hands in everyday images was false."""
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
        found: list[Observation] = []
        if room <= 0:
            return found
        if not self.budget:
            for view in thorough_views(rgb.shape[1], rgb.shape[0]):
                self._look(rgb, camera, stamp, view, known, lost, found, room)
            return [each for each in found if not _is_part(each, found)]
        self._since_whole += 1
        if not known or self._since_whole >= _WHOLE_EVERY:
            self._since_whole = 0
            self._look(rgb, camera, stamp, whole_view(rgb.shape[1], rgb.shape[0]), known, lost, found, room)
        self._credit = min(self._credit + self.budget, self.budget)
        while self._credit > 0 and len(found) < room:
            view = self._next_view(rgb, lost)
            self._credit -= self._look(rgb, camera, stamp, view, known, lost, found, room)
        return found

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
            if len(found) < room:
                hand = self._observer.hand_at(rgb, camera, roi, [*known, *found])
                found += [hand] if hand else []
        return found

    def _next_view(self, rgb: np.ndarray, lost: Sequence[Track]) -> View:
        """The next view in turn; every second one is around a lost hand, if there are any."""
        self._lost_turn += 1
        if lost and self._lost_turn % 2:
            keypoints = lost[(self._lost_turn // 2) % len(lost)].keypoints_px
            size = _LOST_VIEW * max(float(np.ptp(keypoints, axis=0).max()), 1.0)
            return view_around(keypoints.mean(0), size)
        views = steady_cycle(rgb.shape[1], rgb.shape[0])
        self._turn = (self._turn + 1) % len(views)
        return views[self._turn]

    def _look(
        self,
        rgb: np.ndarray,
        camera: Camera,
        stamp: float,
        view: View,
        known: Sequence[Observation],
        lost: Sequence[Track],
        found: list[Observation],
        room: int,
    ) -> float:
        """Searches one View, appends to `found`, and returns the cost in seconds."""
        start, counts = time.perf_counter(), SearchCounts(views=1)
        for roi in self._detector(rgb, view):
            if len(found) >= room:
                break
            if roi in self._rejected or any(covers(each, roi) for each in (*known, *found)):
                continue
            counts.proposals += 1
            hand = self._observer.hand_at(rgb, camera, roi, [*known, *found])
            plain = roi.score >= _PLAIN_PALM and view.turns == 0 and view.size_px >= max(rgb.shape[:2])
            if hand and not (plain or _may_be_lost_one(hand, lost)):
                hand = hand if self._observer.is_certain(hand, rgb, camera) else None
            if hand and _is_beside(hand, known):
                hand = None
            if hand is None:
                self._rejected.regions.append((roi, stamp))
            else:
                found.append(hand)
                counts.found += 1
        self.counts, self.total = self.counts + counts, self.total + counts
        if self.costs is None:
            return time.perf_counter() - start
        return self.costs.view + self.costs.proposal * counts.proposals


def _is_part(observation: Observation, others: Sequence[Observation]) -> bool:
    """Whether an Observation is a part of a larger hand among the `others`, found after it."""
    region = roi_from_keypoints(observation.keypoints_px, observation.side)
    return any(other is not observation and has_part(other, region) for other in others)


def _may_be_lost_one(hand: Observation, lost: Sequence[Track]) -> bool:
    """Whether an Observation may be the hand of one of the `lost` Tracks. That one was examined when it was
    new, and may now be half hidden."""
    return any(
        track.side == hand.side
        and np.linalg.norm(track.keypoints_px.mean(0) - hand.keypoints_px.mean(0)) < hand.size_px
        for track in lost
    )


def _is_beside(hand: Observation, known: Sequence[Observation]) -> bool:
    """Whether a tracked hand of the same side is so near that an Observation is taken for that one."""
    return any(
        other.side == hand.side
        and np.linalg.norm(other.keypoints_px.mean(0) - hand.keypoints_px.mean(0)) < _BESIDE * hand.size_px
        for other in known
    )
