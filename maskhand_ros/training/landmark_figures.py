"""Visibility and variance of the landmark network's heads on rendered images that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from maskhand_ros.data_engine.image_store import ImageShards
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.visibility import variance_figures, visibility_figures
from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.hand_model.torch_hand import TorchHand
from maskhand_ros.perception.cues import CueNetwork

from .landmark_batches import LEAST_VISIBLE, render_labels


def landmark_figures(network: CueNetwork, folder: Path, split: str, limit: int) -> dict[str, float]:
    """Figures of the first `limit` crops of a split of shards of images; without a hand, they do not count.
    CommandError if the network has no heads."""
    model = HandModel.load(None, 'mediapipe')
    hand, parts = TorchHand(model), []
    for cues, truth in ImageShards(folder, split, model.name).once(32, limit):
        found = network(np.ascontiguousarray(cues['image'].numpy()))
        if 'visibility' not in found:
            raise CommandError(
                'landmarks.onnx does not say which keypoints are visible',
                'maskhand train landmarks --only heads, or leave out --images',
            )
        with torch.no_grad():
            labels = render_labels(truth, hand)
        pixels = (found['landmarks'][..., :2] + 0.5) * CROP_SIZE
        of_hands = (labels['visible'].sum(1) >= LEAST_VISIBLE).numpy()
        parts.append(
            [
                values[of_hands]
                for values in (
                    found['visibility'],
                    CROP_SIZE * np.exp(found['landmark_log_variance'] / 2),
                    pixels - labels['pixels'].numpy(),
                    labels['visible'].numpy() > 0,
                )
            ]
        )
    probability, stddev, off, visible = (np.concatenate(part) for part in zip(*parts, strict=True))
    return {
        'hands': len(visible),
        **visibility_figures(probability, visible),
        **variance_figures(off.astype(float), stddev.astype(float), visible),
    }
