"""Rendered hands, each of another person and pose, that a thing passes in front of, with their truth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from maskhand_ros.geometry import Camera, rotvec_to_matrix
from maskhand_ros.training.data.poses import sample_betas
from maskhand_ros.training.data.scenes import grid_solid, sample_material, thing
from maskhand_ros.training.data.staging import HEIGHT, WIDTH, Actor, K, Stage

FRAMES, FPS = 48, 30
KINDS = ('covered', 'moved', 'curl')
"""The fingers rest while they are hidden; they take another pose meanwhile; nothing is hidden, and they open
and close at 2 Hz."""
_POSES = ('spread', 'fist', 'point', 'ok', 'victory', 'claw', 'relax', 'four', 'three', 'pinch')
_NEARER = 0.8
"""Distance of the thing over the hand's."""


def play(kind, seed):
    """(second, picture (H, W, 3) uint8, keypoints (21, 3) m in the camera's frame, share of them that is
    hidden) of each frame of a sequence."""
    rng, camera = np.random.default_rng((KINDS.index(kind), seed)), Camera(K, WIDTH, HEIGHT)
    actor, stage, times = _actor(kind, seed, rng), Stage(), np.arange(FRAMES) / FPS
    played, mesh = stage.act((actor,), times), _bar(rng)
    speed, middle = rng.choice([-1, 1]) * rng.uniform(0.25, 0.45), rng.uniform(0.65, 0.85)
    for frame, keypoints in enumerate(played[0][1]):
        props, hidden = [], 0.0
        if kind != 'curl':
            place = _NEARER * keypoints.mean(0) + [speed * (times[frame] - middle), 0, 0]
            props = [replace(mesh, vertices=mesh.vertices + place)]
            hidden = _share_inside(camera.project(props[0].vertices), camera.project(keypoints))
        yield times[frame], stage.draw((actor,), played, frame, 0.0, rng, props), keypoints, hidden


def _bar(rng):
    """A round or square Mesh, 12 to 24 cm long and 4 to 8 thick, leaning up to 60 degrees."""
    along, radius = np.linspace(-1, 1, 14), rng.uniform(0.018, 0.04)
    profile = np.stack([rng.uniform(0.06, 0.12) * along, radius * (np.abs(along) < 0.999)], 1)
    solid = grid_solid(14, int(rng.choice([4, 18])), profile)
    lean = np.deg2rad(90 + rng.uniform(-60, 60))
    return thing(*solid, rotvec_to_matrix(np.array([0, 0, lean])), np.zeros(3), rng)


def _actor(kind, seed, rng):
    end, (first, second) = FRAMES / FPS, rng.choice(_POSES, 2, replace=False).tolist()
    poses = {
        'covered': ((0, first),),
        'moved': ((0, first), (0.55, first), (0.85, second), (end, second)),
        'curl': tuple((k / 4, ('spread', 'grasp')[k % 2]) for k in range(8)),
    }[kind]
    view = (rng.choice([0, 180]) + rng.uniform(-40, 40), *rng.uniform(-20, 20, 2))
    x, y, z = rng.uniform(-0.06, 0.06), 0.08, rng.uniform(0.42, 0.65)
    step = rng.uniform(-0.1, 0.1)
    way = ((0, x, y, z, *view), (end, x + step, y, z, *view))
    side = ('right', 'left')[seed % 2]
    return Actor(side, poses, way, sample_betas(1, rng)[0], material=sample_material(rng))


def _share_inside(outline, pixels):
    """Share of `pixels` (N, 2) in the convex hull of `outline` (V, 2)."""
    hull = cv2.convexHull(outline.astype(np.float32))
    return np.mean([cv2.pointPolygonTest(hull, tuple(map(float, pixel)), False) >= 0 for pixel in pixels])
