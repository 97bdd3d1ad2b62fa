"""Rendered test sequences with truth: what a hand does in front of a robot that a tracker can get wrong.

`SEQUENCES` {name: Sequence}; `play(name)` yields Shots at FPS frames/s. One person is the operator (person
0); every hand has a shape of its own, drawn as in training. Depth is what a structured-light camera gives:
noise that grows with the distance, no reading along edges and in spots, millimetres in uint16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from maskhand_ros.data_engine.meshes import Mesh
from maskhand_ros.data_engine.poses import sample_betas
from maskhand_ros.data_engine.scenes import held_object
from maskhand_ros.data_engine.staging import MATERIAL, Actor, Stage, Way
from maskhand_ros.geometry import kabsch

FPS = 30
WALL = 1.6
"""Metres to what is behind the hands, for the depth camera."""
WAVE_HZ = 2.0
_BRONZE = {**MATERIAL, 'skin': (0.34, 0.19, 0.12), 'palm': (0.52, 0.33, 0.26), 'sleeve': (0.3, 0.08, 0.07)}


@dataclass(frozen=True)
class Sequence:
    """`actors` for `seconds`. `pan` metres that the camera moves sideways, and back. `holds`: actor 0 holds a
    thing. `depth`: a depth image comes with every frame. `still` (from, to) seconds without motion: of
    hands, forearms and the room, but for the sensor's noise."""

    actors: tuple[Actor, ...]
    seconds: float = 3.0
    pan: float = 0.0
    holds: bool = False
    depth: bool = False
    still: tuple[float, float] | None = None


@dataclass
class Shot:
    """One frame: image (H, W, 3) uint8, depth (H, W) uint16 mm or None, keypoints (A, 21, 3) metres in the
    camera's frame (set `mano`), seconds."""

    rgb: np.ndarray
    depth: np.ndarray | None
    keypoints: np.ndarray
    second: float


def _betas(seed: int) -> np.ndarray:
    return sample_betas(1, np.random.default_rng(seed))[0]


def _at(x: float, y: float = 0.09, z: float = 0.5, turn: float = 0, tilt: float = 5, roll: float = 0) -> Way:
    """A way that stays in one place."""
    return ((0, x, y, z, turn, tilt, roll),)


def _wave(x: float, z: float, amplitude: float, seconds: float) -> Way:
    """A way from side to side at WAVE_HZ."""
    times = np.arange(0, seconds + 1e-9, 1 / (16 * WAVE_HZ))
    return tuple(
        (t, x + amplitude * np.sin(2 * np.pi * WAVE_HZ * t), 0.09, z, 0, 5, 0) for t in times.tolist()
    )


_OPEN, _RELAX = ((0, 'spread'),), ((0, 'relax'),)
SEQUENCES = {
    'still': Sequence(
        (
            Actor('left', _RELAX, _at(0.12, z=0.55), _betas(1)),
            Actor('right', _OPEN, _at(-0.12, z=0.55), _betas(1)),
        ),
        still=(0.0, 3.0),
    ),
    'wave': Sequence((Actor('right', _OPEN, _wave(0.0, 0.6, 0.08, 4.0), _betas(2)),), seconds=4.0),
    'pinch': Sequence(
        (
            Actor(
                'right',
                ((0, 'relax'), (1, 'relax'), (2.2, 'pinch'), (2.8, 'pinch'), (4, 'spread')),
                _at(-0.02, z=0.45, turn=35),
                _betas(3),
            ),
        ),
        seconds=4.0,
    ),
    'crossing': Sequence(
        (
            Actor(
                'left',
                _RELAX,
                (
                    (0, 0.16, 0.09, 0.5, 0, 5, 0),
                    (2, -0.14, 0.09, 0.45, 0, 5, 0),
                    (4, 0.16, 0.09, 0.5, 0, 5, 0),
                ),
                _betas(4),
            ),
            Actor(
                'right',
                _OPEN,
                (
                    (0, -0.16, 0.09, 0.65, 0, 5, 0),
                    (2, 0.14, 0.09, 0.7, 0, 5, 0),
                    (4, -0.16, 0.09, 0.65, 0, 5, 0),
                ),
                _betas(4),
            ),
        ),
        seconds=4.0,
    ),
    're-entry': Sequence(
        (
            Actor(
                'right',
                _RELAX,
                (
                    (0, -0.05, 0.09, 0.55, 0, 5, 0),
                    (1, -0.05, 0.09, 0.55, 0, 5, 0),
                    (1.5, -0.55, 0.09, 0.55, 0, 5, 0),
                    (1.9, -0.55, 0.09, 0.55, 0, 5, 0),
                    (2.4, -0.06, 0.09, 0.55, 0, 5, 0),
                    (3.5, -0.05, 0.09, 0.55, 0, 5, 0),
                ),
                _betas(5),
            ),
            Actor('left', _OPEN, _at(0.15, z=0.6), _betas(5)),
        ),
        seconds=3.5,
    ),
    'bystander': Sequence(
        (
            Actor('left', _RELAX, _at(0.2, z=0.75), _betas(6), sway=(0.01, 0.01, 0.01)),
            Actor('right', _OPEN, _at(-0.04, z=0.75), _betas(6), sway=(0.01, 0.01, 0.01), phase=1.0),
            Actor(
                'right',
                _OPEN,
                (
                    (0, -0.6, 0.08, 0.5, 0, 5, 0),
                    (1.2, -0.6, 0.08, 0.5, 0, 5, 0),
                    (2, -0.19, 0.08, 0.48, 0, 5, 0),
                    (4, -0.19, 0.07, 0.45, 0, 5, 0),
                ),
                _betas(7),
                person=1,
                material=_BRONZE,
            ),
        ),
        seconds=4.0,
    ),
    'grasp': Sequence(
        (
            Actor(
                'right',
                ((0, 'cylinder'), (3, 'cylinder')),
                (
                    (0, -0.1, 0.09, 0.5, 20, 5, 0),
                    (1.5, 0.08, 0.05, 0.45, -10, 5, 10),
                    (3, -0.1, 0.09, 0.55, 25, 5, 0),
                ),
                _betas(8),
            ),
        ),
        holds=True,
    ),
    'moving camera': Sequence(
        (
            Actor('left', _OPEN, _at(0.12, z=0.6), _betas(9)),
            Actor('right', _RELAX, _at(-0.12, z=0.6), _betas(9)),
        ),
        pan=0.1,
    ),
    'depth': Sequence(
        (
            Actor('left', _RELAX, ((0, 0.13, 0.09, 0.45, 0, 5, 0), (3, 0.16, 0.1, 0.8, 0, 5, 0)), _betas(12)),
            Actor(
                'right',
                ((0, 'spread'), (1.5, 'pinch'), (3, 'flat')),
                ((0, -0.16, 0.09, 0.8, 0, 5, 0), (3, -0.12, 0.09, 0.45, 15, 5, 0)),
                _betas(12),
            ),
        ),
        depth=True,
    ),
}


