"""Scenes like everyday pictures: kinds `everyday`, `objects`, `gloves`, `clasped`, `own_view`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from maskhand_ros.data_engine import companions, looks
from maskhand_ros.data_engine.anatomy import Anatomy
from maskhand_ros.data_engine.backdrops import muted_colour
from maskhand_ros.data_engine.contents import CONTENTS, Contents
from maskhand_ros.data_engine.everyday_poses import EVERYDAY
from maskhand_ros.data_engine.grasps import sample_grasps
from maskhand_ros.data_engine.meshes import HandMesh, Mesh
from maskhand_ros.data_engine.people import People
from maskhand_ros.data_engine.poses import sample_angles
from maskhand_ros.data_engine.renderer import Uniforms
from maskhand_ros.data_engine.scenes import thing
from maskhand_ros.data_engine.solids import Solid
from maskhand_ros.geometry import kabsch

_PALM = [0, 5, 9, 13, 17]


def sample_hands(
    anatomy: Anatomy, kinds: list[str], rng: np.random.Generator
) -> tuple[np.ndarray, list[Solid | None]]:
    """Poses (n, 5, 5) of hands of these kinds, and what each holds, as `sample_grasps` has it."""
    solids: list[Solid | None] = [None] * len(kinds)
    angles = sample_angles(anatomy, len(kinds), rng, EVERYDAY)
    holding = np.flatnonzero(rng.random(len(kinds)) < [CONTENTS[kind].held for kind in kinds])
    if len(holding):
        angles[holding], held = sample_grasps(anatomy, len(holding), rng)
        for row, solid in zip(holding, held, strict=True):
            solids[row] = solid
    return angles, solids


def held_meshes(solid: Solid, anatomy: Anatomy, place: np.ndarray, rng: np.random.Generator) -> list[Mesh]:
    """Meshes of a Solid in the hand with keypoints `place` (21, 3), scaled with the palm."""
    source = np.concatenate([np.zeros((1, 3)), anatomy.palm[[0, 1, 3, 2]]])
    target = place[_PALM]
    from_middle, to_middle = source - source.mean(0), target - target.mean(0)
    scale = np.linalg.norm(to_middle) / np.linalg.norm(from_middle)
    turn = kabsch(from_middle, to_middle)
    origin = (solid.place - source.mean(0)) * scale @ turn + target.mean(0)
    return solid_meshes(Solid(solid.parts, turn.T @ solid.frame, origin), rng, float(scale))


def solid_meshes(solid: Solid, rng: np.random.Generator, scale: float = 1.0) -> list[Mesh]:
    """A Mesh of each part of a Solid, larger by `scale`, each of a random material."""
    surfaces = [part.surface() for part in solid.parts]
    return [
        _muted(thing(vertices * scale, normals, faces, solid.frame, solid.place, rng), rng)
        for vertices, normals, faces in surfaces
    ]


def _muted(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """The Mesh, two times in three of a colour as wood, paper and plastic have them."""
    if rng.random() < 1 / 3:
        return mesh
    colour = (muted_colour(rng) / 255) ** 2.2
    return replace(mesh, material={**mesh.material, 'sleeve': colour})


@dataclass(frozen=True)
class Hand:
    """The hand of a picture in the frame of its crop's camera, and the right hand `other` of another picture
    in any frame; `solid` is what it holds."""

    vertices: np.ndarray
    keypoints: np.ndarray
    other: companions.Points
    solid: Solid | None


def scene(
    hand: Hand, mesh: HandMesh, anatomy: Anatomy, contents: Contents, rng: np.random.Generator
) -> tuple[list[Mesh], Uniforms]:
    """Meshes, the hand's first, and the hand's look."""
    look = looks.sample_looks(rng, rng.random() < contents.gloved)
    meshes = [mesh.mesh(hand.vertices, hand.keypoints, look)]
    if rng.random() < contents.ringed:
        meshes.append(looks.ring(hand.keypoints, rng))
    if hand.solid is not None:
        meshes += held_meshes(hand.solid, anatomy, hand.keypoints, rng)
    if rng.random() < contents.second:
        touching = rng.random() < contents.touching and hand.solid is None
        vertices, keypoints = companions.second_hand(
            (hand.vertices, hand.keypoints), hand.other, rng, touching
        )
        theirs = {**look, 'worn_range': (9.0, 9.0)} if rng.random() < 0.1 else look
        meshes.append(mesh.mesh(vertices, keypoints, theirs, left=True))
    return meshes, look


def shown_skin(look: Uniforms, light: Uniforms) -> np.ndarray:
    """Colour (3,) 0..255 that this skin has in this light."""
    lit = look['skin'] * (light['sky'] + 0.6 * light['key_colour']) * light['exposure']
    return 255 * np.clip(lit, 0, 1) ** (1 / 2.2)


def with_person(image: np.ndarray, people: People, skin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The background (S, S, 3) uint8 with a person, often out of focus."""
    image = people.behind(image, skin, rng)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3)) if rng.random() < 0.5 else image
