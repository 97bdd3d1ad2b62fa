"""Augmentation of cues: on renders the landmark network has far larger errors than on photographs.

Half of each batch gets the truth plus correlated noise in place of the network's landmarks, so that the model
learns to use good landmarks. Some of these get noise as large as fingers, so that it does not rely on them
alone: on real fists the network is sure, and wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.hand_model.torch_hand import TorchHand

from ..model.config import MAP_SHAPES
from ..model.rotation import rotvec_to_matrix

REPLACED = 0.5
SIGMA = (0.004, 0.020)
"""Range of the landmark noise in metres (log-uniform, one value per sample)."""

MISLED, MISLED_SIGMA = 0.2, (0.020, 0.060)
"""Share of the replaced ones with noise of this range."""

MIXED, STYLE_NOISE = 0.5, 0.2
"""Share of rows whose maps take statistics of another; noise of gain and level, in spreads of the channel."""

TURN = 10.0
"""Rotation noise of the 3D landmarks as a whole, radians per metre of it: up to 11 degrees within SIGMA."""

FINGER_OF_KEYPOINT = torch.tensor([0] + [1 + k // 4 for k in range(20)])
CROP_CENTRE = (CROP_SIZE - 1) / 2


def landmark_noise(sigma: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 21, 3) noise of size `sigma` (B, 1, 1): partly each point's own, partly its finger's, partly the
    hand's."""
    count = len(sigma)

    def normal(points: int) -> Tensor:
        return torch.randn(count, points, 3, generator=generator)

    own, finger, hand = normal(21), normal(6)[:, FINGER_OF_KEYPOINT], normal(1)
    return sigma * (0.6 * own + 0.6 * finger + 0.2 * hand)


def replaced_cues(
    keypoints: Tensor, wrist: Tensor, focal: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Cues that a good landmark network would give for true keypoints.

    keypoints (B, 21, 3) wrist-relative in the crop camera's frame (MediaPipe's places), wrist (B, 3) m, focal
    (B,) px.
    """
    count = len(focal)
    misled = torch.rand(count, 1, 1, generator=generator) < MISLED
    low, high = (torch.where(misled, wrong, good) for wrong, good in zip(MISLED_SIGMA, SIGMA, strict=True))
    sigma = low * (high / low) ** torch.rand(count, 1, 1, generator=generator)
    noise = landmark_noise(sigma, generator)
    turn = rotvec_to_matrix(TURN * sigma[:, 0] * torch.randn(count, 3, generator=generator))
    size = torch.exp(0.08 * torch.randn(count, 1, 1, generator=generator))
    sure = 0.9 + 0.1 * torch.rand(count, 2, generator=generator)
    noise, turn, size, sure = (x.to(keypoints.device) for x in (noise, turn, size, sure))
    points = keypoints + wrist[:, None]
    depth = points[..., 2:].clamp_min(0.05)
    scale = (focal[:, None] / wrist[:, 2:].clamp_min(0.05))[..., None] / CROP_SIZE
    pixels = (focal[:, None, None] * points[..., :2] / depth + CROP_CENTRE) / CROP_SIZE - 0.5
    landmarks = torch.cat(
        [pixels + 0.5 * noise[..., :2] * scale, (keypoints[..., 2:] + noise[..., 2:]) * scale], -1
    )
    world = size * (keypoints + noise) @ turn.transpose(1, 2)
    return {
        'landmarks': landmarks,
        'world_landmarks': world - world.mean(1, keepdim=True),
        'presence': sure[:, :1],
        'handedness': sure[:, 1:],
    }


def change_style(cues: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Cues whose features have other statistics: what the network is to read from them is how they vary over
    the image, for their level and contrast differ between renders and photographs.

    In half of the rows every channel of a map takes its mean and spread in part from another row (MixStyle,
    Zhou et al. 2021); in all of them each channel's gain and level, and the global feature, get noise."""
    count, device = len(cues['global_feature']), cues['global_feature'].device

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    other = torch.randperm(count, generator=generator).to(device)
    share = torch.rand(count, 1, 1, 1, generator=generator).to(device)
    share = share * (torch.rand(count, 1, 1, 1, generator=generator) < MIXED).to(device)
    changed = dict(cues)
    for name in MAP_SHAPES:
        values = cues[name]
        channels = values.shape[1]
        mean, std = values.mean((2, 3), keepdim=True), values.std((2, 3), keepdim=True) + 1e-3
        level, spread = (part + share * (part[other] - part) for part in (mean, std))
        level = level + STYLE_NOISE * std * normal(count, channels, 1, 1)
        spread = spread * (STYLE_NOISE * normal(count, channels, 1, 1)).exp()
        changed[name] = (values - mean) * (spread / std) + level
    feature = cues['global_feature']
    changed['global_feature'] = feature + STYLE_NOISE * feature.std(0) * normal(*feature.shape)
    return changed


def augment(
    cues: dict[str, Tensor], truth: dict[str, Tensor], hand: TorchHand, generator: torch.Generator
) -> dict[str, Tensor]:
    """Cues with the landmarks of REPLACED of the rows replaced and a little noise on the others, and the
    features restyled.

    `hand` is the TorchHand whose keypoints lie where MediaPipe puts them.
    """
    count = len(truth['focal'])
    device = truth['focal'].device
    replace = (torch.rand(count, generator=generator) < REPLACED).to(device)
    with torch.no_grad():
        keypoints = hand.keypoints(truth['betas'], truth['global_orient'], truth['hand_pose'])
    good = replaced_cues(keypoints, truth['wrist'], truth['focal'], generator)
    cues = change_style(cues, generator)
    for name, spread in (('landmarks', 0.004), ('world_landmarks', 0.003)):
        cues[name] = cues[name] + spread * torch.randn(cues[name].shape, generator=generator).to(device)
    for name, value in good.items():
        cues[name] = torch.where(replace.view(-1, *[1] * (value.ndim - 1)), value, cues[name])
    return cues
