"""Measures of the labels of a run: hands found, confidence, steadiness, and the frames to look at."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.labelling.finished import FinishedClip
from maskhand_ros.labelling.parquet import read_clip
from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.skeleton import KEYPOINT_EDGES

BINS = 20
"""Of the histogram of confidence."""


@dataclass(order=True)
class Pick:
    """A frame to look at: its least confidence, the number of its clip, and its row."""

    confidence: float
    clip: int
    row: int


@dataclass
class ClipMeasures:
    """Measures of one clip."""

    source: str
    seconds: float
    frames: int
    with_hands: int
    """Frames with a hand."""
    hands: int
    """Hands in all frames."""
    filled: int
    """Of these, filled in from other frames."""
    confidence: float
    """Mean."""
    bone_spread: float
    """Standard deviation of bone lengths in a track over their mean: 0 if bones have one length."""
    jitter: float
    """Median acceleration of keypoints from the wrist, m/s^2: motion and jitter together."""
    tracks: dict[int, Counter[str]] = field(default_factory=dict)
    """Frames of each track by side."""


@dataclass
class Report:
    """Measures of all clips, and frames to look at."""

    clips: list[ClipMeasures]
    histogram: np.ndarray
    """(BINS,) hands by confidence, from 0 to 1."""
    least: list[Pick]
    """Frames with the least confident hands, one for each second at most."""
    random: list[Pick]
    """Frames drawn at random."""

    @property
    def hours(self) -> float:
        """Length of all clips."""
        return sum(clip.seconds for clip in self.clips) / 3600

    @property
    def found(self) -> float:
        """Share of frames with a hand."""
        return sum(clip.with_hands for clip in self.clips) / max(sum(clip.frames for clip in self.clips), 1)


def make_report(clips: Iterable[FinishedClip], picks: int = 12, seed: int = 0) -> Report:
    """The Report of clips; `picks` frames of each kind. Clips are read one after the other."""
    rng, measured, histogram = np.random.default_rng(seed), [], np.zeros(BINS, int)
    least: list[Pick] = []
    random: list[tuple[float, Pick]] = []
    for number, clip in enumerate(clips):
        frames = read_clip(clip.file)
        measured.append(_measure(clip, frames))
        hands = [hand for frame in frames for hand in frame.hands]
        confidences = [hand.confidence for hand in hands]
        histogram += np.histogram(confidences, BINS, (0, 1))[0]
        least = heapq.nsmallest(picks, least + _least_of_seconds(number, frames))
        for row, frame in enumerate(frames):
            pick = Pick(min((hand.confidence for hand in frame.hands), default=1.0), number, row)
            random.append((float(rng.random()), pick))
        random = heapq.nsmallest(picks, random, key=lambda drawn: drawn[0])
    return Report(measured, histogram, least, [pick for _, pick in random])


def _least_of_seconds(number: int, frames: Sequence[FrameLabels]) -> list[Pick]:
    """The frame with the least confident hand of each second of a clip."""
    found: dict[int, Pick] = {}
    for row, frame in enumerate(frames):
        if frame.hands:
            pick = Pick(min(hand.confidence for hand in frame.hands), number, row)
            second = int(frame.source_time_s)
            found[second] = min(pick, found.get(second, pick))
    return list(found.values())


def _measure(clip: FinishedClip, frames: Sequence[FrameLabels]) -> ClipMeasures:
    tracks: dict[int, list[tuple[float, HandLabels]]] = {}
    for frame in frames:
        for hand in frame.hands:
            tracks.setdefault(hand.track_id, []).append((frame.source_time_s, hand))
    hands = [hand for frame in frames for hand in frame.hands]
    spreads = [_bone_spread([hand for _, hand in track]) for track in tracks.values() if len(track) > 1]
    accelerations = [_accelerations(track, clip.metadata['rate']) for track in tracks.values()]
    every = np.concatenate(accelerations or [np.empty(0)])
    return ClipMeasures(
        source=clip.source,
        seconds=len(frames) / clip.metadata['rate'],
        frames=len(frames),
        with_hands=sum(bool(frame.hands) for frame in frames),
        hands=len(hands),
        filled=sum(not hand.observed for hand in hands),
        confidence=float(np.mean([hand.confidence for hand in hands])) if hands else float('nan'),
        bone_spread=float(np.mean(spreads)) if spreads else float('nan'),
        jitter=float(np.median(every)) if len(every) else float('nan'),
        tracks={id: Counter(str(hand.side) for _, hand in track) for id, track in sorted(tracks.items())},
    )


def _bone_spread(hands: Sequence[HandLabels]) -> float:
    points = np.stack([hand.kp3d_wrist for hand in hands])
    lengths = np.linalg.norm(points[:, KEYPOINT_EDGES[:, 1]] - points[:, KEYPOINT_EDGES[:, 0]], axis=-1)
    return float((lengths.std(0) / lengths.mean(0)).mean())


def _accelerations(track: Sequence[tuple[float, HandLabels]], rate: float) -> np.ndarray:
    """Mean accelerations of the keypoints from the wrist, m/s^2, over three frames in a row."""
    times = np.array([time for time, _ in track])
    points = np.stack([hand.kp3d_wrist @ hand.wrist_rotation.T for _, hand in track])
    points -= points[:, :1]
    steps = np.diff(times)
    even = (steps[1:] < 1.5 / rate) & (steps[:-1] < 1.5 / rate) if len(steps) > 1 else np.zeros(0, bool)
    if not even.any():
        return np.empty(0)
    step = (steps[1:] + steps[:-1]) / 2
    change = np.diff(points, 2, axis=0)[even] / np.square(step[even])[:, None, None]
    return np.asarray(np.linalg.norm(change, axis=-1).mean(1))
