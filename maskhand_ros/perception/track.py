"""State of one tracked hand, and what the landmark network found in one crop."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from maskhand_ros.crop_camera import CropCamera
from maskhand_ros.perception.calibration import TYPICAL_DISAGREEMENT
from maskhand_ros.perception.crop import nearly_same, roi_from_keypoints
from maskhand_ros.perception.gates import JumpGate
from maskhand_ros.perception.motion_model import MotionModel
from maskhand_ros.perception.scale import LearnedLength
from maskhand_ros.perception.smoothing import HandFilter
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import LEFT, RIGHT, Handedness

_SIDE_MEMORY, _SETTLED_SIDE_MEMORY, SETTLED_HITS = 0.8, 0.98, 10
"""Weight of the past in the running probability of a side: up to SETTLED_HITS frames, and later."""
_SIDE_THRESHOLD = 0.7
"""Probability above which a track changes sides."""


@dataclass
class Observation:
    """Output of the landmark network for one crop, which shows a right hand (left hands are mirrored)."""

    side: Handedness
    """The side that the crop was made for; crops of left hands are mirrored."""
    crop_camera: CropCamera
    cues: dict[str, np.ndarray]
    """Cues of one crop, each with a leading axis of 1."""
    keypoints_px: np.ndarray
    """(21, 2) landmarks in the image."""
    right_probability: float
    """Probability of a right hand, from this frame alone."""
    side_probability: float = 0.5
    """Probability of `side` over the frames of the track, 0.5 to 1; 0.5: undecided."""
    disagreement: float = TYPICAL_DISAGREEMENT
    """Of the landmarks in several crops of this image (association.disagreement); of one crop: typical."""
    learned_length: float | None = None
    """Length of the hand learned by its track (wrist to middle fingertip, metres); None if not yet known."""

    def probability_of(self, side: Handedness) -> float:
        """Probability of this side, from this frame alone."""
        return self.right_probability if side == RIGHT else 1 - self.right_probability

    @cached_property
    def presence(self) -> float:
        """Probability of a hand in the crop; 0 if the landmarks are not finite."""
        finite = all(np.isfinite(self.cues[name]).all() for name in ('landmarks', 'world_landmarks'))
        return float(self.cues['presence'][0, 0]) if finite else 0.0

    @property
    def landmarks(self) -> np.ndarray:
        """(21, 3) in the crop, px / 224 - 0.5."""
        return self.cues['landmarks'][0]

    @cached_property
    def size_px(self) -> float:
        """Longer edge of the landmarks' axis-aligned box, px."""
        return float(np.ptp(self.keypoints_px, axis=0).max())


@dataclass(eq=False)
class Track:
    """One tracked hand. Counters as in SORT (Bewley et al. 2016)."""

    id: int
    side: Handedness
    right_probability: float
    keypoints_px: np.ndarray
    """(21, 2) landmarks of the last observation, px."""
    hit_streak: int = 0
    """Frames in a row with an observation."""
    time_since_update: int = 0
    """Frames since the last observation."""
    hits: int = 0
    """Frames with an observation."""
    stamp: float = 0.0
    """Time of the last observation, seconds."""
    roi: HandRoi | None = None
    """Region of the last search."""
    filter: HandFilter = field(default_factory=HandFilter)
    length: LearnedLength = field(default_factory=LearnedLength)
    jump: JumpGate = field(default_factory=JumpGate)
    motion: MotionModel = field(default_factory=MotionModel)

    @property
    def size_px(self) -> float:
        """Longer edge of the box of the last landmarks, px."""
        return float(np.ptp(self.keypoints_px, axis=0).max())

    def search_region(self) -> HandRoi:
        """The HandRoi to crop in the next frame. While a hand rests, the HandRoi stays exactly the same;
        otherwise jitter of the landmarks would move the crop, which again moves the landmarks."""
        roi = roi_from_keypoints(self.keypoints_px, self.side)
        if self.roi is None or not nearly_same(self.roi, roi):
            self.roi = roi
        return self.roi

    def probability_of(self, side: Handedness) -> float:
        """Running probability of this side. Because of the hysteresis the track may have a side with a
        probability down to 1 - _SIDE_THRESHOLD."""
        return self.right_probability if side == RIGHT else 1 - self.right_probability

    def forget_positions(self) -> None:
        """Clears the 3D state (filter, jump gate, motion model). Id, side and length stay."""
        self.filter, self.jump, self.motion = HandFilter(), JumpGate(), MotionModel()

    def update(self, observation: Observation, stamp: float) -> None:
        """Updates the track with an Observation at `stamp` seconds. The side changes with hysteresis: the
        running probability must pass _SIDE_THRESHOLD, and it changes more slowly after SETTLED_HITS
        frames."""
        memory = _SETTLED_SIDE_MEMORY if self.hits > SETTLED_HITS else _SIDE_MEMORY
        self.right_probability += (1 - memory) * (observation.right_probability - self.right_probability)
        self.hits += 1
        self.stamp = stamp
        if self.right_probability > _SIDE_THRESHOLD:
            self.side = RIGHT
        elif self.right_probability < 1 - _SIDE_THRESHOLD:
            self.side = LEFT
        self.keypoints_px = observation.keypoints_px
        self.hit_streak, self.time_since_update = self.hit_streak + 1, 0
