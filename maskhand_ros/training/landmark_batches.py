"""Batches for the landmark network: rendered crops with their truth, and photographs with the labels of the
frozen network, both degraded as real cameras do."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from maskhand_ros.geometry import CROP_SIZE, MIRROR_X

from ..hand_model.torch_hand import TorchHand
from .cue_augmentation import CROP_CENTRE
from .hand_masks import hand_mask
from .hard_photographs import Cutout, Hardness, made_hard
from .photographs import Photographs

Labels = dict[str, Tensor]
"""pixels (B, 21, 2) px of the crop; z (B, 21) px from the wrist, away from the camera; world (B, 21, 3) m,
around its mean; presence, handedness (B, 1) probabilities; visible (B, 21) 0 or 1; weight (B, 21) of each
keypoint; known (B, 1): 1 where `visible` is known."""

HIDDEN_WEIGHT = 0.4
"""Weight of a keypoint that cannot be seen."""
LEAST_VISIBLE = 4
"""Keypoints that must be visible for a render to count as a hand."""
MIRRORED = 0.25
"""Share of the crops that are mirrored: the network is asked for both sides (perception/side.py)."""


def render_labels(truth: dict[str, Tensor], hand: TorchHand) -> Labels:
    """Labels of rendered crops; `hand` is the TorchHand with keypoints where MediaPipe puts them."""
    with torch.no_grad():
        keypoints = hand.keypoints(truth['betas'], truth['global_orient'], truth['hand_pose'])
    points = keypoints + truth['wrist'][:, None]
    focal = truth['focal'][:, None, None]
    scale = truth['focal'] / truth['wrist'][:, 2].clamp_min(0.05)
    visible = truth['visible'].float()
    present = (visible.sum(1, keepdim=True) >= LEAST_VISIBLE).float()
    return {
        'pixels': focal * points[..., :2] / points[..., 2:].clamp_min(0.05) + CROP_CENTRE,
        'z': keypoints[..., 2] * scale[:, None],
        'world': keypoints - keypoints.mean(1, keepdim=True),
        'presence': present,
        'handedness': torch.ones_like(present),
        'visible': visible,
        'weight': present * (HIDDEN_WEIGHT + (1 - HIDDEN_WEIGHT) * visible),
        'known': torch.ones_like(present),
    }


OTHERS = 2
"""Hands at most that are put beside one."""


class PhotographBatches:
    """Endless batches of photographs: each crop turned, scaled and shifted anew; the share `hard` of them in
    gloves, behind objects, among other hands or in the dark (hard_photographs.py)."""

    def __init__(self, photographs: Photographs, hard: float = 0.0) -> None:
        self._photographs, self._hard = photographs, hard
        self._cutouts: dict[int, Cutout] = {}

    def batch(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, Labels]:
        """Images (size, 224, 224, 3) uint8 RGB and Labels."""
        of = self._photographs
        images, pixels, z, world = [], [], [], []
        for row in rng.integers(len(of.images), size=size):
            matrix, turn, scale = _random_similarity(rng)
            images.append(
                cv2.warpAffine(
                    self._image(row, rng), matrix, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REPLICATE
                )
            )
            landmarks = of.landmarks[row]
            pixels.append(landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2])
            z.append(scale * landmarks[:, 2])
            points = of.world[row].copy()
            points[:, :2] = points[:, :2] @ turn.T
            world.append(points - points.mean(0))
        ones = torch.ones(size, 1)
        return np.stack(images), {
            'pixels': torch.from_numpy(np.array(pixels, np.float32)),
            'z': torch.from_numpy(np.array(z, np.float32)),
            'world': torch.from_numpy(np.array(world, np.float32)),
            'presence': ones,
            'handedness': ones,
            'visible': torch.zeros(size, 21),
            'weight': torch.ones(size, 21),
            'known': torch.zeros(size, 1),
        }

    def _image(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """Photograph `row`, as it is or made hard."""
        images = self._photographs.images
        if rng.random() >= self._hard:
            return images[row]
        hand, *others = (self._cutout(k) for k in (row, *rng.integers(len(images), size=OTHERS)))
        return made_hard(hand, others, images[rng.integers(len(images))], rng, Hardness())[0]

    def _cutout(self, row: int) -> Cutout:
        """Photograph `row` with its mask, which is kept: it takes 20 ms."""
        if row not in self._cutouts:
            of = self._photographs
            keypoints = of.landmarks[row, :, :2]
            self._cutouts[row] = Cutout(of.images[row], hand_mask(of.images[row], keypoints), keypoints)
        return self._cutouts[row]


def _random_similarity(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """An affine map (2, 3) of crop pixels, its rotation (2, 2) and its scale."""
    angle = 0.3 * rng.standard_normal()
    scale = float(np.exp(np.clip(0.14 * rng.standard_normal(), -0.35, 0.35)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.full(2, CROP_CENTRE)
    shift = centre + 0.06 * CROP_SIZE * rng.standard_normal(2) - scale * turn @ centre
    return np.column_stack([scale * turn, shift]), turn, scale


def degraded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A crop (224, 224, 3) uint8 as cheap cameras and small hands give it: fewer pixels, blur, JPEG."""
    if rng.random() < 0.25:
        small = max(24, int(CROP_SIZE / rng.uniform(1.5, 6)))
        shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(shrunk, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5))
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 80))]
        image = cv2.imdecode(cv2.imencode('.jpg', image, quality)[1], cv2.IMREAD_COLOR)
    return image


