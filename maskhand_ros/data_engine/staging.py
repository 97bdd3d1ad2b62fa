"""Hands that move in front of a camera, rendered with their truth: what the demo clip and the test sequences
are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from maskhand_ros.data_engine.anatomy import Anatomy
from maskhand_ros.data_engine.meshes import HandMesh, Mesh, anatomy_of, open_hand_data
from maskhand_ros.data_engine.poses import prototype_angles
from maskhand_ros.data_engine.prototypes import Prototype
from maskhand_ros.data_engine.renderer import Renderer, Uniforms
from maskhand_ros.data_engine.scenes import PALM_VIEW, UP
from maskhand_ros.geometry import MIRROR_X, Camera, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel

WIDTH, HEIGHT = 640, 480
K = np.array([[570.0, 0, 319.5], [0, 570.0, 239.5], [0, 0, 1.0]])
CAMERA = Camera(K, WIDTH, HEIGHT)
NOISE = 2.2
"""Standard deviation of the sensor's noise, grey levels of 255."""
MATERIAL = {
    'skin': (0.58, 0.37, 0.27),
    'palm': (0.68, 0.43, 0.34),
    'nail': (0.72, 0.48, 0.40),
    'rough': 0.52,
    'gloss': 0.6,
    'bump': 0.22,
    'mottle': 0.18,
    'offset': (0.31, 0.67),
    'skinned': 1.0,
    'sleeve': (0.06, 0.10, 0.20),
    'sleeve_from': 0.075,
    'sleeve_lift': 0.006,
    'grain': 0.25,
}
_KEY, _FILL = (np.array(v) / np.linalg.norm(v) for v in ([0.45, -0.65, -0.6], [-0.7, -0.1, -0.7]))
_LIGHT = {
    'key': _KEY,
    'key_colour': (0.72, 0.68, 0.62),
    'fill': _FILL,
    'fill_colour': (0.16, 0.18, 0.22),
    'sky': (0.44, 0.44, 0.46),
    'ground': (0.28, 0.25, 0.22),
    'shade': 0.8,
    'exposure': 1.0,
}


Way = tuple[tuple[float, ...], ...]
"""Rows of (second, x, y, z, turn, tilt, roll): see Actor."""


