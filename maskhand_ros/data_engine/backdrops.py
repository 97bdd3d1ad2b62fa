"""What is behind and in front of the hand: rooms, clutter, textures, 2D occluders; and the camera's flaws."""

from __future__ import annotations

import cv2
import numpy as np

BACKDROP_SIZE = 320


def muted_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,) 0..255 as walls, wood, cloth and skin have them; now and then a vivid one."""
    kind = rng.random()
    if kind < 0.12:
        return 255 * rng.random(3)
    # Skin and wood, to be told from the hand.
    if kind < 0.25:
        return 255 * np.array([0.75, 0.55, 0.42]) ** rng.uniform(0.5, 3) * (1 + 0.08 * rng.standard_normal(3))
    grey = 255 * rng.beta(1.3, 1.3)
    return np.clip(grey * (1 + 0.16 * rng.standard_normal(3)), 0, 255)


def _grain(rng: np.random.Generator, size: int, low: int, high: int) -> np.ndarray:
    """Smooth noise (size, size, 1) of unit spread with blobs of size / 2**low .. size / 2**high px."""
    cells = 2 ** int(rng.integers(low, high))
    return cv2.resize(
        rng.standard_normal((cells, cells)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )[..., None]


def _shape(rng: np.random.Generator, mask: np.ndarray | None, centre: np.ndarray, radius: float) -> None:
    kind = rng.integers(4)
    if kind == 0:
        axes = np.maximum(radius * rng.uniform(0.4, 1, 2), 1).astype(int)
        cv2.ellipse(mask, centre, axes.tolist(), rng.uniform(0, 180), 0, 360, 255, -1)
    elif kind == 1:
        side = (2 * radius * rng.uniform(0.3, 1), 2 * radius * rng.uniform(0.3, 1))
        tilt = rng.normal(0, 6) if rng.random() < 0.7 else rng.uniform(0, 90)
        corners = cv2.boxPoints(((float(centre[0]), float(centre[1])), side, tilt))
        cv2.fillConvexPoly(mask, corners.astype(np.int32), 255)
    elif kind == 2:
        corners = np.array(centre) + rng.normal(0, radius * 0.7, (5, 2))
        cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 255)
    else:
        reach = radius * 2 * np.array([np.cos(turn := rng.uniform(0, np.pi)), np.sin(turn)])
        ends = (np.array(centre) + np.outer([-1, 1], reach)).astype(int)
        cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 255, max(int(radius * rng.uniform(0.08, 0.4)), 1))


def backdrop(rng: np.random.Generator, size: int = BACKDROP_SIZE) -> np.ndarray:
    """One background (size, size, 3) uint8: a wall or room lit unevenly, clutter, sometimes out of focus."""
    image = np.empty((size, size, 3), np.float32)
    image[:] = muted_colour(rng)
    if rng.random() < 0.6:  # wall meets table or floor
        edge = int(size * rng.uniform(0.2, 0.9))
        image[edge:] = muted_colour(rng)
        if rng.random() < 0.4:
            image[:, int(size * rng.uniform(0.1, 0.9)) :] *= rng.uniform(0.7, 1.2)
    clutter = int(rng.choice([0, 6, 25, 90], p=[0.15, 0.3, 0.35, 0.2]))
    for _ in range(clutter):
        radius = float(np.clip(size * 0.03 * rng.pareto(1.2) + 3, 3, size * 0.35))
        mask = np.zeros((size, size), np.uint8)
        _shape(rng, mask, rng.integers(-20, size + 20, 2).tolist(), radius)
        inside = mask > 0
        colour = muted_colour(rng)
        if rng.random() < 0.3:
            texture = colour + rng.uniform(5, 30) * _grain(rng, size, 4, 8)
            image[inside] = texture[inside]
        else:
            image[inside] = colour
    for _ in range(int(rng.integers(1, 4))):
        image += rng.uniform(2, 14) * _grain(rng, size, 1, 8)
    # Wood or cloth: grain along one direction.
    if rng.random() < 0.25:
        stripes = cv2.resize(
            rng.standard_normal((int(rng.integers(20, 160)), 3)).astype(np.float32), (size, size)
        )
        image += rng.uniform(3, 16) * (stripes if rng.random() < 0.5 else stripes.T)[..., None]
    image *= 1 + 0.22 * _grain(rng, size, 1, 2)
    if rng.random() < 0.65:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 5))
    return np.clip(image, 0, 255).astype(np.uint8)


class BackdropBank:
    """Many backgrounds and one sheet of noise, made once; pieces of them serve as new ones."""

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._images = [backdrop(rng) for _ in range(count)]
        self._noise = rng.standard_normal((512, 512, 3)).astype(np.float32)

    def piece(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """A background (size, size, 3) uint8: a cut, flipped or turned, its light changed."""
        image = self._images[rng.integers(len(self._images))]
        side = int(BACKDROP_SIZE * rng.uniform(0.3, 1))
        y, x = rng.integers(BACKDROP_SIZE - side + 1, size=2)
        piece = image[y : y + side, x : x + side]
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        if rng.random() < 0.4:
            piece = np.rot90(piece, int(rng.integers(1, 4)))
        piece = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=cv2.INTER_LINEAR)
        gain = rng.uniform(0.5, 1.15) * (1 + 0.06 * rng.standard_normal(3))
        return cv2.convertScaleAbs(cv2.multiply(piece, np.array([*gain, 1.0])))

    def noise(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Unit normal noise (size, size, 3) float32, a piece of the sheet."""
        y, x = rng.integers(512 - size + 1, size=2)
        return self._noise[y : y + size, x : x + size]

    def occlude(self, image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Flat things in front of the hand: one or two, textured, within image (S, S, 3) uint8.

        Returns the image, and (S, S) True where they cover it.
        """
        size = len(image)
        covered = np.zeros((size, size), bool)
        for _ in range(int(rng.integers(1, 3))):
            mask = np.zeros((size, size), np.uint8)
            centre = rng.integers(int(0.12 * size), int(0.88 * size), 2)
            _shape(rng, mask, centre.tolist(), size * rng.uniform(0.06, 0.2))
            mask = cv2.GaussianBlur(mask, (0, 0), 0.8)[..., None].astype(np.float32) / 255
            front = 0.35 * self.piece(rng, size) + 0.65 * muted_colour(rng)
            image = (image * (1 - mask) + front * mask).astype(np.uint8)
            covered |= mask[..., 0] > 0.5
        return image, covered


def camera_flaws(
    image: np.ndarray, bank: BackdropBank, rng: np.random.Generator, strength: float = 1.0
) -> np.ndarray:
    """What lens, exposure, sensor and JPEG do to an image (S, S, 3) uint8; returns the same shape, uint8."""
    size = len(image)
    contrast, light = rng.uniform(0.75, 1.2), rng.uniform(-22, 18)
    image = cv2.convertScaleAbs(image, alpha=contrast, beta=max(128 * (1 - contrast) + light, 0))
    if rng.random() < 0.6 * strength:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 + 1.2 * rng.random() ** 2)
    if rng.random() < 0.12 * strength:  # motion
        length, turn = int(rng.integers(3, 9)), rng.uniform(0, np.pi)
        kernel = np.zeros((length, length), np.float32)
        middle = (length - 1) / 2
        reach = middle * np.array([np.cos(turn), np.sin(turn)])
        cv2.line(
            kernel,
            np.rint(middle - reach).astype(int).tolist(),
            np.rint(middle + reach).astype(int).tolist(),
            1,
        )
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if rng.random() < 0.3 * strength:  # a small hand in a coarse image
        small = int(rng.integers(70, 190))
        image = cv2.resize(
            cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA),
            (size, size),
            interpolation=cv2.INTER_LINEAR,
        )
    image = image + rng.uniform(0, 6 * strength) * bank.noise(rng, size)
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.45:
        quality = int(rng.integers(35, 95))
        image = cv2.imdecode(
            cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
        )
    return image
