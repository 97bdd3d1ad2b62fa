"""Photographs of hands made hard: gloves, paint, objects in front of the hand, other hands, little light.

Real pixels with simple changes: the labels of the clean photograph stay (noisy student, Xie et al. 2020,
https://arxiv.org/abs/1911.04252). Images are (S, S, 3) uint8 RGB, masks (S, S) float32 0..1, keypoints
(21, 2) px of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .hand_masks import keypoint_mask, palm_length


def blended(image: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`other` where `mask` is 1, `image` where it is 0."""
    share = mask[..., None]
    return np.clip(image * (1 - share) + other * share + 0.5, 0, 255).astype(np.uint8)


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size) float32 noise of mean 0 and spread 1, with about `cells` spots along an edge."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    noise = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (noise - noise.mean()) / (noise.std() + 1e-6)


def glove_colour(rng: np.random.Generator) -> np.ndarray:
    """RGB (3,) 0..255 of a glove or of paint: black, white, grey, or any hue."""
    kind = rng.random()
    if kind < 0.25:
        value = rng.uniform(15, 60)
    elif kind < 0.4:
        value = rng.uniform(180, 250)
    elif kind < 0.5:
        value = rng.uniform(60, 180)
    else:
        hsv = np.array([[[rng.integers(180), rng.integers(110, 256), rng.integers(90, 256)]]], np.uint8)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(float)
    return value + rng.uniform(-12, 12, 3)


def recoloured(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, colour: np.ndarray | None = None
) -> np.ndarray:
    """The masked hand in a glove or in paint: its shading in another colour, with a texture, matt or glossy,
    whole or in parts."""
    size = len(image)
    colour = glove_colour(rng) if colour is None else colour
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = mask > 0.5
    middle = float(np.median(grey[inside])) if inside.any() else 128.0
    shade = np.clip(grey / max(middle, 12.0), 0.1, 2.2) ** rng.uniform(0.6, 1.5)
    if rng.random() < 0.6:  # cloth: fine threads and folds
        shade = shade * (1 + rng.uniform(0, 0.12) * smooth_noise(size, int(rng.integers(40, 120)), rng))
        shade = shade * (1 + rng.uniform(0, 0.15) * smooth_noise(size, int(rng.integers(8, 20)), rng))
    cover = shade[..., None] * colour
    if rng.random() < 0.35:  # gloss: the brightest parts shine
        shine = np.clip(shade - rng.uniform(1.05, 1.3), 0, 1)[..., None]
        cover = cover + 500 * rng.uniform(0.3, 1) * shine
    area = mask * rng.uniform(0.85, 1)
    if rng.random() < 0.3:  # in parts: paint, or a glove of two materials
        area = area * (smooth_noise(size, int(rng.integers(3, 9)), rng) > rng.uniform(-1, 0.3))
    return blended(image, cover, area.astype(np.float32))


@dataclass(frozen=True)
class Cutout:
    """A photographed hand: image, its mask and keypoints."""

    image: np.ndarray
    mask: np.ndarray
    keypoints: np.ndarray

    def placed(self, onto: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask of this hand at a random place beside or over another one, whose keypoints are
        `onto` (21, 2)."""
        size = len(self.image)
        length = palm_length(onto) * rng.uniform(0.75, 1.25)
        scale = length / palm_length(self.keypoints)
        angle = rng.uniform(-np.pi, np.pi)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        away = rng.uniform(0.5, 1.9) * length
        direction = rng.uniform(-np.pi, np.pi)
        goal = onto.mean(0) + away * np.array([np.cos(direction), np.sin(direction)])
        matrix = np.column_stack([turn, goal - turn @ self.keypoints.mean(0)])
        warp = {'dsize': (size, size), 'flags': cv2.INTER_LINEAR}
        image = cv2.warpAffine(self.image, matrix, borderMode=cv2.BORDER_REPLICATE, **warp)
        return image, cv2.warpAffine(self.mask, matrix, **warp)


def matched(image: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray) -> np.ndarray:
    """`other` (float) with the brightness that its hand would have beside the hand of `image`."""
    levels = [
        picture[area > 0.5].mean(0) if (area > 0.5).any() else np.full(3, 128.0)
        for picture, area in ((image, mask), (other, other_mask))
    ]
    gain = (levels[0].mean() + 10) / (levels[1].mean() + 10)
    return other * float(np.clip(gain, 0.4, 2.5))


def object_mask(
    centre: np.ndarray, length: float, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mask of a drawn object around `centre` and its shading (size, size): a bar, an ellipse or a polygon of
    about `length` px across."""
    mask = np.zeros((size, size), np.uint8)
    kind, angle = rng.random(), float(rng.uniform(0, 180))
    middle = tuple(int(v) for v in np.round(centre))
    if kind < 0.4:  # a bar, tool or pipe
        long, wide = length * rng.uniform(1.2, 5), length * rng.uniform(0.12, 0.7)
        corners = cv2.boxPoints((middle, (long, wide), angle))
        cv2.fillConvexPoly(mask, np.round(corners).astype(int), 1)
    elif kind < 0.7:
        axes = tuple(int(max(v, 3)) for v in length * rng.uniform(0.25, 1.0, 2))
        cv2.ellipse(mask, middle, axes, angle, 0, 360, 1, -1)
    else:
        corners = centre + length * rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2))
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(corners).astype(np.int32)), 1)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    across = np.deg2rad(angle + 90)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    distance = ((x - centre[0]) * np.cos(across) + (y - centre[1]) * np.sin(across)) / max(length, 1)
    return soft, np.clip(1.15 - rng.uniform(0, 0.9) * np.abs(distance), 0.3, 1.3).astype(np.float32)


