"""Contents of a rendered image: place and orientation of the hand, skin, light, held objects.

`camera` is hands as cameras see them: an arm from below or the sides, palm or back towards the lens, 0.3 to
1.1 m away. `stress` turns the hand every way (uniform over SO(3)), jitters the crop more and hides a third of
the hands. `everyday` adds what everyday pictures hold (contents.py says how often): people behind, second
hands, things, gloves; all or most hands of `objects` hold something, of `gloves` wear gloves, of `clasped`
touch the other hand, of `own_view` are seen by their own person. `no_hand` shows none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from maskhand_ros.data_engine.anatomy import random_rotations
from maskhand_ros.data_engine.meshes import Mesh
from maskhand_ros.data_engine.renderer import Uniforms
from maskhand_ros.geometry import Camera, kabsch, rotvec_to_matrix

FIRST_KINDS = ('camera', 'stress')
"""Kinds of which published figures are; their pictures stay as they are, bit by bit."""
HAND_KINDS = (*FIRST_KINDS, 'everyday', 'objects', 'gloves', 'clasped', 'own_view')
KINDS = (*HAND_KINDS, 'no_hand')

# Diffuse skin colours in linear RGB, from light to dark.
_SKIN = np.array(
    [
        [0.80, 0.56, 0.45],
        [0.70, 0.45, 0.33],
        [0.58, 0.35, 0.24],
        [0.42, 0.24, 0.15],
        [0.27, 0.14, 0.085],
        [0.15, 0.08, 0.05],
    ]
)
_ARM_TO_LENS = -0.8
"""Least z of the forearm's direction in everyday scenes: the mesh has no elbow, one would look into it."""
UP = np.array([0.0, -1, 0])
PALM_VIEW = np.stack([-UP, [0, 0, 1.0], np.cross(-UP, [0, 0, 1.0])], 1)
"""Model axes in the camera frame for a palm towards the lens, fingers up."""


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def sample_orientation(kind: str, rng: np.random.Generator) -> np.ndarray:
    """global_orient (3, 3) in the camera's frame."""
    if kind == 'stress':
        return random_rotations(1, rng)[0]
    if kind in FIRST_KINDS:
        return _camera_orientation(rng.random(), rng)
    while True:
        view = 0.0 if kind == 'own_view' else rng.random()
        every_way = kind != 'own_view' and rng.random() < 0.15
        orient = random_rotations(1, rng)[0] if every_way else _camera_orientation(view, rng)
        if orient[2, 0] > _ARM_TO_LENS:
            return orient


def _camera_orientation(view: float, rng: np.random.Generator) -> np.ndarray:
    """global_orient (3, 3) of a hand before a camera: one's own, palm, back, or from the side as `view`, 0 to
    1, is larger."""
    degrees = np.pi / 180
    if view < 0.15:  # one's own hands: backs seen from behind, fingers away
        about, tilt = 180 + 40 * rng.standard_normal(), -35 + 22 * rng.standard_normal()
    elif view < 0.55:
        about, tilt = 32 * rng.standard_normal(), 20 * rng.standard_normal()
    elif view < 0.85:
        about, tilt = 180 + 34 * rng.standard_normal(), 20 * rng.standard_normal()
    else:
        about, tilt = rng.uniform(-180, 180), 32 * rng.standard_normal()
    roll = 35 * rng.standard_normal() if rng.random() < 0.75 else rng.uniform(-180, 180)
    turns = np.array([[0, 0, roll], [tilt, 0, 0]]) * degrees
    first, second = rotvec_to_matrix(turns)
    return first @ second @ rotvec_to_matrix(UP * about * degrees) @ PALM_VIEW


def sample_forearm(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3) of the forearm against the hand, within a wrist's range."""
    degrees = np.stack(
        [12 * rng.standard_normal(n), 10 * rng.standard_normal(n), 24 * rng.standard_normal(n)], 1
    )
    return rotvec_to_matrix(np.clip(degrees, [-30, -25, -60], [30, 25, 60]) * np.pi / 180)


def sample_camera(kind: str, rng: np.random.Generator) -> tuple[Camera, np.ndarray]:
    """A Camera and the place (3,) in metres where the middle of the hand is."""
    width, height = ((640, 480), (1280, 720), (640, 360), (720, 720))[rng.integers(4)]
    focal = max(width, height) * rng.uniform(0.65, 1.3)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    camera = Camera(K, width, height)
    depth = 0.3 * (1.1 / 0.3) ** rng.random()
    pixel = np.array([width, height]) * np.clip(0.5 + 0.18 * rng.standard_normal(2), 0.12, 0.88)
    return camera, depth * camera.unproject_rays(pixel[None])[0]


def sample_skin(rng: np.random.Generator, spread: float) -> np.ndarray:
    """Diffuse colour (3,) of skin in linear RGB; `spread` of each channel from the palette."""
    tone = rng.random() * (len(_SKIN) - 1)
    low = min(int(tone), len(_SKIN) - 2)
    skin = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    return np.clip(skin * (1 + spread * rng.standard_normal(3)) * rng.uniform(0.85, 1.1), 0.02, 0.95)


