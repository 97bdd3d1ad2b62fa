"""Training samples of a user's own hands: the truth that their labels or the model itself give, and crops
that show them in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data_engine.backdrops import BackdropBank, camera_flaws
from ..data_engine.samples import jittered_roi
from ..data_engine.shards import packed_cues
from ..geometry import CROP_SIZE
from ..hand_model.numpy_hand import HandModel
from ..perception.crop import crop_hand
from ..perception.cues import CueNetwork
from ..perception.reconstructor import HandPrediction, Reconstructor
from ..perception.types import PlacedHand
from ..skeleton import RIGHT
from .label_fit import LabelFit
from .pictures import OwnHand

TEACHER_CROPS = 5
"""Crops whose mean answer is the truth of a hand."""
MAX_SPREAD = 0.008
"""Metres. Hands without a label whose keypoints lie farther from their mean over the crops, on average, are
left out: where the model does not agree with itself it does not know."""


@dataclass
class Truth:
    """What training takes as true of an OwnHand, in its camera's frame."""

    orient: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    wrist: np.ndarray
    """(3,) metres, of the hand of the size of its betas."""
    spread: float
    """Metres that keypoints lie from their mean over the crops, on average."""


class Teacher:
    """The truth of OwnHands: the mean, over jittered crops, of the model's answers fitted to the labels, or
    without a label to the network's own landmarks as at run time."""

    def __init__(self, folder: Path, label_model: HandModel) -> None:
        """`folder` of the model; `label_model` has the keypoint set of the labels."""
        self.cue_network = CueNetwork(folder / 'landmarks.onnx')
        self._hand_model = HandModel.load()
        self._reconstruct = Reconstructor(folder, self._hand_model)
        self._to_labels = LabelFit(self._hand_model, label_model)
        self._to_landmarks = LabelFit(self._hand_model, HandModel.load(None, 'mediapipe'), rounds=1)

    def __call__(self, hand: OwnHand, rng: np.random.Generator) -> Truth | None:
        """The Truth of one OwnHand; None if it has no label and the answers differ by more than
        MAX_SPREAD."""
        rois = [jittered_roi(hand.keypoints_px, 'camera', rng, RIGHT) for _ in range(TEACHER_CROPS)]
        crops, cameras = zip(*(crop_hand(hand.rgb, hand.camera, roi, False) for roi in rois), strict=True)
        cues = self.cue_network(np.stack(crops))
        prediction, focal = self._reconstruct.estimate(cues), np.array([each.focal for each in cameras])
        turns = np.stack([each.rotation for each in cameras])
        placed = self._fit(hand, prediction, cues, turns, focal)
        truth = self._mean(placed, turns)
        return truth if hand.labels_px is not None or truth.spread <= MAX_SPREAD else None

    def _fit(
        self,
        hand: OwnHand,
        prediction: HandPrediction,
        cues: dict[str, np.ndarray],
        turns: np.ndarray,
        focal: np.ndarray,
    ) -> list[PlacedHand]:
        if hand.labels_px is None:
            pixels = (cues['landmarks'][..., :2].astype(float) + 0.5) * CROP_SIZE
            return self._to_landmarks(prediction, focal, pixels, cues['world_landmarks'])
        rays = hand.camera.unproject_rays(np.nan_to_num(hand.labels_px)) @ np.swapaxes(turns, 1, 2)
        pixels = focal[:, None, None] * rays[..., :2] / rays[..., 2:] + (CROP_SIZE - 1) / 2
        pixels[:, np.isnan(hand.labels_px).any(1)] = np.nan
        points = None if hand.labels is None else hand.labels @ np.swapaxes(turns, 1, 2)
        return self._to_labels(prediction, focal, pixels, points)

    def _mean(self, placed: list[PlacedHand], turns: np.ndarray) -> Truth:
        """The mean in the camera's frame of hands in the frames of crops that are turned by `turns`."""
        back = np.swapaxes(turns, 1, 2)
        orients = back @ np.stack([hand.orient for hand in placed])
        poses, betas = np.stack([hand.pose for hand in placed]), np.stack([hand.betas for hand in placed])
        wrists = (back @ np.stack([hand.position / hand.size for hand in placed])[..., None])[..., 0]
        points = self._hand_model(betas, orients, poses, vertices=False).keypoints
        spread = np.linalg.norm(points - points.mean(0), axis=-1).mean()
        return Truth(_mean_rotation(orients), _mean_rotation(poses), betas.mean(0), wrists.mean(0), spread)


def _mean_rotation(rotations: np.ndarray) -> np.ndarray:
    """The chordal mean (..., 3, 3) of rotations (N, ..., 3, 3)."""
    u, _, vt = np.linalg.svd(rotations.mean(0))
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


class Student:
    """Samples of OwnHands as a shard of cues holds them (shard_schema.CUE_SHARD)."""

    def __init__(self, cue_network: CueNetwork) -> None:
        self._cues, self._hand_model = cue_network, HandModel.load()
        self._bank = BackdropBank(4, 0)

    def __call__(
        self, hand: OwnHand, truth: Truth, count: int, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Arrays of `count` crops of a hand, each cut in its own way and changed as by another exposure,
        blur, noise and JPEG."""
        crops, samples = [], []
        keypoints = self._hand_model(
            truth.betas[None], truth.orient[None], truth.pose[None], vertices=False
        ).keypoints[0]
        for _ in range(count):
            roi = jittered_roi(hand.keypoints_px, 'camera', rng, RIGHT)
            crop, camera = crop_hand(hand.rgb, hand.camera, roi, False)
            crops.append(camera_flaws(crop, self._bank, rng))
            samples.append(
                {
                    'global_orient': camera.rotation @ truth.orient,
                    'hand_pose': truth.pose,
                    'betas': truth.betas,
                    'wrist': camera.rotation @ truth.wrist,
                    'focal': camera.focal,
                    'keypoints': keypoints @ camera.rotation.T,
                    'keypoints_px': camera.project(keypoints + truth.wrist),
                }
            )
        arrays = {name: np.stack([s[name] for s in samples]).astype(np.float32) for name in samples[0]}
        seen = np.ones((count, 21), bool)
        return {**packed_cues(self._cues, np.stack(crops)), **arrays, 'visible': seen}
