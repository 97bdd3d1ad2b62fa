"""Crops that show no hand, or too little of one: the kind `no_hand`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskhand_ros.crop_camera import CropCamera, crop_camera_for
from maskhand_ros.data_engine import everyday, looks, scenes
from maskhand_ros.data_engine.backdrops import camera_flaws
from maskhand_ros.data_engine.contents import CONTENTS
from maskhand_ros.data_engine.solids import Solid, random_parts
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.skeleton import RIGHT

if TYPE_CHECKING:
    from maskhand_ros.data_engine.samples import SampleMaker

NOTHING, THING, FOREARM, BESIDE = range(4)
_SHARES = (0.36, 0.18, 0.22, 0.24)
LEAST = 3
"""A crop shows no hand if it holds at most this many of its keypoints."""


def image_without_hand(
    maker: SampleMaker, vertices: np.ndarray, keypoints: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, CropCamera, np.ndarray]:
    """A crop (224, 224, 3), its CropCamera and the wrist (3,) in the real camera's frame of a hand, with
    vertices (V, 3) and keypoints (21, 3) from the wrist, that it misses."""
    camera, middle = scenes.sample_camera('no_hand', rng)
    wrist = middle - keypoints.mean(0)
    variant = int(rng.choice(len(_SHARES), p=_SHARES))
    crop = _beside(camera, keypoints + wrist, variant == FOREARM, rng)
    turn = crop.rotation.T
    look, light = looks.sample_looks(rng, rng.random() < 0.08), looks.sample_everyday_light(rng)
    image = maker.bank.piece(rng, CROP_SIZE)
    skin = everyday.shown_skin(look, light)
    if rng.random() < CONTENTS['no_hand'].person:
        image = everyday.with_person(image, maker.people(), skin, rng)
    meshes = []
    if variant in (FOREARM, BESIDE):
        meshes = [maker.mesh.mesh((vertices + wrist) @ turn, (keypoints + wrist) @ turn, look)]
    elif variant == THING:
        frame = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        place = np.array([*rng.normal(0, 0.03, 2), np.linalg.norm(middle)])
        meshes = everyday.solid_meshes(Solid(random_parts(rng), frame, place), rng)
    if meshes:
        colour, coverage = maker.renderer.draw(meshes, crop.matrix, light)
        gap = cv2.cvtColor(255 - coverage, cv2.COLOR_GRAY2RGB)
        image = cv2.add(colour, cv2.multiply(image, gap, scale=1 / 255))
    if rng.random() < CONTENTS['no_hand'].front:
        image, _ = maker.bank.occlude(image, rng)
    return camera_flaws(image, maker.bank, rng), crop, wrist


def _beside(camera: Camera, keypoints: np.ndarray, forearm: bool, rng: np.random.Generator) -> CropCamera:
    """A crop next to the hand with keypoints (21, 3), or of its forearm."""
    pixels = camera.project(keypoints)
    roi = roi_from_keypoints(pixels, RIGHT)
    turn = rng.uniform(-np.pi, np.pi)
    direction = np.array([np.cos(turn), np.sin(turn)])
    if forearm:
        direction = pixels[0] - pixels[9]
        direction = direction / max(np.linalg.norm(direction), 1e-6)
    size, roll = roi.size_px * rng.uniform(0.5, 1.1), roi.roll + 0.4 * rng.standard_normal()
    for far in np.arange(rng.uniform(0.3, 0.7), 3, 0.1):
        crop = crop_camera_for(camera, roi.center_px + far * roi.size_px * direction, size, roll)
        inside = crop.project(keypoints)
        if ((inside > 0) & (inside < CROP_SIZE - 1)).all(1).sum() <= LEAST:
            break
    return crop
