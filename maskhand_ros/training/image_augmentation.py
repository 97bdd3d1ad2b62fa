"""Augmentation of the inputs of `paper`: colours of the images, and errors of the 2D poses."""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry import CROP_SIZE

REPLACED = 0.5
"""Share of the rows whose 2D pose is made from the truth; the others keep the detected one."""
JITTER = (0.02, 0.05)
"""Range of the 2D noise of `paper`'s pose cues, over the longer side of the hand's box."""
JOINTS_DROPPED = (0.2, 0.3)
"""Range of the share of landmarks that are missing."""
POSES_DROPPED = 0.1
"""Share of the poses made from the truth that are missing as a whole."""
COLOUR = 0.2
"""A colour channel is made up to this much brighter or darker."""


def augment_images(
    cues: dict[str, Tensor], truth: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Cues of `paper` in training: images in other colours, and in REPLACED of the rows, in place of the
    detected 2D pose, the true one with noise, missing landmarks, and now and then nothing.

    `presence` becomes (B, 21), of each landmark. Where a landmark is missing its place is not used.
    """
    count, device = len(truth['focal']), truth['focal'].device

    def uniform(*shape: int, of: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        return (of[0] + (of[1] - of[0]) * torch.rand(shape, generator=generator)).to(device)

    pixels = truth['keypoints_px']
    side = (pixels.amax(1) - pixels.amin(1)).amax(-1)[:, None, None] / CROP_SIZE
    noise = torch.randn(count, 21, 2, generator=generator).to(device)
    good = pixels / CROP_SIZE - 0.5 + uniform(count, 1, 1, of=JITTER) * side * noise
    found = uniform(count, 21) >= uniform(count, 1, of=JOINTS_DROPPED)
    found = found & (uniform(count, 1) >= POSES_DROPPED)
    replace = uniform(count, 1) < REPLACED
    landmarks = cues['landmarks'].clone()
    landmarks[..., :2] = torch.where(replace[..., None], good, landmarks[..., :2])
    gain = uniform(count, 1, 1, 3, of=(1 - COLOUR, 1 + COLOUR))
    return {
        'image': (cues['image'].float() * gain).clamp(0, 255),
        'landmarks': landmarks,
        'presence': torch.where(replace, found.float(), cues['presence'].expand(-1, 21)),
    }
