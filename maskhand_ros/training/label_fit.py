"""Hands fitted to labelled keypoints, by the fit that the run time makes to the network's landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..crop_camera import CropCamera
from ..geometry import CROP_SIZE, Camera, project
from ..hand_model.numpy_hand import HandModel
from ..perception.placement import Placement
from ..perception.reconstructor import HandPrediction
from ..perception.track import Observation
from ..perception.types import Frame, PlacedHand
from ..skeleton import RIGHT

ROUNDS = 6
"""Fits to labels, each from the one before: a single one, as at run time, stays near the network's pose."""


class LabelFit:
    """Fits right hands in their crop cameras, `rounds` times over. `hand_model` is the mesh; `label_model`
    the same with the keypoint set of the labels."""

    def __init__(self, hand_model: HandModel, label_model: HandModel, rounds: int = ROUNDS) -> None:
        self._label_model, self._rounds = label_model, rounds
        self._place = Placement(hand_model, label_model)
        self._frame = Frame(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8))
        self._camera = Camera.default(CROP_SIZE, CROP_SIZE)

    def __call__(
        self, prediction: HandPrediction, focal: np.ndarray, pixels: np.ndarray, points: np.ndarray | None
    ) -> list[PlacedHand]:
        """PlacedHands of a HandPrediction of N hands, in the frames of their crop cameras of `focal` (N,) px.

        `pixels` (N, 21, 2) of the crops, NaN where not labelled: there the fitted hand decides. `points`
        (N, 21, 3) metres along the axes of the crops, up to a similarity, or None: pixels alone are fitted.
        """
        uv = prediction.camera[:, None, :1] * (prediction.keypoints[..., :2] + prediction.camera[:, None, 1:])
        projected = (uv + 0.5) * CROP_SIZE
        shape = prediction.keypoints
        for _ in range(self._rounds):
            landmarks = np.where(np.isnan(pixels), projected, pixels)
            observations = _observations(landmarks, shape if points is None else points, focal)
            placed = self._place(prediction, observations, self._frame, self._camera)
            prediction = replace(
                prediction,
                global_orient=np.stack([hand.orient for hand in placed]),
                hand_pose=np.stack([hand.pose for hand in placed]),
                betas=np.stack([hand.betas for hand in placed]),
            )
            shape, projected = self._keypoints(placed, focal)
        return placed

    def _keypoints(self, placed: list[PlacedHand], focal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints of PlacedHands, of the labels' set: (N, 21, 3) from the wrist, and (N, 21, 2) in crop
        pixels."""
        posed = self._label_model(
            np.stack([hand.betas for hand in placed]),
            np.stack([hand.orient for hand in placed]),
            np.stack([hand.pose for hand in placed]),
            vertices=False,
        )
        pixels = np.stack(
            [
                project(hand.size * points + hand.position, CropCamera(np.eye(3), float(f)).matrix)
                for hand, points, f in zip(placed, posed.keypoints, focal, strict=True)
            ]
        )
        return posed.keypoints, pixels


def _observations(landmarks: np.ndarray, shape: np.ndarray, focal: np.ndarray) -> list[Observation]:
    """Observations of N crops whose landmarks (N, 21, 2) px and 3D landmarks (N, 21, 3) m are given."""
    observations = []
    for k, pixels in enumerate(landmarks):
        flat = np.concatenate([pixels / CROP_SIZE - 0.5, np.zeros((21, 1))], 1)
        cues = {'landmarks': flat[None], 'world_landmarks': shape[k : k + 1]}
        camera = CropCamera(np.eye(3), float(focal[k]))
        observations.append(Observation(RIGHT, camera, cues, pixels, 1.0))
    return observations
