"""Rotated squares around hands (HandRoi), and crops of the image."""

from __future__ import annotations

import math

import cv2
import numpy as np

from maskhand_ros.crop_camera import CropCamera, crop_camera_for
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import Handedness

ROI_LANDMARKS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The 12 landmarks of the palm and lower fingers that MediaPipe's rule encloses; the fingertips move too
much."""
_ROI_LANDMARKS = np.array(ROI_LANDMARKS)
_ROI_SCALE, _ROI_SHIFT = 2.0, 0.1
"""MediaPipe's factor of the box's size, and shift towards the fingers as a share of its height."""
_MAP_STEP = 8
"""Spacing in pixels of the exact points of the distortion map."""
_MAX_COORDINATE = 30_000
"""Largest pixel coordinate given to cv2.remap, which uses 16-bit integers."""
_MIN_COSINE = 0.01
"""Smallest cosine of the angle between a ray and the optical axis: rays are clamped to 89.4 degrees."""


def roll_of(direction: np.ndarray) -> float:
    """Roll (rad) of a direction (2,) in the image: 0 is up, pi/2 is right."""
    return math.atan2(direction[0], -direction[1])


def roi_from_keypoints(keypoints_px: np.ndarray, side: Handedness | None) -> HandRoi:
    """The HandRoi around a hand's keypoints (21, 2) px, by MediaPipe's rule.

    The box of ROI_LANDMARKS, rotated so that the direction from the wrist to the middle of the MCPs is up,
    made square, doubled, and shifted by a tenth of its height towards the fingers.
    """
    keypoints_px = np.asarray(keypoints_px, float)
    knuckles = ((keypoints_px[5] + keypoints_px[13]) / 2 + keypoints_px[9]) / 2
    roll = roll_of(knuckles - keypoints_px[0])
    cos, sin = math.cos(roll), math.sin(roll)
    axes = np.array([[cos, sin], [sin, -cos]])  # columns: to the right, up
    inside = keypoints_px[_ROI_LANDMARKS] @ axes
    (left, low), (right, high) = inside.min(0).tolist(), inside.max(0).tolist()
    size = _ROI_SCALE * max(right - left, high - low, 1.0)
    centre = np.array([(left + right) / 2, (low + high) / 2 + _ROI_SHIFT * (high - low)])
    return HandRoi(axes @ centre, size, roll, side)


def nearly_same(
    one: HandRoi, other: HandRoi, place: float = 0.03, size: float = 0.03, roll: float = 0.05
) -> bool:
    """Whether two HandRois of one side are nearly the same square. Tolerances: distance of the centres
    (`place`, share of the edge length), relative difference of the edge lengths, roll (radians)."""
    turned = (one.roll - other.roll + np.pi) % (2 * np.pi) - np.pi
    return bool(
        one.side == other.side
        and math.dist(one.center_px, other.center_px) < place * one.size_px
        and abs(one.size_px / other.size_px - 1) < size
        and abs(turned) < roll
    )


def crop_hand(rgb: np.ndarray, camera: Camera, roi: HandRoi, mirror: bool) -> tuple[np.ndarray, CropCamera]:
    """The crop of `roi`, as its virtual camera sees it: ((224, 224, 3) uint8, CropCamera).

    `mirror` flips the finished crop left to right (for a left hand); the CropCamera stays that of the
    unflipped crop.
    """
    crop_camera = crop_camera_for(camera, roi.center_px, roi.size_px, roi.roll)
    # Avoids aliasing: a large region is warped at up to three times the size, then reduced by area.
    factor = int(np.clip(roi.size_px / CROP_SIZE, 1, 3))
    size = factor * CROP_SIZE
    # Centres of pixels have whole coordinates, so the corner of the image is at -0.5.
    enlarge = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1.0]])
    if camera.is_distorted:
        crop = _warp_distorted(rgb, camera, crop_camera, enlarge, size)
    else:
        crop = cv2.warpPerspective(
            rgb,
            enlarge @ crop_camera.homography(camera.K),
            (size, size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    if factor > 1:
        crop = cv2.resize(crop, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
    return cv2.flip(crop, 1) if mirror else crop, crop_camera


def _warp_distorted(
    rgb: np.ndarray, camera: Camera, crop_camera: CropCamera, enlarge: np.ndarray, size: int
) -> np.ndarray:
    """The crop (size, size, 3) of an image with lens distortion. The map is exact every _MAP_STEP pixels
    and interpolated between."""
    grid = np.arange(0, size + _MAP_STEP, _MAP_STEP, dtype=float)
    pixels = np.stack([*np.meshgrid(grid, grid), np.ones((len(grid), len(grid)))], -1).reshape(-1, 3)
    rays = pixels @ np.linalg.inv(enlarge @ crop_camera.matrix @ crop_camera.rotation).T
    coarse = np.clip(camera.project(_in_front(rays)), -_MAX_COORDINATE, _MAX_COORDINATE)
    coarse = coarse.reshape(len(grid), len(grid), 2).astype(np.float32)
    place = np.arange(size, dtype=np.float32) / _MAP_STEP
    column, row = np.meshgrid(place, place)
    fine = cv2.remap(coarse, column, row, cv2.INTER_LINEAR)
    return cv2.remap(rgb, fine, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def crop_to_camera(
    landmarks: np.ndarray, crop_camera: CropCamera, camera: Camera, mirror: bool
) -> np.ndarray:
    """Crop landmarks (21, 2+) px / 224 - 0.5, from a mirrored crop if `mirror`, to image pixels (21, 2)."""
    pixels = (np.asarray(landmarks, float)[:, :2] + 0.5) * CROP_SIZE
    if mirror:
        pixels[:, 0] = CROP_SIZE - 1 - pixels[:, 0]
    centre = (crop_camera.size - 1) / 2
    rays = np.concatenate([(pixels - centre) / crop_camera.focal, np.ones((len(pixels), 1))], 1)
    return camera.project(_in_front(rays @ crop_camera.rotation))


def _in_front(rays: np.ndarray) -> np.ndarray:
    """Rays (N, 3) clamped to an angle of acos(_MIN_COSINE) from the optical axis. The crop of a hand at
    the border of a wide image can contain rays beyond."""
    rays = rays.copy()
    rays[:, 2] = np.maximum(rays[:, 2], _MIN_COSINE * np.sqrt(np.square(rays).sum(1)))
    return rays
