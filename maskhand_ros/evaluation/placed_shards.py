"""Hands of shards of cues, placed and fitted to their landmarks as at run time."""

from __future__ import annotations

import numpy as np

from maskhand_ros.crop_camera import CropCamera
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.placement import Placement
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.skinning import skin
from maskhand_ros.perception.track import Observation
from maskhand_ros.perception.types import Frame
from maskhand_ros.skeleton import RIGHT


class PlacedShards:
    """Places the hands of a batch of a shard. The crop's camera is the camera, its focal length is known."""

    def __init__(self, hand_model: HandModel, landmark_model: HandModel) -> None:
        self._model, self._place = hand_model, Placement(hand_model, landmark_model)
        self._frame = Frame(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8))
        self._camera = Camera.default(CROP_SIZE, CROP_SIZE)

    def __call__(
        self, prediction: HandPrediction, cues: dict[str, np.ndarray], focal: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Published keypoints (B, 21, 3) from the wrist in the crop camera's frame, metres, and misfits (B,)
        of the HandPrediction of `cues`; `focal` (B,) px."""
        observations = [
            Observation(
                RIGHT,
                CropCamera(np.eye(3), float(focal[k])),
                {name: values[k : k + 1] for name, values in cues.items()},
                (cues['landmarks'][k, :, :2].astype(float) + 0.5) * CROP_SIZE,
                1.0,
            )
            for k in range(len(focal))
        ]
        placed = self._place(prediction, observations, self._frame, self._camera)
        hands = skin(self._model, placed, prediction, observations, self._frame, self._camera)
        keypoints = np.stack([hand.keypoints_wrist @ hand.wrist_rotation.T for hand in hands])
        return keypoints, np.array([hand.misfit for hand in placed])
