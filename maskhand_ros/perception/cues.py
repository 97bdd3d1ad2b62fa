"""Cues of a hand crop: landmarks and intermediate feature maps of MediaPipe's hand landmark network."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.network_contract import INT8_SOURCE, LANDMARK_HEADS, LANDMARKS, LANDMARKS_INT8, MAPS
from maskhand_ros.perception.device import Arrays, Device


class CueNetwork:
    """The landmark network (weights/landmarks.onnx or landmarks_int8.onnx), with outputs scaled as the pose
    model expects."""

    def __init__(self, path: Path, device: Device | None = None) -> None:
        """Loads the network on a Device (default: the CPU). ModelError if it cannot be loaded, or if it is
        the 8-bit form of another landmarks.onnx than the one beside it."""
        self._network = (device or Device()).open(path)
        source = path.with_name(LANDMARKS)
        if path.name == LANDMARKS_INT8 and self._network.metadata.get(INT8_SOURCE) != _digest(source):
            raise ModelError(
                f'{path} was not made of {source}',
                f'make it again (maskhand export --int8 --out {path.parent}), or remove it and its entry in '
                'model.json',
            )

    def __call__(self, crops: np.ndarray) -> Arrays:
        """Cues of `crops` (N, 224, 224, 3) uint8 RGB that show right hands (left ones mirrored). float32,
        except for `image`:

        landmarks (N, 21, 3) px / 224 - 0.5, z px / 224; world_landmarks (N, 21, 3) metres; presence (N, 1);
        handedness (N, 1), over 0.5 = right; global_feature (N, 1152); the feature maps map_131 (N, 80, 14,
        14), map_142 (N, 112, 14, 14) and map_157 (N, 192, 7, 7). `image` holds the crops themselves (uint8).

        Of a network with the LANDMARK_HEADS also visibility (N, 21), probabilities that a keypoint can be
        seen, and landmark_log_variance (N, 21), per axis, (px / 224)^2.
        """
        images = cv2.dnn.blobFromImages(list(crops), 1 / 255)
        outputs = self._network.run({'image': images})
        count = len(images)
        landmarks = outputs['landmarks'].reshape(count, 21, 3) / np.float32(CROP_SIZE)
        cues = {name: outputs[name] for name in ('presence', 'handedness', 'global_feature', *MAPS)}
        cues['image'] = crops
        cues['world_landmarks'] = outputs['world_landmarks'].reshape(count, 21, 3)
        cues['landmarks'] = landmarks - np.array([0.5, 0.5, 0], np.float32)
        if set(LANDMARK_HEADS) <= set(outputs):
            cues['visibility'] = 1 / (1 + np.exp(-outputs['visibility']))
            cues['landmark_log_variance'] = outputs['landmark_log_variance']
        return cues


def _digest(path: Path) -> str:
    """SHA-256 of a file; '' if it is not there."""
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ''
