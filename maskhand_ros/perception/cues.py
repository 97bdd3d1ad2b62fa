"""2D pose cues of a hand crop: MediaPipe's landmarks and the inner feature maps at those landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.perception.providers import open_session

_MAPS = ('f142', 'f131')


def sample_map(feature_map, points):
    """Bilinear samples of `feature_map` (N, C, H, W) at `points` (N, K, 2) in 0..1 of the picture: (N, K, C).

    0 and 1 are the outer edges of the outer pixels; outside, the edge is repeated (grid_sample's
    align_corners=False, padding_mode='border').
    """
    count, channels, height, width = feature_map.shape
    size = np.array([width, height])
    place = np.clip(points * size - 0.5, 0, size - 1)
    low = np.minimum(place.astype(int), size - 2)
    right, down = np.moveaxis((place - low).astype(np.float32)[..., None], 2, 0)
    x, y = np.moveaxis(low, -1, 0)
    rows = np.arange(count)[:, None]
    last = feature_map.transpose(0, 2, 3, 1)
    top = last[rows, y, x] * (1 - right) + last[rows, y, x + 1] * right
    bottom = last[rows, y + 1, x] * (1 - right) + last[rows, y + 1, x + 1] * right
    return top * (1 - down) + bottom * down


class CueNetwork:
    """The landmark network (weights/landmarks.onnx) with its outputs in the form that the pose model
    reads."""

    def __init__(self, path, threads=1, providers=None):
        """Loads the network; ModelError if it cannot be loaded."""
        self._session = open_session(path, providers, threads)
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, crops):
        """Cues of `crops` (N, 224, 224, 3) uint8 RGB that show right hands (left ones mirrored). All float32:

        landmarks (N, 21, 3) px / 224 - 0.5, z px / 224; world_landmarks (N, 21, 3) metres; presence (N, 1);
        handedness (N, 1), over 0.5 = right; global_feature (N, 1152); f142 (N, 21, 112) and f131 (N, 21, 80),
        the feature maps at the landmarks.
        """
        images = cv2.dnn.blobFromImages(list(crops), 1 / 255)
        outputs = dict(zip(self._names, self._session.run(None, {'image': images}), strict=True))
        count = len(images)
        landmarks = outputs['landmarks'].reshape(count, 21, 3) / np.float32(CROP_SIZE)
        cues = {name: outputs[name] for name in ('presence', 'handedness', 'global_feature')}
        cues['world_landmarks'] = outputs['world_landmarks'].reshape(count, 21, 3)
        cues.update({name: sample_map(outputs[name], landmarks[..., :2]) for name in _MAPS})
        cues['landmarks'] = landmarks - np.array([0.5, 0.5, 0], np.float32)
        return cues
