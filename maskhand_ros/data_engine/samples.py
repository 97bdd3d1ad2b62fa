"""Crops of rendered hands with exact truth, in the frame of the run time's virtual camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from maskhand_ros.crop_camera import CropCamera, crop_camera_for
from maskhand_ros.data_engine import everyday, looks, scenes
from maskhand_ros.data_engine.backdrops import BackdropBank, camera_flaws
from maskhand_ros.data_engine.contents import CONTENTS
from maskhand_ros.data_engine.meshes import HandMesh, Mesh, anatomy_of, open_hand_data
from maskhand_ros.data_engine.negatives import image_without_hand
from maskhand_ros.data_engine.people import People
from maskhand_ros.data_engine.poses import sample_angles, sample_betas
from maskhand_ros.data_engine.renderer import Renderer, Uniforms
from maskhand_ros.data_engine.scenes import FIRST_KINDS
from maskhand_ros.data_engine.solids import Solid
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import RIGHT, Handedness

Sample = tuple[np.ndarray, dict[str, np.ndarray]]
"""A crop (224, 224, 3) uint8 RGB and its truth."""


# Share of images drawn at twice the size and shrunk: it takes twice the time, and the lens blurs most edges
# anyway.
_SMOOTH = 0.15
_PEOPLE = 60
_HOLDING_BETAS = 0.4
"""Share of the shape's deviation that a hand which holds something keeps: grasps are made at mean shape."""
_SKIN_DEEP = 0.004
"""Metres that a ring or the edge of a thing may stand out before a keypoint's place."""
_FLESH = np.full(21, 0.022)
_FLESH[[0, 1, 2, 5, 9, 13, 17]] = 0.032
"""A keypoint this far (m) or more behind the nearest surface is hidden: its own flesh is thinner there."""


def jittered_roi(
    keypoints_px: np.ndarray, kind: str, rng: np.random.Generator, side: Handedness = RIGHT
) -> HandRoi:
    """The HandRoi of a hand that is being tracked, keypoints (21, 2) px: the run time's rule around the true
    keypoints, and its errors in a sample of `kind`."""
    scale, shift, roll = CONTENTS[kind].jitter
    roi = roi_from_keypoints(keypoints_px, side)
    size = roi.size_px * np.exp(np.clip(scale * rng.standard_normal(), -0.35, 0.35))
    centre = roi.center_px + np.clip(shift * rng.standard_normal(2), -0.18, 0.18) * roi.size_px
    return replace(roi, center_px=centre, size_px=size, roll=roi.roll + roll * rng.standard_normal())