@dataclass(frozen=True)
class Actor:
    """One hand over time.

    `poses` ((second, prototype or its name), ...); `way` ((second, x, y, z, turn about the forearm, tilt,
    roll), ...): of the wrist, metres in the camera's frame and degrees, all 0: palm to the lens, fingers up,
    and for a left hand as its mirror image. Both are interpolated without overshoot. `sway` metres of a slow
    unrest.
    """

    side: str
    poses: tuple[tuple[float, str | Prototype], ...]
    way: Way
    betas: np.ndarray
    person: int = 0
    sway: tuple[float, float, float] = (0.0, 0.0, 0.0)
    phase: float = 0.0
    material: Uniforms = field(default_factory=lambda: MATERIAL)

    def motion(self, anatomy: Anatomy, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Angles (T, 5, 5), wrist (T, 3), global_orient (T, 3, 3) of the hand, a left one as the right hand
        that is its mirror image, at times (T,) in seconds."""
        at, names = zip(*self.poses, strict=True)
        angles = np.stack([prototype_angles(anatomy, name) for name in names])
        way = np.array(self.way, float)
        values = _between(way[:, 0], way[:, 1:], times)
        unrest = np.sin(np.outer(times, [2.1, 2.9, 1.7]) + self.phase) * self.sway
        wrist = values[:, :3] * (MIRROR_X if self.side == 'left' else 1) + unrest
        turn, tilt, roll = np.deg2rad(values[:, 3:]).T
        zero = np.zeros_like(turn)
        roll, tilt = (
            rotvec_to_matrix(np.stack(axis, 1)) for axis in ([zero, zero, roll], [tilt, zero, zero])
        )
        orient = roll @ tilt @ rotvec_to_matrix(turn[:, None] * UP) @ PALM_VIEW
        return _between(np.array(at, float), angles, times), wrist, orient


def _between(at: np.ndarray, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    if len(at) == 1:
        return np.repeat(values, len(times), 0)
    return PchipInterpolator(at, values)(np.clip(times, at[0], at[-1]))


class Stage:
    """A room, a Camera without distortion, and a renderer."""

    def __init__(self, camera: Camera = CAMERA) -> None:
        self._camera = camera
        hand = HandModel.load()
        self._anatomy, self._mesh = anatomy_of(hand), HandMesh(hand, open_hand_data())
        self._renderer = Renderer(camera.width, camera.height)
        self._room = room()

    def act(self, actors: Sequence[Actor], times: np.ndarray) -> list[list[np.ndarray]]:
        """Vertices (T, V, 3) and keypoints (T, 21, 3, set `mano`) of each Actor in the camera's frame."""
        played = []
        for actor in actors:
            angles, wrist, orient = actor.motion(self._anatomy, times)
            bend = np.stack(
                [0.1 * np.sin(1.1 * times), 0.08 * np.sin(1.7 * times), 0.18 * np.sin(1.4 * times)], 1
            )
            vertices, keypoints = self._mesh.pose(
                np.tile(actor.betas, (len(times), 1)),
                orient,
                self._anatomy.rotations(angles),
                rotvec_to_matrix(bend),
                stretch=2.6,
            )
            flip = MIRROR_X if actor.side == 'left' else 1
            played.append([(points + wrist[:, None]) * flip for points in (vertices, keypoints)])
        return played

    def draw(
        self,
        actors: Sequence[Actor],
        played: list[list[np.ndarray]],
        frame: int,
        second: float,
        rng: np.random.Generator,
        props: Sequence[Mesh] = (),
    ) -> np.ndarray:
        """Image (height, width, 3) uint8 RGB of one frame of what was `played`, with Meshes `props`."""
        meshes = [
            self._mesh.mesh(vertices[frame], keypoints[frame], actor.material, left=actor.side == 'left')
            for actor, (vertices, keypoints) in zip(actors, played, strict=True)
        ]
        colour, coverage = self._renderer.draw([*meshes, *props], self._camera.K, _LIGHT, supersample=2)
        gap = cv2.cvtColor(255 - coverage, cv2.COLOR_GRAY2RGB)
        behind = cv2.resize(_behind(self._room, second), (self._camera.width, self._camera.height))
        image = cv2.add(colour, cv2.multiply(behind, gap, scale=1 / 255))
        image = image + NOISE * rng.standard_normal(image.shape, dtype=np.float32)
        return np.clip(image, 0, 255).astype(np.uint8)

    def depth(self) -> np.ndarray:
        """Distance along z (height, width) in metres of the last image; the renderer's far end where
        nothing is."""
        return self._renderer.depth(supersample=2)


def room() -> np.ndarray:
    """A blurred room (HEIGHT + 80, WIDTH + 120, 3) uint8 RGB: wall, window, picture, books, desk."""
    rng = np.random.default_rng(3)
    height, width = HEIGHT + 80, WIDTH + 120
    image = np.empty((height, width, 3), np.float32)
    image[:] = (176, 172, 160)
    image *= np.linspace(1.08, 0.78, width)[None, :, None]
    cv2.rectangle(image, (60, 40), (230, 270), (225, 232, 238), -1)
    cv2.rectangle(image, (60, 40), (230, 270), (120, 105, 90), 7)
    cv2.line(image, (145, 40), (145, 270), (120, 105, 90), 5)
    cv2.rectangle(image, (330, 60), (450, 150), (70, 90, 85), -1)
    cv2.rectangle(image, (330, 60), (450, 150), (150, 130, 90), 4)
    for shelf in (140, 250):
        x = 520
        while x < 730:
            wide, tall = int(rng.integers(9, 24)), int(rng.integers(50, 85))
            cv2.rectangle(image, (x, shelf - tall), (x + wide, shelf), rng.uniform(30, 170, 3).tolist(), -1)
            x += wide + 2
        cv2.rectangle(image, (505, shelf), (745, shelf + 9), (96, 70, 48), -1)
    image[400:] = (112, 84, 60)
    image[400:] += (
        cv2.resize(rng.standard_normal((90, 3)).astype(np.float32), (width, height - 400))[..., None] * 5
    )
    cv2.ellipse(image, (400, 402), (28, 12), 0, 0, 360, (60, 95, 62), -1)
    cv2.rectangle(image, (382, 345), (418, 402), (70, 105, 75), -1)
    image += cv2.GaussianBlur(rng.standard_normal(image.shape).astype(np.float32), (0, 0), 6) * 25
    return np.clip(cv2.GaussianBlur(image, (0, 0), 2.6), 0, 255).astype(np.uint8)


def _behind(image: np.ndarray, second: float) -> np.ndarray:
    """The room at a moment: the camera sways a little, and somebody's ball rolls along the desk."""
    shift = np.array([60 + 24 * np.sin(0.9 * second), 40 + 10 * np.sin(1.3 * second + 1)])
    scene = image.copy()
    ball = int(120 + 75 * second), 396
    cv2.circle(scene, ball, 20, (150, 64, 50), -1, cv2.LINE_AA)
    place = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]])
    return cv2.GaussianBlur(cv2.warpAffine(scene, place, (WIDTH, HEIGHT)), (0, 0), 1.2)
