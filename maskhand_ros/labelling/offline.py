"""Offline refinement of a clip's labels, which needs the whole clip.

    refine(frames, options) -> frames

Input are the hands of a pipeline with `smoothing='off'`. Tracks of one hand are joined over gaps and get one
side (tracks.py). Both hands of the operator share one length, one set of betas and one skeleton, each other
hand has its own (skeleton_fit.py). The wrist's orientation, the fingers, the wrist's direction and the
logarithm of its depth are smoothed both ways without delay (fixed_interval.py); rotations as quaternions.
Keypoints are put together anew, so that bones have one length, and the hand is placed where the image shows
them; a distance measured by a depth camera stays as it is. A gap of up to FILL_GAP seconds is filled in, with
`observed` false and the uncertainty of the gap added; in longer ones the hand stays absent. Hands in too few
frames to be smoothed are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.labelling.skeleton_fit import person_shape
from maskhand_ros.labelling.track_smoother import TrackSmoother
from maskhand_ros.labelling.tracks import Track, find_tracks

_SAME_HAND = 0.5
"""A frame is not filled in where another hand of this side is nearer than this, in hand sizes."""


@dataclass(frozen=True)
class RefineOptions:
    """What the labels were made with. `hand_model`, `keypoint_set`, `mirrored`: as hand_model, keypoint_set
    and mirrored_input of PipelineConfig."""

    hand_model: str = ''
    keypoint_set: str = 'mano'
    mirrored: bool = False

    @property
    def model(self) -> HandModel:
        """The hand model, loaded anew."""
        return HandModel.load(self.hand_model or None, self.keypoint_set)


def refine(frames: Sequence[FrameLabels], options: RefineOptions | None = None) -> list[FrameLabels]:
    """The frames of a clip, in order of time, with refined hands."""
    options = options or RefineOptions()
    model = options.model
    seconds = increasing(np.array([frame.source_time_s for frame in frames]))
    tracks = find_tracks(frames, seconds)
    refined = [replace(frame, hands=[]) for frame in frames]
    filled: list[tuple[int, HandLabels]] = []
    for person in _persons(tracks):
        shape = person_shape(person, model)
        for track in person:
            for row, hand in TrackSmoother(track, shape, frames, seconds, options.mirrored)():
                if hand.observed:
                    refined[row].hands.append(hand)
                else:
                    filled.append((row, hand))
    for row, hand in filled:
        if not any(_is_near(hand, other) for other in refined[row].hands):
            refined[row].hands.append(hand)
    for frame in refined:
        frame.hands.sort(key=lambda hand: hand.track_id)
    return refined


def increasing(seconds: np.ndarray) -> np.ndarray:
    """Times (T,) with steps of at least a tenth of the median one: stamps may repeat or go back."""
    if len(seconds) < 2:
        return seconds
    steps = np.diff(seconds)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    return np.asarray(seconds[0] + np.concatenate([[0.0], np.cumsum(np.maximum(steps, 0.1 * usual))]))


def _persons(tracks: list[Track]) -> list[list[Track]]:
    """Tracks by person: the operator's are one person's, each other track is its own."""
    operator = [track for track in tracks if track.is_operator]
    others = [[track] for track in tracks if not track.is_operator]
    return [operator, *others] if operator else others


def _is_near(hand: HandLabels, other: HandLabels) -> bool:
    """Whether another hand of this side is where `hand` is."""
    size = max(float(np.ptp(hand.kp2d, axis=0).max()), 1.0)
    apart = float(np.linalg.norm(hand.kp2d.mean(0) - other.kp2d.mean(0)))
    return hand.side == other.side and apart < _SAME_HAND * size