class SampleMaker:
    """Makes samples; owns a renderer and a bank of backgrounds, so one per process."""

    def __init__(self, hand: HandModel, backdrops: int = 240, seed: int = 12345) -> None:
        """`hand` is the HandModel of the open hand; the bank depends on `seed` only."""
        self.hand = hand
        self.mesh = HandMesh(hand, open_hand_data())
        self.anatomy = anatomy_of(hand)
        self.renderer = Renderer(CROP_SIZE, CROP_SIZE)
        self.bank = BackdropBank(backdrops, seed)
        self._people: People | None = None
        self._seed = seed

    def make(
        self, kinds: Sequence[str], rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Samples of the given kinds (n names, see scenes.KINDS).

        Returns crops (n, 224, 224, 3) uint8 RGB and truth as the shards hold it (see shards.py), all in crop
        cameras.
        """
        n = len(kinds)
        betas = sample_betas(n, rng)
        angles, solids = self._hands(kinds, rng)
        holding = [solid is not None for solid in solids]
        betas[holding] *= _HOLDING_BETAS
        hand_pose = self.anatomy.rotations(angles)
        orient = np.stack([scenes.sample_orientation(kind, rng) for kind in kinds])
        vertices, keypoints = self.mesh.pose(
            betas, orient, hand_pose, scenes.sample_forearm(n, rng), rng.uniform(1.6, 2.6)
        )
        crops = np.empty((n, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        truth = {
            name: np.empty((n, *shape), np.float32)
            for name, shape in (
                ('global_orient', (3, 3)),
                ('wrist', (3,)),
                ('focal', ()),
                ('keypoints', (21, 3)),
                ('keypoints_px', (21, 2)),
            )
        }
        truth['visible'] = np.empty((n, 21), bool)
        for i, kind in enumerate(kinds):
            other = vertices[(i + 1) % n], keypoints[(i + 1) % n]
            crops[i], crop, wrist, truth['visible'][i] = self._image(
                kind, vertices[i], keypoints[i], other, solids[i], rng
            )
            truth['global_orient'][i] = crop.rotation @ orient[i]
            truth['wrist'][i] = crop.rotation @ wrist
            truth['focal'][i] = crop.focal
            truth['keypoints'][i] = keypoints[i] @ crop.rotation.T
            truth['keypoints_px'][i] = crop.project(keypoints[i] + wrist)
        return crops, {**truth, 'hand_pose': hand_pose.astype(np.float32), 'betas': betas.astype(np.float32)}

    def _image(
        self,
        kind: str,
        vertices: np.ndarray,
        keypoints: np.ndarray,
        other: tuple[np.ndarray, np.ndarray],
        solid: Solid | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, CropCamera, np.ndarray, np.ndarray]:
        """One crop (224, 224, 3), its CropCamera, the wrist (3,) in the real camera's frame, and which
        keypoints (21,) can be seen."""
        if kind == 'no_hand':
            return *image_without_hand(self, vertices, keypoints, rng), np.zeros(21, bool)
        contents, everyday_like = CONTENTS[kind], kind not in FIRST_KINDS
        camera, middle = scenes.sample_camera(kind, rng)
        wrist = middle - keypoints.mean(0)
        crop = self._crop_camera(kind, camera, keypoints + wrist, rng)
        turn = crop.rotation.T
        shift = wrist @ turn
        place = keypoints @ turn + shift
        if everyday_like:
            hand = everyday.Hand(vertices @ turn + shift, place, other, solid)
            meshes, look = everyday.scene(hand, self.mesh, self.anatomy, contents, rng)
            light = looks.sample_everyday_light(rng)
        else:
            meshes, light = self._first_scene(kind, vertices @ turn + shift, place, other, rng)
        supersample = 2 if rng.random() < _SMOOTH else 1
        apart = everyday_like and len(meshes) > 1
        colour, coverage = self.renderer.draw(meshes, crop.matrix, light, supersample, apart)
        pixels = crop.project(keypoints + wrist)
        visible = self._visible(pixels, place[:, 2], supersample, apart)
        behind = self.bank.piece(rng, CROP_SIZE)
        if everyday_like and rng.random() < contents.person:
            behind = everyday.with_person(behind, self.people(), everyday.shown_skin(look, light), rng)
        gap = cv2.cvtColor(255 - coverage, cv2.COLOR_GRAY2RGB)
        image = cv2.add(colour, cv2.multiply(behind, gap, scale=1 / 255))
        if rng.random() < contents.front:
            image, covered = self.bank.occlude(image, rng)
            column, row = np.clip(np.rint(pixels), 0, CROP_SIZE - 1).astype(int).T
            visible &= ~covered[row, column]
        image = camera_flaws(image, self.bank, rng)
        if rng.random() < contents.leaving:
            image, inside = _leave(image, camera, crop, camera.project(keypoints + wrist), rng)
            visible &= inside
        return image, crop, wrist, visible

    def _hands(self, kinds: Sequence[str], rng: np.random.Generator) -> tuple[np.ndarray, list[Solid | None]]:
        """Poses (n, 5, 5) and what the hands of everyday scenes hold."""
        rows = [i for i, kind in enumerate(kinds) if kind not in FIRST_KINDS]
        angles = np.empty((len(kinds), 5, 5))
        solids: list[Solid | None] = [None] * len(kinds)
        others = [i for i, kind in enumerate(kinds) if kind in FIRST_KINDS]
        angles[others] = sample_angles(self.anatomy, len(others), rng)
        if rows:
            angles[rows], held = everyday.sample_hands(self.anatomy, [kinds[i] for i in rows], rng)
            for row, solid in zip(rows, held, strict=True):
                solids[row] = solid
        return angles, solids

    def _first_scene(
        self,
        kind: str,
        vertices: np.ndarray,
        place: np.ndarray,
        other: tuple[np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ) -> tuple[list[Mesh], Uniforms]:
        """Meshes and light of `camera` and `stress`; vertices (V, 3) and keypoints `place` (21, 3) in the
        crop camera's frame."""
        material, light = scenes.sample_material(rng), scenes.sample_light(rng)
        meshes = [self.mesh.mesh(vertices, place, material)]
        if rng.random() < CONTENTS[kind].second:
            meshes.append(self._second_hand(other, place, material, rng))
        if rng.random() < CONTENTS[kind].held:
            meshes.append(scenes.held_object(place, rng))
        return meshes, light

    def _visible(self, pixels: np.ndarray, depth: np.ndarray, supersample: int, apart: bool) -> np.ndarray:
        """Which keypoints (21,) at pixels (21, 2) and `depth` (21,) are inside the crop and not hidden by the
        hand's own flesh or, if drawn `apart`, by anything thicker than _SKIN_DEEP in front of it."""
        nearest = self.renderer.depth_at(pixels, supersample)
        visible = ((pixels > -0.5) & (pixels < CROP_SIZE - 0.5)).all(1)
        if not apart:
            return visible & (nearest > depth - _FLESH)
        own = self.renderer.first_depth_at(pixels, supersample)
        return visible & (own > depth - _FLESH) & (nearest > own - _SKIN_DEEP)

    def people(self) -> People:
        """The people behind hands, drawn on first use."""
        if self._people is None:
            self._people = People(_PEOPLE, self._seed)
        return self._people

    def _crop_camera(
        self, kind: str, camera: Camera, keypoints: np.ndarray, rng: np.random.Generator
    ) -> CropCamera:
        """The CropCamera of a tracked hand: the run time's rule around keypoints (21, 3), and its errors."""
        roi = jittered_roi(camera.project(keypoints), kind, rng)
        return crop_camera_for(camera, roi.center_px, roi.size_px, roi.roll)

    def _second_hand(
        self,
        other: tuple[np.ndarray, np.ndarray],
        place: np.ndarray,
        material: Uniforms,
        rng: np.random.Generator,
    ) -> Mesh:
        """A left hand (Mesh) beside, before or behind the right one at `place` (21, 3), crop camera frame."""
        vertices, keypoints = (points * np.array([-1.0, 1, 1]) for points in other)
        towards = np.array(
            [rng.choice([-1, 1]) * rng.uniform(0.05, 0.15), rng.normal(0, 0.05), rng.normal(0.02, 0.04)]
        )
        shift = place.mean(0) + towards - keypoints.mean(0)
        return self.mesh.mesh(vertices + shift, keypoints + shift, material, left=True)


def _leave(
    image: np.ndarray, camera: Camera, crop: CropCamera, pixels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The crop of a hand that is partly outside the real image: beyond its border the edge is repeated, as
    at run time. Also which of its keypoints, at `pixels` (21, 2) of the real image, are inside."""
    to_crop = crop.homography(camera.K)
    back = np.stack(
        [*np.meshgrid(np.arange(CROP_SIZE), np.arange(CROP_SIZE)), np.ones((CROP_SIZE, CROP_SIZE))], -1
    )
    place = back @ np.linalg.inv(to_crop).T
    place = place[..., :2] / place[..., 2:]
    axis = rng.integers(2)
    cut = np.quantile(place[..., axis], rng.uniform(0.08, 0.3))
    low, high = (cut, np.inf) if rng.random() < 0.5 else (-np.inf, 2 * np.median(place[..., axis]) - cut)
    place[..., axis] = np.clip(place[..., axis], low, high)
    source = np.concatenate([place, np.ones((CROP_SIZE, CROP_SIZE, 1))], -1) @ to_crop.T
    source = (source[..., :2] / source[..., 2:]).astype(np.float32)
    inside = (pixels[:, axis] >= low) & (pixels[:, axis] <= high)
    return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), inside
