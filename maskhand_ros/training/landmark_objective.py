"""The loss of the landmark network: landmarks, presence, side, and what can be seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskhand_ros.geometry import CROP_SIZE

from ..model.landmark_network import LandmarkNetwork
from .landmark_batches import Labels

WEIGHTS = {
    'pixels': 0.1,
    'z': 0.025,
    'world': 20.0,
    'presence': 0.2,
    'handedness': 0.1,
    'visibility': 0.1,
    'variance': 0.02,
}
"""Weight of each term. `pixels` and `z`: L1 in px of the crop; `world`: L1 in metres; `variance`: an NLL."""
LOG_VARIANCE = (-11.0, -2.0)
"""Bounds of the predicted log variance: 1 px to 82 px."""


class LandmarkObjective(nn.Module):
    """The loss of a LandmarkNetwork on images (B, 3, 224, 224) and their Labels."""

    def __init__(self, network: LandmarkNetwork, bf16: bool) -> None:
        super().__init__()
        self.network, self._bf16 = network, bf16

    def forward(self, images: Tensor, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._bf16):
            found = {name: value.float() for name, value in self.network(images).items()}
        terms = landmark_terms(found, labels)
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        return loss, {name: value.detach() for name, value in terms.items()}


def landmark_terms(found: dict[str, Tensor], labels: Labels) -> dict[str, Tensor]:
    """Means over the batch of each term in WEIGHTS; `found` are the outputs of a LandmarkNetwork."""
    landmarks = found['landmarks'].unflatten(1, (21, 3))
    world = found['world_landmarks'].unflatten(1, (21, 3))
    world = world - world.mean(1, keepdim=True)
    weight, known = labels['weight'], labels['known'] * (labels['weight'] > 0).float()
    off = landmarks[..., :2] - labels['pixels']
    z = landmarks[..., 2] - landmarks[:, :1, 2] - (labels['z'] - labels['z'][:, :1])
    log_variance = found['landmark_log_variance'].clamp(*LOG_VARIANCE)
    squared = (off.detach() / CROP_SIZE).square().mean(-1)
    nll = 0.5 * (squared * (-log_variance).exp() + log_variance)
    seen = F.binary_cross_entropy_with_logits(found['visibility'], labels['visible'], reduction='none')
    return {
        'pixels': _mean(off.abs().mean(-1), weight),
        'z': _mean(z.abs(), weight),
        'world': _mean((world - labels['world']).abs().mean(-1), weight),
        'presence': F.binary_cross_entropy_with_logits(found['presence_logit'], labels['presence']),
        'handedness': _mean(
            F.binary_cross_entropy_with_logits(
                found['handedness_logit'], labels['handedness'], reduction='none'
            ),
            labels['presence'],
        ),
        'visibility': _mean(seen, known),
        'variance': _mean(nll, known),
    }


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1)
