"""One hand over the frames: what was seen of it last, and all that is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.crop_camera import CropCamera
from maskhand_ros.perception.crop import nearly_same, roi_from_keypoints
from maskhand_ros.perception.gates import JumpGate
from maskhand_ros.perception.prediction import Forecast
from maskhand_ros.perception.scale import LearnedLength
from maskhand_ros.perception.smoothing import HandFilter
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import LEFT, RIGHT, Handedness

_SIDE_MEMORY, _SIDE_SWITCH, _SETTLED = (0.8, 0.98), 0.7, 10
"""Share of the past in what side a hand is, in its first _SETTLED frames and later, and how sure that must be
to change sides."""


@dataclass
class View:
    """What the landmark network saw in one crop; the crop shows a right hand (left ones mirrored)."""

    side: Handedness
    """The side that the crop was made for."""
    crop_camera: CropCamera
    cues: dict
    """Cues of one crop, each with a leading axis of 1."""
    keypoints_px: np.ndarray
    """(21, 2) landmarks in the picture."""
    right_probability: float
    """That the hand is a right one, by what was seen in this frame alone."""
    side_probability: float = 0.5
    """That `side` is the hand's, over the frames of the track, 0.5 to 1; 0.5: undecided."""
    learned_length: float | None = None
    """Metres from wrist to middle fingertip, once the track knows."""

    def probability_of(self, side: Handedness) -> float:
        """That the hand is of this side, by what was seen in this frame alone."""
        return self.right_probability if side == RIGHT else 1 - self.right_probability

    @property
    def presence(self):
        """Probability of a hand in the crop; 0 where the network's landmarks are no numbers."""
        finite = all(np.isfinite(self.cues[name]).all() for name in ('landmarks', 'world_landmarks'))
        return float(self.cues['presence'][0, 0]) if finite else 0.0

    @property
    def landmarks(self):
        """(21, 3) in the crop, px / 224 - 0.5."""
        return self.cues['landmarks'][0]

    @property
    def size_px(self):
        return float(np.ptp(self.keypoints_px, axis=0).max())


@dataclass
class Track:
    """One hand over the frames."""

    id: int
    side: Handedness
    right_probability: float
    keypoints_px: np.ndarray
    """Where it was last seen."""
    seen: int = 0
    """Frames in a row."""
    missed: int = 0
    age: int = 0
    """Frames in all."""
    stamp: float = 0.0
    """Seconds, when it was last seen."""
    roi: HandRoi | None = None
    """Where it was last looked for."""
    filter: HandFilter = field(default_factory=HandFilter)
    length: LearnedLength = field(default_factory=LearnedLength)
    jump: JumpGate = field(default_factory=JumpGate)
    forecast: Forecast = field(default_factory=Forecast)

    def look_where(self):
        """The HandRoi to look in. A hand at rest is always seen in the same square: a new one for each frame
        would change what is seen, and that the next one."""
        roi = roi_from_keypoints(self.keypoints_px, self.side)
        if self.roi is None or not nearly_same(self.roi, roi):
            self.roi = roi
        return self.roi

    def probability_of(self, side: Handedness) -> float:
        """That the hand is of this side, over the frames. Between 1 - _SIDE_SWITCH and 0.5 the track may
        still have it."""
        return self.right_probability if side == RIGHT else 1 - self.right_probability

    def forget_places(self):
        """Where it was in space counts no longer; that it is this hand does."""
        self.filter, self.jump, self.forecast = HandFilter(), JumpGate(), Forecast()

    def update(self, view: View, stamp: float) -> None:
        """Takes in a new view at `stamp` seconds; the side changes only when the evidence has clearly turned,
        and the longer a hand is known the more of it that takes."""
        memory = _SIDE_MEMORY[self.age > _SETTLED]
        self.right_probability += (1 - memory) * (view.right_probability - self.right_probability)
        self.age += 1
        self.stamp = stamp
        if self.right_probability > _SIDE_SWITCH:
            self.side = RIGHT
        elif self.right_probability < 1 - _SIDE_SWITCH:
            self.side = LEFT
        self.keypoints_px, self.seen, self.missed = view.keypoints_px, self.seen + 1, 0