def object_surface(texture: np.ndarray, shading: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, S, 3) float: one colour, or a piece of a photograph, times the shading."""
    size = len(shading)
    if rng.random() < 0.5:
        surface = np.broadcast_to(glove_colour(rng), (size, size, 3))
    else:
        step = int(rng.integers(1, 4))
        piece = texture[: size // step, : size // step]
        surface = cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR).astype(float)
    return surface * shading[..., None]


@dataclass(frozen=True)
class Hardness:
    """Share of the photographs that get each change."""

    glove: float = 0.35
    other_hands: float = 0.35
    objects: float = 0.35
    dark: float = 0.2


LEAST_SEEN = 0.35
"""Least share of the hand that stays in sight; changes that would hide more are left out."""


def made_hard(
    hand: Cutout, others: list[Cutout], scene: np.ndarray, rng: np.random.Generator, hardness: Hardness
) -> tuple[np.ndarray, np.ndarray]:
    """A changed copy of a photograph (S, S, 3) uint8, and the mask of what is still seen of the hand (S, S).

    `others` are hands to put beside and over it; `scene` (S, S, 3) is any photograph: pieces of it are the
    surfaces of objects.
    """
    image, seen = hand.image, hand.mask.copy()
    colour = glove_colour(rng) if rng.random() < hardness.glove else None
    if colour is not None:
        image = recoloured(image, hand.mask, rng, colour)
    if rng.random() < hardness.other_hands:
        for other in others[: int(rng.integers(1, len(others) + 1))]:
            image, seen = _with_hand(image, seen, hand, other, colour, rng)
    if rng.random() < hardness.objects:
        image, seen = _with_object(image, seen, hand, scene, rng)
    if rng.random() < hardness.dark:
        image = darkened(image, rng)
    return image, seen


def _with_hand(
    image: np.ndarray,
    seen: np.ndarray,
    hand: Cutout,
    other: Cutout,
    colour: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    pixels, area = other.placed(hand.keypoints, rng)
    shown = matched(image, seen, pixels, area).clip(0, 255).astype(np.uint8)
    if colour is not None and rng.random() < 0.7:
        shown = recoloured(shown, area, rng, colour)
    if rng.random() < 0.5:  # behind the hand
        area = area * (1 - hand.mask)
    left = seen * (1 - area)
    if left.sum() < LEAST_SEEN * hand.mask.sum():
        return image, seen
    return blended(image, shown, area), left


def _with_object(
    image: np.ndarray, seen: np.ndarray, hand: Cutout, scene: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    size, length = len(image), palm_length(hand.keypoints)
    centre = hand.keypoints[rng.choice((0, 5, 9, 13, 17, 6, 10, 14, 8, 12))]
    area, shading = object_mask(centre + 0.3 * length * rng.standard_normal(2), length, size, rng)
    if rng.random() < 0.5:  # held: the fingers lie over it
        first = int(rng.integers(1, 3))
        area = area * (1 - hand.mask * keypoint_mask(hand.keypoints, size, 1.2, first))
    left = seen * (1 - area)
    if left.sum() < LEAST_SEEN * hand.mask.sum():
        return image, seen
    return blended(image, object_surface(scene, shading, rng), area), left


def darkened(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photograph in little light: dark, of one tint, noisy."""
    gain = rng.uniform(0.12, 0.55) * np.exp(0.15 * rng.standard_normal(3))
    noise = rng.uniform(2, 9) * rng.standard_normal(image.shape)
    return np.clip(image * gain + noise, 0, 255).astype(np.uint8)
