"""Cues as real pictures have them: on renders the landmark network does far worse than on photographs.

So that the model learns to trust good cues, a part of each batch gets the truth plus correlated noise in
place of the network's landmarks, and another part landmarks that err as the network does, but less. And so
that it does not trust them blindly (of a real fist the network is sure, and wrong), some get noise as large
as fingers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.config import MAP_SHAPES
from ..model.rotation import rotvec_to_matrix

NOISY, LESSENED = 0.25, 0.25
"""Shares of rows whose landmarks are the truth with noise, and with a part of the network's own error."""
SIGMA = (0.004, 0.020)
"""Range of the landmark noise in metres (log-uniform, one value per sample)."""

MISLED, MISLED_SIGMA = 0.2, (0.020, 0.060)
"""Share of the noisy ones with noise of this range."""

MIXED, STYLE_NOISE = 0.7, 0.3
"""Share of rows whose maps take statistics of another; noise of gain and level, in spreads of the channel."""

LITTLE = {'landmarks': 0.004, 'world_landmarks': 0.003}
"""Noise of the other landmarks."""

TURN = 10.0
"""Rotation noise of the 3D landmarks as a whole, radians per metre of it: up to 11 degrees within SIGMA."""

FINGER_OF_KEYPOINT = torch.tensor([0] + [1 + k // 4 for k in range(20)])
CROP_CENTRE, CROP_SIZE = 111.5, 224


def landmark_noise(sigma: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 21, 3) noise of size `sigma` (B, 1, 1): partly each point's own, partly its finger's, partly the
    hand's."""
    count = len(sigma)

    def normal(points: int) -> Tensor:
        return torch.randn(count, points, 3, generator=generator)

    own, finger, hand = normal(21), normal(6)[:, FINGER_OF_KEYPOINT], normal(1)
    return sigma * (0.6 * own + 0.6 * finger + 0.2 * hand)


def true_cues(keypoints: Tensor, wrist: Tensor, focal: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Landmarks of a network that does not err, and how they grow with a metre (B, 1, 1).

    keypoints (B, 21, 3) wrist-relative in the crop camera's frame (MediaPipe's places), wrist (B, 3) m, focal
    (B,) px.
    """
    points = keypoints + wrist[:, None]
    depth = points[..., 2:].clamp_min(0.05)
    scale = (focal[:, None] / wrist[:, 2:].clamp_min(0.05))[..., None] / CROP_SIZE
    pixels = (focal[:, None, None] * points[..., :2] / depth + CROP_CENTRE) / CROP_SIZE - 0.5
    landmarks = torch.cat([pixels, keypoints[..., 2:] * scale], -1)
    return {'landmarks': landmarks, 'world_landmarks': keypoints - keypoints.mean(1, keepdim=True)}, scale


def noisy_cues(true: dict[str, Tensor], scale: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Cues of a good landmark network: the `true_cues` with correlated noise, and sure."""
    count, device = len(scale), scale.device
    misled = torch.rand(count, 1, 1, generator=generator) < MISLED
    low, high = (torch.where(misled, wrong, good) for wrong, good in zip(MISLED_SIGMA, SIGMA, strict=True))
    sigma = low * (high / low) ** torch.rand(count, 1, 1, generator=generator)
    noise = landmark_noise(sigma, generator)
    turn = rotvec_to_matrix(TURN * sigma[:, 0] * torch.randn(count, 3, generator=generator))
    size = torch.exp(0.08 * torch.randn(count, 1, 1, generator=generator))
    sure = 0.9 + 0.1 * torch.rand(count, 2, generator=generator)
    noise, turn, size, sure = (x.to(device) for x in (noise, turn, size, sure))
    across = noise * torch.tensor([0.5, 0.5, 1.0], device=device)
    world = size * (true['world_landmarks'] + noise) @ turn.transpose(1, 2)
    return {
        'landmarks': true['landmarks'] + across * scale,
        'world_landmarks': world - world.mean(1, keepdim=True),
        'presence': sure[:, :1],
        'handedness': sure[:, 1:],
    }


def lessened_errors(
    cues: dict[str, Tensor], true: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Cues that err as the landmark network does on its renders, but by a part of it, none for a fifth."""
    count, device = len(cues['presence']), cues['presence'].device
    part = torch.rand(count, 1, 1, generator=generator)
    part = (part * (torch.rand(count, 1, 1, generator=generator) < 0.8)).to(device)
    lessened = {name: value + part * (cues[name] - value) for name, value in true.items()}
    return {**lessened, **{name: 1 - part[:, 0] * (1 - cues[name]) for name in ('presence', 'handedness')}}


def change_style(cues: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Cues whose features have other statistics: what the network is to read from them is how they vary over
    the picture, for their level and contrast differ between renders and photographs.

    In MIXED of the rows every channel of a map takes its mean and spread in part from another row (MixStyle,
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
    cues: dict[str, Tensor], truth: dict[str, Tensor], hand, generator: torch.Generator
) -> dict[str, Tensor]:
    """Cues whose landmarks are those of a better network in NOISY and LESSENED of the rows, the network's
    with a little noise in the others, and whose features are restyled.

    `hand` is the TorchHand whose keypoints lie where MediaPipe puts them.
    """
    count, device = len(truth['focal']), truth['focal'].device
    lot = torch.rand(count, generator=generator).to(device)
    with torch.no_grad():
        keypoints = hand.keypoints(truth['betas'], truth['global_orient'], truth['hand_pose'])
    true, scale = true_cues(keypoints, truth['wrist'], truth['focal'])
    noisy, lessened = noisy_cues(true, scale, generator), lessened_errors(cues, true, generator)
    cues = change_style(cues, generator)
    for name, value in noisy.items():
        rows = lot.view(-1, *[1] * (value.ndim - 1))
        cues[name] = torch.where(rows > 1 - LESSENED, lessened[name], cues[name])
        if name in LITTLE:
            cues[name] = cues[name] + LITTLE[name] * torch.randn(value.shape, generator=generator).to(device)
        cues[name] = torch.where(rows < NOISY, value, cues[name])
    return cues