def with_cast(name: str, cast: int) -> Sequence:
    """A sequence played by other people's hands: of `cast` 0 as it is in SEQUENCES, else of shapes drawn for
    this cast."""
    sequence = SEQUENCES[name]
    if not cast:
        return sequence
    seed = 1000 * cast + 100 * list(SEQUENCES).index(name)
    actors = tuple(replace(actor, betas=_betas(seed + actor.person)) for actor in sequence.actors)
    return replace(sequence, actors=actors)


def play(name: str, cast: int = 0) -> Iterator[Shot]:
    """The Shots of a sequence."""
    sequence, rng = with_cast(name, cast), np.random.default_rng(cast)
    stage, times = Stage(), np.arange(0, sequence.seconds, 1 / FPS)
    played = stage.act(sequence.actors, 0 * times if sequence.still else times)
    moved = sequence.pan * np.sin(np.pi * times / sequence.seconds) if sequence.pan else 0 * times
    for points in (part for actor in played for part in actor):
        points[..., 0] -= moved[:, None]
    holding = _held_by(played[0][1]) if sequence.holds else None
    for frame in range(len(times)):
        props = [holding(frame)] if holding else []
        second = 0.0 if sequence.still else times[frame] + 4 * moved[frame]
        rgb = stage.draw(sequence.actors, played, frame, second, rng, props)
        depth = depth_camera(stage.depth(), rng) if sequence.depth else None
        yield Shot(rgb, depth, np.stack([keypoints[frame] for _, keypoints in played]), float(times[frame]))


def depth_camera(distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distances (H, W) in metres as a depth camera reports them: (H, W) uint16 mm, 0 where it has none."""
    distance = np.minimum(distance, WALL)
    edge = cv2.dilate(distance, np.ones((5, 5))) - cv2.erode(distance, np.ones((5, 5))) > 0.03
    spots = cv2.resize(rng.random((30, 40)), distance.shape[::-1], interpolation=cv2.INTER_CUBIC) > 0.97
    noisy = distance + 0.004 * distance**2 * rng.standard_normal(distance.shape)
    noisy[edge & (rng.random(distance.shape) < 0.7) | spots] = 0
    return np.round(1e3 * noisy).astype(np.uint16)


def _held_by(keypoints: np.ndarray) -> Callable[[int], Mesh]:
    """A function of the frame that gives the thing in a hand whose keypoints (T, 21, 3) these are: it moves
    with the palm."""
    first, palm = held_object(keypoints[0], np.random.default_rng(3)), [0, 5, 9, 13, 17]

    def at(frame: int) -> Mesh:
        source, target = keypoints[0][palm], keypoints[frame][palm]
        turn = kabsch(source - source.mean(0), target - target.mean(0))
        vertices = (first.vertices - source.mean(0)) @ turn + target.mean(0)
        return replace(first, vertices=vertices, normals=first.normals @ turn)

    return at
