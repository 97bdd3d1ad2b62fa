"""Registration of depth images to the image of another camera."""

from __future__ import annotations

import math

import cv2
import numpy as np

from maskhand_ros.geometry import Camera, project

MAX_COVER = 32
"""Maximum edge length, in pixels of the target, of the square of one reading; coarser depth is rejected."""

_SLACK = 1.1
"""Margin on the ratio of the focal lengths, for surfaces nearer to the target than to the source."""


class DepthRegistration:
    """Registration of depth images of camera `source` to the image of camera `target`.

    Each reading is transformed as a point and drawn as a square of pixels, just large enough to leave no gaps
    between neighbours on a surface. The nearest reading wins a pixel, as in a z-buffer.
    """

    def __init__(self, source: Camera, target: Camera) -> None:
        """ValueError if a reading of `source` covers more than MAX_COVER pixels of `target`."""
        ratio = (target.K[[0, 1], [0, 1]] / source.K[[0, 1], [0, 1]]).max()
        self._cover = max(math.ceil(_SLACK * ratio), 1)
        if self._cover > MAX_COVER:
            raise ValueError(f'one reading covers {self._cover} x {self._cover} pixels')
        self._rays = np.ascontiguousarray(_rays(source).reshape(-1, 3).T, np.float32)
        self._focal = np.array(target.K[[0, 1], [0, 1]], np.float32)
        self._size = np.array([target.width, target.height])
        origin, self._lens = _undistorted_image(target)
        if self._lens is not None:
            self._size = np.ceil(self._lens.max((0, 1)) + 1).astype(int)
        self._centre = (target.K[:2, 2] - origin).astype(np.float32)

    def __call__(self, depth: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Depth (h, w) float32 metres along source's z, 0 or NaN where unknown, to (H, W) float32 along
        target's, NaN without a reading. `rotation` (3, 3) and `translation` (3,) metres transform points
        from the source's frame to the target's."""
        readings = np.flatnonzero(depth > 0)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            points = self._rays.take(readings, 1) * depth.take(readings)
            x, y, z = np.float32(rotation) @ points + np.float32(translation)[:, None]
            # Upper left pixel of the square, which is centred on the point.
            first = (self._cover - 2) / 2
            column = np.floor(x / z * self._focal[0] + (self._centre[0] - first))
            row = np.floor(y / z * self._focal[1] + (self._centre[1] - first))
        width, height = self._size.tolist()
        inside = (z > 0) & (column >= 0) & (row >= 0) & (column < width) & (row < height)
        nearest = np.full(width * height, np.inf, np.float32)
        pixel = row[inside].astype(np.intp) * width + column[inside].astype(np.intp)
        np.minimum.at(nearest, pixel, z[inside])
        nearest = nearest.reshape(height, width)
        if self._cover > 1:
            last = self._cover - 1
            square = np.ones((self._cover, self._cover), np.uint8)
            nearest = cv2.erode(nearest, square, anchor=(last, last), borderValue=math.inf)
        if self._lens is not None:
            nearest = cv2.remap(nearest, self._lens, None, cv2.INTER_NEAREST, borderValue=math.inf)
        nearest[np.isinf(nearest)] = np.nan
        return nearest


def same_camera(one: Camera, other: Camera) -> bool:
    """Whether two Cameras project every direction to the same pixel, to within one pixel."""
    if (one.width, one.height) != (other.width, other.height):
        return False
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 2), -1).reshape(-1, 2)
    pixels = grid * [one.width - 1, one.height - 1]
    rays = one.unproject_rays(pixels)
    given = np.isfinite(rays).all(1)
    return bool(given.any() and np.abs(other.project(rays[given]) - pixels[given]).max() < 1)


def _rays(camera: Camera) -> np.ndarray:
    """(H, W, 3) viewing rays of a Camera's pixels, z = 1."""
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1)
    return camera.unproject_rays(pixels).reshape(camera.height, camera.width, 3)


def _undistorted_image(camera: Camera) -> tuple[np.ndarray, np.ndarray | None]:
    """Undistorted image of a Camera: its origin (2,) in px of the pinhole projection, and for each distorted
    pixel its position in it (H, W, 2). None for the latter if there is no distortion.

    It extends the image by at most one image size on each side. Pixels beyond, or without a ray in the lens
    model, lie outside and get no depth.
    """
    if not camera.is_distorted:
        return np.zeros(2), None
    size = np.array([camera.width, camera.height])
    pixels = project(_rays(camera), camera.K)
    pixels[~((pixels >= -size) & (pixels <= 2 * size)).all(-1)] = np.nan
    origin = np.floor(np.nanmin(pixels, (0, 1)))
    return origin, np.nan_to_num(pixels - origin, nan=-1.0).astype(np.float32)