def covered(
    images: np.ndarray, labels: Labels, rng: np.random.Generator, share: float = 0.3
) -> tuple[np.ndarray, Labels]:
    """Images (B, 224, 224, 3) uint8, in `share` of them a patch: one colour, or a piece of another image. In
    the labels what lies under it is not `visible`."""
    images, pixels, visible = images.copy(), labels['pixels'].numpy(), labels['visible'].numpy().copy()
    for k, image in enumerate(images):
        if rng.random() >= share:
            continue
        width, height = rng.integers(20, 80, 2)
        x, y = rng.integers(0, CROP_SIZE - width), rng.integers(0, CROP_SIZE - height)
        other = images[rng.integers(len(images))]
        patch = rng.integers(0, 256, 3) if rng.random() < 0.5 else other[:height, :width].copy()
        image[y : y + height, x : x + width] = patch
        inside = (pixels[k] >= [x, y]) & (pixels[k] <= [x + width - 1, y + height - 1])
        visible[k, inside.all(1)] = 0
    return images, {**labels, 'visible': torch.from_numpy(visible)}


def coloured(images: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Images (B, 224, 224, 3) uint8 as (B, 3, 224, 224) float32 0..1, in other gamma, colours and noise."""
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    def normal(spread: float, *shape: int) -> Tensor:
        return torch.from_numpy(np.float32(spread * rng.standard_normal(shape)))

    count = len(values)
    values = values ** normal(0.25, count, 1, 1, 1).exp()
    values = values * normal(0.12, count, 3, 1, 1).exp() + normal(0.05, count, 1, 1, 1)
    noise = torch.from_numpy(np.float32(rng.uniform(0, 0.04, (count, 1, 1, 1))))
    return (values + noise * torch.randn_like(values)).clamp(0, 1)


def mirrored(images: Tensor, labels: Labels, rng: np.random.Generator) -> tuple[Tensor, Labels]:
    """MIRRORED of the crops (B, 3, 224, 224) turned into left hands, and their labels."""
    chosen = torch.from_numpy(rng.random(len(images)) < MIRRORED)
    flipped = dict(labels)
    left = labels['pixels'] * torch.tensor([-1.0, 1.0]) + torch.tensor([CROP_SIZE - 1.0, 0.0])
    flipped['pixels'] = torch.where(chosen[:, None, None], left, labels['pixels'])
    flip = torch.from_numpy(np.float32(MIRROR_X))
    flipped['world'] = torch.where(chosen[:, None, None], labels['world'] * flip, labels['world'])
    flipped['handedness'] = torch.where(chosen[:, None], 1 - labels['handedness'], labels['handedness'])
    return torch.where(chosen[:, None, None, None], images.flip(-1), images), flipped


def training_batches(
    renders: Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]],
    photographs: PhotographBatches | None,
    of_photographs: int,
    hand: TorchHand,
    rng: np.random.Generator,
) -> Iterator[tuple[Tensor, Labels]]:
    """Endless (images (B, 3, 224, 224) float32 0..1, Labels): a batch of `renders` (ImageShards) and
    `of_photographs` photographs."""
    for cues, truth in renders:
        images, labels = covered(cues['image'].numpy(), render_labels(truth, hand), rng)
        if photographs is not None and of_photographs:
            more, more_labels = covered(*photographs.batch(of_photographs, rng), rng)
            images = np.concatenate([images, more])
            labels = {name: torch.cat([value, more_labels[name]]) for name, value in labels.items()}
        images = np.stack([degraded(image, rng) for image in images])
        yield mirrored(coloured(images, rng), labels, rng)
