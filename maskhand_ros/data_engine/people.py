"""People behind a hand, drawn flat: clothes, neck, face, hair, in the hand's own colour of skin."""

from __future__ import annotations

import cv2
import numpy as np

from maskhand_ros.data_engine.backdrops import _grain, muted_colour

SIZE = 288


class People:
    """Drawn people, made once; `behind` puts a piece of one into a background."""

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._layers = [_person(rng) for _ in range(count)]

    def behind(self, image: np.ndarray, skin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Image (S, S, 3) uint8 with a person over it whose skin has the colour `skin` (3,) 0..255."""
        size = len(image)
        layer, cover, bare = self._layers[rng.integers(len(self._layers))]
        scale = size / SIZE * np.exp(rng.uniform(-0.5, 1.0))
        aim = np.array(
            [0.5, 0.25 if rng.random() < 0.45 else 0.7]
        ) * SIZE + 0.12 * SIZE * rng.standard_normal(2)
        matrix = np.array([[scale, 0, size / 2 - scale * aim[0]], [0, scale, size / 2 - scale * aim[1]]])
        if rng.random() < 0.5:
            matrix = matrix * np.array([[-1], [1]]) + np.array([[0, 0, size - 1], [0, 0, 0]])
        layer, cover, bare = (
            cv2.warpAffine(part, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
            for part in (layer, cover, bare)
        )
        bare = bare[..., None] / np.float32(255)
        tint = skin / 170 * rng.uniform(0.85, 1.1)
        drawn = layer * (1 - bare + bare * np.float32(tint))
        alpha = cover[..., None] / np.float32(255)
        return np.clip(image * (1 - alpha) + drawn * alpha, 0, 255).astype(np.uint8)


def _person(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (SIZE, SIZE, 3) uint8 with grey skin, 170 or darker; cover and skin (SIZE, SIZE) uint8."""
    layer, cover = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE), np.uint8)
    bare, centre = np.zeros((SIZE, SIZE), np.uint8), SIZE / 2
    head = np.array([rng.uniform(0.11, 0.14), rng.uniform(0.15, 0.18)]) * SIZE
    face = np.array([centre, 0.24 * SIZE])
    neck = 0.55 * head[0]
    if rng.random() < 0.75:
        _hair(layer, cover, face, head, rng)
    _ellipse((layer, cover, bare), face + [0, head[1]], [neck, head[1] * 0.8], np.full(3, 140.0), skin=True)
    _clothes(layer, cover, bare, face[1] + 1.25 * head[1], rng)
    _ellipse((layer, cover, bare), face, head, np.full(3, 165.0), skin=True)
    _face(layer, bare, face, head, rng)
    shade = 1 + 0.12 * _grain(rng, SIZE, 1, 3)
    layer = cv2.GaussianBlur(layer * shade, (0, 0), rng.uniform(0.5, 2.5))
    return np.clip(layer, 0, 255).astype(np.uint8), cv2.GaussianBlur(cover, (0, 0), 1.0), bare


def _ellipse(
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    centre: np.ndarray,
    axes: np.ndarray | list[float],
    colour: np.ndarray,
    skin: bool,
) -> None:
    layer, cover, bare = parts
    place, size = np.rint(centre).astype(int).tolist(), np.rint(axes).astype(int).tolist()
    cv2.ellipse(layer, place, size, 0, 0, 360, colour.tolist(), -1)
    cv2.ellipse(cover, place, size, 0, 0, 360, 255, -1)
    cv2.ellipse(bare, place, size, 0, 0, 360, 255 if skin else 0, -1)


def _hair(
    layer: np.ndarray, cover: np.ndarray, face: np.ndarray, head: np.ndarray, rng: np.random.Generator
) -> None:
    colour = np.array([95.0, 65, 40]) * rng.uniform(0.1, 1.8)
    long = rng.uniform(1.05, 1.9)
    nothing = np.zeros((SIZE, SIZE), np.uint8)
    _ellipse((layer, cover, nothing), face + [0, head[1] * (long - 1.25)], head * [1.18, long], colour, False)


def _clothes(
    layer: np.ndarray, cover: np.ndarray, bare: np.ndarray, top: float, rng: np.random.Generator
) -> None:
    """A torso with shoulders, plain, striped or checked; some with bare arms."""
    wide, centre = rng.uniform(0.27, 0.36) * SIZE, SIZE / 2
    neckline = top + rng.uniform(-8, 16)
    corners = [(-wide, SIZE), (-wide, top + 34), (-0.6 * wide, top + 8), (-0.25 * wide, neckline - 8)]
    corners += [(0, neckline + 6)] + [(-x, y) for x, y in reversed(corners)]
    polygon = np.rint(np.array(corners) + [centre, 0]).astype(np.int32)
    inside = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(inside, [polygon], 255)
    cloth = np.empty((SIZE, SIZE, 3), np.float32)
    cloth[:] = muted_colour(rng)
    kind, y, x = rng.random(), *np.mgrid[:SIZE, :SIZE]
    if kind < 0.2:
        cloth[(y // rng.integers(4, 18)) % 2 == 0] = muted_colour(rng)
    elif kind < 0.35:
        step = rng.integers(6, 22)
        cloth[((y // step) + (x // step)) % 2 == 0] = muted_colour(rng)
    cloth += rng.uniform(4, 22) * _grain(rng, SIZE, 3, 8) + rng.uniform(5, 25) * _grain(rng, SIZE, 2, 4)
    layer[inside > 0] = cloth[inside > 0]
    cover[inside > 0], bare[inside > 0] = 255, 0
    if rng.random() < 0.4:
        for sign in (-1, 1):
            place = np.array([centre + sign * 0.98 * wide, 0.78 * SIZE])
            _ellipse((layer, cover, bare), place, [0.2 * wide, 0.26 * SIZE], np.full(3, 145.0), True)


def _face(
    layer: np.ndarray, bare: np.ndarray, face: np.ndarray, head: np.ndarray, rng: np.random.Generator
) -> None:
    """Eyes, brows, nose, mouth; now and then glasses."""
    dark = rng.uniform(20, 70)
    for sign in (-1, 1):
        eye = np.rint(face + head * [0.42 * sign, -0.12]).astype(int).tolist()
        cv2.ellipse(layer, eye, (int(0.2 * head[0]), int(0.07 * head[1])), 0, 0, 360, (190, 190, 190), -1)
        cv2.circle(layer, eye, max(int(0.08 * head[0]), 2), (dark, dark, dark), -1)
        brow = np.rint(face + head * [0.42 * sign, -0.3]).astype(int).tolist()
        cv2.ellipse(layer, brow, (int(0.26 * head[0]), 3), 0, 180, 360, (dark, dark, dark), 2)
        if rng.random() < 0.15:
            cv2.circle(layer, eye, int(0.3 * head[0]), (dark, dark, dark), 2)
    nose = np.rint(face + head * [0, 0.15]).astype(int).tolist()
    cv2.ellipse(layer, nose, (int(0.12 * head[0]), int(0.2 * head[1])), 0, 20, 160, (125, 120, 120), 2)
    mouth = np.rint(face + head * [0, 0.5]).astype(int).tolist()
    wide = int(rng.uniform(0.25, 0.42) * head[0])
    cv2.ellipse(layer, mouth, (wide, int(rng.uniform(2, 7))), 0, 0, 360, (150, 95, 100), -1)