def sample_material(rng: np.random.Generator) -> Uniforms:
    """Skin, nails and sleeve as uniforms of the renderer."""
    skin = sample_skin(rng, 0.07)
    rosy = np.array([0.78, 0.50, 0.42]) * (0.35 + 0.65 * skin.mean() / 0.5)
    palm = np.clip(skin + rng.uniform(0.1, 0.6) * (rosy - skin), 0.02, 0.95)
    nail = np.clip(palm * 1.08 + 0.03, 0, 1) if rng.random() < 0.93 else rng.random(3)
    return {
        'skin': skin,
        'palm': palm,
        'nail': nail,
        'rough': rng.uniform(0.38, 0.7),
        'gloss': rng.uniform(0.2, 1.2),
        'bump': rng.uniform(0.05, 0.4),
        'mottle': rng.uniform(0.05, 0.35),
        'offset': rng.random(2),
        'skinned': 1.0,
        'sleeve': rng.random(3) ** 1.6,
        'sleeve_from': rng.uniform(0.0, 0.12) if rng.random() < 0.55 else 9.0,
        'sleeve_lift': rng.uniform(0.002, 0.009),
        'grain': rng.uniform(0.05, 0.6),
    }


def sample_light(rng: np.random.Generator, cast: float = 0.12) -> Uniforms:
    """Key light with shadow, fill, sky, ground, exposure: uniforms of the renderer, camera frame. `cast` is
    the spread of its warmth."""
    key = _unit(np.array([0.8, 0.5, 0.6]) * rng.standard_normal(3) + np.array([0, -0.7, -0.5]))
    fill = _unit(rng.standard_normal(3) + np.array([0, 0, -0.8]))
    warmth = cast * rng.standard_normal()
    white = np.array([1 + warmth, 1, 1 - warmth]) * (1 + 0.03 * (cast / 0.12) * rng.standard_normal(3))
    ambient = rng.uniform(0.2, 0.65)
    return {
        'key': key,
        'key_colour': rng.uniform(0.25, 1.0) * white,
        'fill': fill,
        'fill_colour': rng.uniform(0, 0.35) * white[::-1],
        'sky': ambient * white,
        'shade': rng.uniform(0.4, 1),
        'ground': ambient
        * rng.uniform(0.4, 0.9)
        * white
        * (1 + 0.1 * (cast / 0.12) * rng.standard_normal(3)),
        'exposure': rng.uniform(0.7, 1.25),
    }


def grid_solid(rings: int, sides: int, profile: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A closed solid of revolution: vertices, normals, faces. `profile` (rings, 2): x and radius."""
    turn = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.zeros(sides), np.cos(turn), np.sin(turn)], 1)
    vertices = (profile[:, None, :1] * np.array([1.0, 0, 0]) + profile[:, None, 1:] * circle).reshape(-1, 3)
    slope = np.gradient(profile, axis=0)
    normals = slope[:, None, :1] * circle - slope[:, None, 1:] * np.array([1.0, 0, 0])
    normals = _unit(normals + 1e-9).reshape(-1, 3)
    ring, side = (grid.ravel() for grid in np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing='ij'))
    a, b = ring * sides + side, ring * sides + (side + 1) % sides
    faces = np.concatenate([np.stack([a, b, a + sides], 1), np.stack([b, b + sides, a + sides], 1)])
    return vertices, normals, faces.astype(np.int32)


def held_object(keypoints: np.ndarray, rng: np.random.Generator) -> Mesh:
    """A bottle, stick, ball or box-like Mesh where the fingers close; keypoints (21, 3), camera frame."""
    tips, knuckles = keypoints[[8, 12, 16]].mean(0), keypoints[[5, 9, 13, 17]]
    place = 0.5 * knuckles.mean(0) + 0.3 * tips + 0.2 * keypoints[4]
    across = _unit(_unit(knuckles[0] - knuckles[3]) + 0.35 * rng.standard_normal(3))
    radius, half = rng.uniform(0.006, 0.025), rng.uniform(0.03, 0.14)
    along = np.linspace(-1, 1, 14)
    if rng.random() < 0.25:
        shape = np.sqrt(np.clip(1 - along**2, 0, 1)) * 1.2 * radius
        half = radius * 1.2
    else:
        waist = 1 + 0.25 * np.sin(rng.uniform(1, 6) * along + rng.uniform(0, 6))
        shape = radius * waist * (np.abs(along) < 0.999)
    vertices, normals, faces = grid_solid(
        14, 4 if rng.random() < 0.25 else 18, np.stack([along * half, shape], 1)
    )
    second = _unit(np.cross(across, rng.standard_normal(3)))
    frame = np.stack([across, second, np.cross(across, second)], 1)
    return thing(vertices, normals, faces, frame, place, rng)


def thing(
    vertices: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    frame: np.ndarray,
    place: np.ndarray,
    rng: np.random.Generator,
) -> Mesh:
    """The Mesh of a solid as `grid_solid` gives it, turned by `frame` (3, 3) and put at `place` (3,), of a
    random material."""
    colour = rng.random(3) ** 1.4
    material: Uniforms = {
        'skinned': 0.0,
        'sleeve': colour,
        'grain': rng.uniform(0, 0.4),
        'rough': rng.uniform(0.25, 0.8),
        'gloss': rng.uniform(0.2, 1.5),
        'offset': rng.random(2),
        'bump': rng.uniform(0, 0.1),
    }
    marks = np.tile(np.array([0, 0, 0.85]), (len(vertices), 1))
    return Mesh(vertices @ frame.T + place, normals @ frame.T, vertices, marks, faces, material)


def held_by(keypoints: np.ndarray) -> Callable[[int], Mesh]:
    """A function of the frame that gives the thing in a hand whose keypoints (T, 21, 3) these are: it moves
    with the palm."""
    first, palm = held_object(keypoints[0], np.random.default_rng(3)), [0, 5, 9, 13, 17]

    def at(frame: int) -> Mesh:
        source, target = keypoints[0][palm], keypoints[frame][palm]
        turn = kabsch(source - source.mean(0), target - target.mean(0))
        vertices = (first.vertices - source.mean(0)) @ turn + target.mean(0)
        return replace(first, vertices=vertices, normals=first.normals @ turn)

    return at
