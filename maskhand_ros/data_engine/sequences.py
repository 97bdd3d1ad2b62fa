"""Rendered test sequences with ground truth: motions of hands before a camera that are hard for a tracker.

`SEQUENCES` {name: Sequence}; `play(name)` yields Shots at FPS frames/s. One person is the operator (person
0); every hand has a shape of its own, drawn as in training. Depth is what a structured-light camera gives:
noise that grows with the distance, no reading along edges and in spots, millimetres in uint16.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from maskhand_ros.data_engine import contacts
from maskhand_ros.data_engine.poses import sample_betas
from maskhand_ros.data_engine.scenes import held_by
from maskhand_ros.data_engine.staging import CAMERA, MATERIAL, Actor, Stage, Way
from maskhand_ros.geometry import Camera

FPS = 30
WALL = 1.6
"""Metres to what is behind the hands, for the depth camera."""
WIDE = Camera(np.array([[1140.0, 0, 639.5], [0, 1140.0, 359.5], [0, 0, 1.0]]), 1280, 720)
WAVE_HZ = 2.0
_BRONZE = {**MATERIAL, 'skin': (0.34, 0.19, 0.12), 'palm': (0.52, 0.33, 0.26), 'sleeve': (0.3, 0.08, 0.07)}


@dataclass(frozen=True)
class Sequence:
    """`actors` for `seconds`. `pan` metres that the camera moves sideways, and back. `holds`: actor 0 holds a
    thing. `depth`: a depth image comes with every frame. `still` (from, to) seconds without motion: of
    hands, forearms and the room, but for the sensor's noise. `touch` (from, to) seconds in which two hands of
    one person touch or hide each other. `enters`: actor 0 enters an image without hands."""

    actors: tuple[Actor, ...]
    seconds: float = 3.0
    pan: float = 0.0
    holds: bool = False
    depth: bool = False
    still: tuple[float, float] | None = None
    touch: tuple[float, float] | None = None
    enters: bool = False
    camera: Camera = CAMERA


@dataclass
class Shot:
    """One frame: image (H, W, 3) uint8, depth (H, W) uint16 mm or None, keypoints (A, 21, 3) metres in the
    camera's frame (set `mano`), seconds, Camera."""

    rgb: np.ndarray
    depth: np.ndarray | None
    keypoints: np.ndarray
    second: float
    camera: Camera


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


def _far(way: tuple[tuple[float, float, float], ...], seed: int) -> Sequence:
    """A hand 5 m away, about 40 px of 1280, that enters on a `way` of (second, x, y)."""
    rows = tuple((second, x, y, 5.0, 0.0, 5.0, 0.0) for second, x, y in way)
    actors = (Actor('right', _OPEN, rows, _betas(seed)),)
    return Sequence(actors, seconds=2.0, enters=True, camera=WIDE)


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
    'clasp': Sequence(contacts.clasp(_betas(21)), touch=(0.9, 2.0)),
    'cover': Sequence(contacts.cover(_betas(22)), touch=(0.7, 2.2)),
    'passing': Sequence(contacts.passing(_betas(23)), touch=(1.0, 2.0)),
    'clap': Sequence(contacts.clap(_betas(24)), touch=(0.8, 2.8)),
    'far from the left': _far(((0, -3.3, 0.1), (0.9, -2.2, 0.0), (2.0, -1.2, -0.3)), 25),
    'far from below': _far(((0, 1.2, 2.0), (0.9, 0.9, 1.1), (2.0, 0.2, 0.6)), 26),
    'far from the right': _far(((0, 3.3, -0.5), (0.8, 2.1, -0.7), (1.4, 1.9, -0.4), (2.0, 1.3, -0.6)), 27),
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
    stage, times = Stage(sequence.camera), np.arange(0, sequence.seconds, 1 / FPS)
    played = stage.act(sequence.actors, 0 * times if sequence.still else times)
    moved = sequence.pan * np.sin(np.pi * times / sequence.seconds) if sequence.pan else 0 * times
    for points in (part for actor in played for part in actor):
        points[..., 0] -= moved[:, None]
    holding = held_by(played[0][1]) if sequence.holds else None
    for frame in range(len(times)):
        props = [holding(frame)] if holding else []
        second = 0.0 if sequence.still else times[frame] + 4 * moved[frame]
        rgb = stage.draw(sequence.actors, played, frame, second, rng, props)
        depth = depth_camera(stage.depth(), rng) if sequence.depth else None
        keypoints = np.stack([points[frame] for _, points in played])
        yield Shot(rgb, depth, keypoints, float(times[frame]), sequence.camera)


def depth_camera(distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distances (H, W) in metres as a depth camera reports them: (H, W) uint16 mm, 0 where it has none."""
    distance = np.minimum(distance, WALL)
    edge = cv2.dilate(distance, np.ones((5, 5))) - cv2.erode(distance, np.ones((5, 5))) > 0.03
    spots = cv2.resize(rng.random((30, 40)), distance.shape[::-1], interpolation=cv2.INTER_CUBIC) > 0.97
    noisy = distance + 0.004 * distance**2 * rng.standard_normal(distance.shape)
    noisy[edge & (rng.random(distance.shape) < 0.7) | spots] = 0
    return np.round(1e3 * noisy).astype(np.uint16)
