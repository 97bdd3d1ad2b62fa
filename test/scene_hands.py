"""Made-up hands in an image, and an Observer that sees them in place of the landmark network."""

import dataclasses
import math

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.observer import Observer
from maskhand_ros.perception.track import Observation
from maskhand_ros.skeleton import RIGHT

CAMERA = Camera.default(640, 480)
RGB = np.zeros((480, 640, 3), np.uint8)
WRIST_UP = np.array([[0.0, 0.0]] + [
    [reach * math.sin(turn), -reach * math.cos(turn)]
    for turn in (-0.7, -0.3, 0.0, 0.3, 0.6)
    for reach in (0.5, 0.65, 0.8, 0.95)
])  # fmt: skip
WRIST_UP /= np.ptp(WRIST_UP, axis=0).max()


@dataclasses.dataclass
class SceneHand:
    """A hand of `size` px with its wrist at `x`, 300 px."""

    x: float
    side: int = RIGHT
    size: float = 120.0
    detected: bool = True

    @property
    def keypoints(self):
        return WRIST_UP * self.size + [self.x, 300]

    def observed(self, side=None, presence=1.0):
        cues = {name: np.zeros((1, 21, 3)) for name in ('landmarks', 'world_landmarks')}
        cues['presence'] = np.array([[presence]])
        right = 0.97 if self.side == RIGHT else 0.03
        return Observation(side or self.side, None, cues, self.keypoints, right)


class SceneObserver(Observer):
    """An Observer that sees SceneHands. `crops`: their number in the last frame."""

    def __init__(self):
        super().__init__(None, None)
        self.hands, self.crops = [], 0

    def __call__(self, rgb, camera, rois):
        self.crops += len(rois)
        return [self._nearest(roi) for roi in rois]

    def _nearest(self, roi):
        def apart(hand):
            return np.linalg.norm(roi_from_keypoints(hand.keypoints, None).center_px - roi.center_px)

        near = [hand for hand in self.hands if apart(hand) < 0.6 * roi.size_px]
        if not near:
            return SceneHand(0).observed(roi.side, presence=0.0)
        return min(near, key=apart).observed(roi.side)
