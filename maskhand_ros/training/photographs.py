"""Photographs of hands without labels, as an anchor while the landmark network trains on renders.

The labels are the frozen network's own landmarks, the mean over several crops; the trained network sees
another crop of the photograph. A folder may hold any photographs that show one hand each and little else,
such as Sign-Language-Digits (https://github.com/ardamavi/Sign-Language-Digits-Dataset, Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.files import IMAGE_SUFFIXES, ImageError, read_image
from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.skeleton import RIGHT

JITTER = (
    (1.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.2),
    (1.0, 0.0, 0.0, -0.2),
    (1.15, 0.03, 0.02, 0.0),
    (0.9, -0.03, -0.02, 0.0),
)
"""Crops whose labels are averaged: size, shift over size in x and y, roll (rad), as changes of the square."""
ACCEPTED = 0.8
"""Least presence in all crops; other photographs are left out."""
MAX_SPREAD = 6.0
"""Largest mean standard deviation (px of 224) of the landmarks over the crops."""
START_SIZE = 1.15
"""Side of the first square over the longer side of the photograph."""

Square = tuple[np.ndarray, float, float]
"""Centre (2,) px, side px, roll rad."""


@dataclass(frozen=True)
class Photographs:
    """N crops of right hands (left ones mirrored) with the frozen network's labels.

    images (N, 224, 224, 3) uint8 RGB; landmarks (N, 21, 3) px of the crop, z as well; world (N, 21, 3) m.
    """

    images: np.ndarray
    landmarks: np.ndarray
    world: np.ndarray

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        np.savez(path, images=self.images, landmarks=self.landmarks, world=self.world)

    @staticmethod
    def load(path: Path) -> Photographs:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return Photographs(arrays['images'], arrays['landmarks'], arrays['world'])


def label_photographs(folder: Path, network: CueNetwork) -> Photographs:
    """Photographs of all images below `folder` in which `network` is sure of a hand. CommandError if there is
    none."""
    paths = sorted(path for path in Path(folder).rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    found = [labels for path in paths if (labels := _label(path, network)) is not None]
    if not found:
        raise CommandError(
            f'no hand in the {len(paths)} images below {folder}', 'give photographs that show one hand each'
        )
    images, landmarks, world = (np.stack(values) for values in zip(*found, strict=True))
    return Photographs(images, landmarks.astype(np.float32), world.astype(np.float32))


def _label(path: Path, network: CueNetwork) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    try:
        rgb = read_image(path)
    except ImageError:
        return None
    sides = [(image, *_square_of(image, network)) for image in (rgb, np.ascontiguousarray(rgb[:, ::-1]))]
    image, square, _ = max(sides, key=lambda side: side[2])
    centre, size, roll = square
    image_of, to_crop = _crop(image, square)
    crops, maps = zip(
        *(
            _crop(image, (centre + np.array([dx, dy]) * size, size * scale, roll + turn))
            for scale, dx, dy, turn in JITTER
        ),
        strict=True,
    )
    cues = network(np.stack(crops))
    landmarks, world = zip(
        *(
            _in_crop(_pixels(landmarks), points, to_crop @ np.linalg.inv(of_crop))
            for landmarks, points, of_crop in zip(
                cues['landmarks'], cues['world_landmarks'], maps, strict=True
            )
        ),
        strict=True,
    )
    spread = np.stack(landmarks)[..., :2].std(0).mean()
    if cues['presence'].min() < ACCEPTED or spread > MAX_SPREAD:
        return None
    return image_of, np.mean(landmarks, 0), np.mean(world, 0)


def _square_of(image: np.ndarray, network: CueNetwork) -> tuple[Square, float]:
    """The square around the hand of an image, and how sure the network is of a right hand there."""
    height, width = image.shape[:2]
    square: Square = (np.array([width - 1, height - 1]) / 2, START_SIZE * max(height, width), 0.0)
    for _ in range(2):
        crop, to_crop = _crop(image, square)
        cues = network(crop[None])
        pixels = _transformed(_pixels(cues['landmarks'][0])[:, :2], np.linalg.inv(to_crop))
        roi = roi_from_keypoints(pixels, RIGHT)
        square = roi.center_px, roi.size_px, roi.roll
    return square, float(cues['presence'][0, 0] * cues['handedness'][0, 0])


def _crop(image: np.ndarray, square: Square) -> tuple[np.ndarray, np.ndarray]:
    """The crop (224, 224, 3) of a square, and the affine map (3, 3) from image to crop pixels."""
    centre, size, roll = square
    scale, middle = CROP_SIZE / size, (CROP_SIZE - 1) / 2
    turn = scale * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, middle - turn @ centre
    crop = cv2.warpAffine(
        image, matrix[:2], (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return crop, matrix


def _pixels(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks of a CueNetwork (21, 3) in crop pixels, z as well."""
    return (landmarks + np.array([0.5, 0.5, 0.0])) * CROP_SIZE


def _transformed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _in_crop(landmarks: np.ndarray, world: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (21, 3) px and world landmarks (21, 3) m of one crop in another, by a similarity."""
    scale = np.sqrt(np.linalg.det(matrix[:2, :2]))
    turned = world.copy()
    turned[:, :2] = world[:, :2] @ (matrix[:2, :2] / scale).T
    return np.column_stack([_transformed(landmarks[:, :2], matrix), scale * landmarks[:, 2]]), turned
