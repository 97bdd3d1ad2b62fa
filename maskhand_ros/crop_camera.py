"""The virtual camera of a hand crop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from maskhand_ros.geometry import CROP_SIZE, Camera, project

_SMALL_ANGLE = 1e-3
"""Angle over which a lens is approximated as linear, radians."""


@dataclass(frozen=True)
class CropCamera:
    """Virtual pinhole camera at the real camera's centre, with its axis through a hand; its image is the
    crop.

    `rotation` (3, 3) rotates vectors of the camera frame into the crop camera's frame; `focal` px; `size` px,
    edge length of the square.
    """

    rotation: np.ndarray
    focal: float
    size: int = CROP_SIZE

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) pinhole matrix of the crop."""
        centre = (self.size - 1) / 2
        return np.array([[self.focal, 0, centre], [0, self.focal, centre], [0, 0, 1.0]])

    def homography(self, K: np.ndarray) -> np.ndarray:
        """(3, 3) map from pixels of an undistorted image with matrix K (3, 3) to pixels of the crop."""
        (fx, _, cx), (_, fy, cy), _ = K.tolist()
        inverse = np.array([[1 / fx, 0, -cx / fx], [0, 1 / fy, -cy / fy], [0, 0, 1.0]])
        return self.matrix @ self.rotation @ inverse

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in the real camera's frame to crop pixels (..., 2)."""
        return project(np.asarray(points) @ self.rotation.T, self.matrix)


def crop_camera_for(
    camera: Camera, center_px: np.ndarray, size_px: float, roll: float, size: int = CROP_SIZE
) -> CropCamera:
    """The CropCamera whose crop is the square of edge length `size_px` around `center_px`.

    `roll` (radians, clockwise in the image) is the angle of the direction from wrist to fingers: 0 for
    fingers up, pi/2 for fingers to the right. In the crop the fingers point up.
    """
    ray = camera.nearest_rays(center_px)[0].tolist()
    distance = math.hypot(*ray)
    z = [part / distance for part in ray]
    cos, sin = math.cos(roll), math.sin(roll)
    along = cos * z[0] + sin * z[1]
    # The image direction that is to the right in the crop, without its part along z.
    x = [cos - along * z[0], sin - along * z[1], -along * z[2]]
    length = math.hypot(*x)
    x = [part / length for part in x]
    y = [z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]]
    rotation = np.array([x, y, z])
    if camera.is_distorted:
        pixels_per_radian = _pixels_per_radian(camera, rotation[2])
    else:
        pixels_per_radian = (camera.K[0, 0] + camera.K[1, 1]) / 2 * distance
    return CropCamera(rotation, float(pixels_per_radian * size / size_px), size)


def _pixels_per_radian(camera: Camera, direction: np.ndarray) -> float:
    """Magnification of a Camera in a unit `direction` (3,), tangential to the image centre. Without
    distortion it is the focal length over the cosine of the angle from the axis."""
    across = np.cross([0.0, 0, 1], direction)
    length = np.linalg.norm(across)
    across = across / length if length > 1e-6 else np.array([1.0, 0, 0])
    pixels = camera.project(direction + _SMALL_ANGLE * np.outer([-1, 1], across))
    return float(np.linalg.norm(pixels[1] - pixels[0])) / (2 * _SMALL_ANGLE)
