"""Renders the bundled demo clip with its truth: `python -m maskhand_ros.training.data.demo_clip`.

Two hands in front of a camera, as somebody holds them up to it: they open, close, pinch and turn, 0.4 to
0.6 m away. Writes demo_clip.mp4 (640 x 480, 30 frames/s) and demo_clip.npz: keypoints (T, 2, 21, 3) metres
in the camera frame, set `mano`, left hand first; visible (T, 2); K (3, 3) px; fps; betas (10,). Rendered, so
ours to license (Apache-2.0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from maskhand_ros.geometry import project, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.training.data.meshes import HandMesh, anatomy_of, open_hand_data
from maskhand_ros.training.data.poses import prototype_angles
from maskhand_ros.training.data.renderer import Renderer
from maskhand_ros.training.data.scenes import PALM_VIEW, UP

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 30, 7
K = np.array([[570.0, 0, 319.5], [0, 570.0, 239.5], [0, 0, 1.0]])
_MIRROR = np.array([-1.0, 1, 1])
DATA = Path(__file__).resolve().parents[2] / 'data'

# (second, pose). The left hand is staged as its mirror image: a right hand on the same side.
_POSES = {
    'left': (
        (0, 'relax'),
        (0.7, 'flat'),
        (1.2, 'flat'),
        (1.9, 'fist'),
        (2.3, 'fist'),
        (3, 'spread'),
        (3.6, 'pinch'),
        (4.1, 'pinch'),
        (4.7, 'flat'),
        (5.2, 'pinch'),
        (5.8, 'grasp'),
        (6.4, 'flat'),
        (7, 'relax'),
    ),
    'right': (
        (0, 'relax'),
        (0.6, 'spread'),
        (1.1, 'spread'),
        (1.7, 'pinch'),
        (2.1, 'pinch'),
        (2.7, 'flat'),
        (3.2, 'pinch'),
        (3.8, 'flat'),
        (4.4, 'fist'),
        (4.9, 'fist'),
        (5.5, 'spread'),
        (6.2, 'point'),
        (7, 'relax'),
    ),
}
# (second, wrist x, y, z in metres, turn about the forearm, tilt, roll in degrees); 0 degrees: palm to the
# lens, fingers up.
_WAYS = {
    'left': (
        (0, -0.135, 0.10, 0.52, 10, 5, 4),
        (1.5, -0.13, 0.09, 0.48, -15, 0, 8),
        (3, -0.15, 0.11, 0.55, 20, 10, -4),
        (4.5, -0.14, 0.08, 0.46, -20, -8, 6),
        (5.5, -0.15, 0.10, 0.50, -75, 0, 0),
        (6.2, -0.14, 0.10, 0.55, -40, 5, 4),
        (7, -0.135, 0.10, 0.52, 10, 5, 4),
    ),
    'right': (
        (0, -0.14, 0.10, 0.50, -10, 0, 4),
        (1, -0.15, 0.09, 0.54, 15, 8, -2),
        (2.2, -0.12, 0.10, 0.45, -15, -5, 6),
        (3, -0.14, 0.11, 0.50, 30, 0, 0),
        (3.8, -0.15, 0.10, 0.56, 178, 4, 4),
        (4.9, -0.14, 0.10, 0.50, 184, 0, 2),
        (5.7, -0.14, 0.09, 0.47, 20, 5, 5),
        (7, -0.14, 0.10, 0.50, -10, 0, 4),
    ),
}
_MATERIAL = {
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


def motion(anatomy, side, times):
    """Angles (T, 5, 5), wrist (T, 3), global_orient (T, 3, 3) of a right hand at times (T,) in seconds."""
    at, names = zip(*_POSES[side], strict=True)
    angles = PchipInterpolator(at, np.stack([prototype_angles(anatomy, name) for name in names]))(times)
    way = np.array(_WAYS[side])
    values = PchipInterpolator(way[:, 0], way[:, 1:])(times)
    sway = np.sin(np.outer(times, [2.1, 2.9, 1.7]) + (1 if side == 'left' else 0)) * [0.008, 0.008, 0.01]
    turn, tilt, roll = np.deg2rad(values[:, 3:]).T
    zero = np.zeros_like(turn)
    roll, tilt = (rotvec_to_matrix(np.stack(axis, 1)) for axis in ([zero, zero, roll], [tilt, zero, zero]))
    orient = roll @ tilt @ rotvec_to_matrix(turn[:, None] * UP) @ PALM_VIEW
    return angles, values[:, :3] + sway, orient


def room():
    """A blurred room (HEIGHT + 80, WIDTH + 120, 3) uint8 RGB: wall, window, picture, books, desk."""
    rng = np.random.default_rng(3)
    height, width = HEIGHT + 80, WIDTH + 120
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = (176, 172, 160)
    picture *= np.linspace(1.08, 0.78, width)[None, :, None]
    cv2.rectangle(picture, (60, 40), (230, 270), (225, 232, 238), -1)
    cv2.rectangle(picture, (60, 40), (230, 270), (120, 105, 90), 7)
    cv2.line(picture, (145, 40), (145, 270), (120, 105, 90), 5)
    cv2.rectangle(picture, (330, 60), (450, 150), (70, 90, 85), -1)
    cv2.rectangle(picture, (330, 60), (450, 150), (150, 130, 90), 4)
    for shelf in (140, 250):
        x = 520
        while x < 730:
            wide, tall = int(rng.integers(9, 24)), int(rng.integers(50, 85))
            cv2.rectangle(picture, (x, shelf - tall), (x + wide, shelf), rng.uniform(30, 170, 3).tolist(), -1)
            x += wide + 2
        cv2.rectangle(picture, (505, shelf), (745, shelf + 9), (96, 70, 48), -1)
    picture[400:] = (112, 84, 60)
    picture[400:] += (
        cv2.resize(rng.standard_normal((90, 3)).astype(np.float32), (width, height - 400))[..., None] * 5
    )
    cv2.ellipse(picture, (400, 402), (28, 12), 0, 0, 360, (60, 95, 62), -1)
    cv2.rectangle(picture, (382, 345), (418, 402), (70, 105, 75), -1)
    picture += cv2.GaussianBlur(rng.standard_normal(picture.shape).astype(np.float32), (0, 0), 6) * 25
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 2.6), 0, 255).astype(np.uint8)


def _behind(picture, second):
    """The room at a moment: the camera sways a little, and somebody's ball rolls along the desk."""
    shift = np.array([60 + 24 * np.sin(0.9 * second), 40 + 10 * np.sin(1.3 * second + 1)])
    scene = picture.copy()
    ball = int(120 + 75 * second), 396
    cv2.circle(scene, ball, 20, (150, 64, 50), -1, cv2.LINE_AA)
    place = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]])
    return cv2.GaussianBlur(cv2.warpAffine(scene, place, (WIDTH, HEIGHT)), (0, 0), 1.2)


def render(frames=FPS * SECONDS):
    """Yields pictures (480, 640, 3) uint8 RGB with keypoints (2, 21, 3) in metres, left hand first."""
    hand = HandModel.load()
    anatomy, mesh, renderer = anatomy_of(hand), HandMesh(hand, open_hand_data()), Renderer(WIDTH, HEIGHT)
    times = np.arange(frames) / FPS
    rng = np.random.default_rng(7)
    betas = np.tile(demo_betas(), (frames, 1))
    sides = []
    for side in ('left', 'right'):
        angles, wrist, orient = motion(anatomy, side, times)
        bend = np.stack(
            [0.1 * np.sin(1.1 * times), 0.08 * np.sin(1.7 * times), 0.18 * np.sin(1.4 * times)], 1
        )
        vertices, keypoints = mesh.pose(
            betas, orient, anatomy.rotations(angles), rotvec_to_matrix(bend), stretch=2.6
        )
        flip = _MIRROR if side == 'left' else 1
        sides.append([(points + wrist[:, None]) * flip for points in (vertices, keypoints)])
    behind = room()
    for frame, second in enumerate(times):
        meshes = [
            mesh.mesh(vertices[frame], keypoints[frame], _MATERIAL, left=side == 0)
            for side, (vertices, keypoints) in enumerate(sides)
        ]
        colour, coverage = renderer.draw(meshes, K, _LIGHT, supersample=2)
        gap = cv2.cvtColor(255 - coverage, cv2.COLOR_GRAY2RGB)
        picture = cv2.add(colour, cv2.multiply(_behind(behind, second), gap, scale=1 / 255))
        picture = picture + 2.2 * rng.standard_normal(picture.shape, dtype=np.float32)
        yield (
            np.clip(picture, 0, 255).astype(np.uint8),
            np.stack([keypoints[frame] for _, keypoints in sides]),
        )


def demo_betas():
    """(10,) shape of the hands in the clip: a hand of ordinary size, not the mean hand."""
    return 0.5 * np.random.default_rng(11).standard_normal(10)


def main():
    """Write demo_clip.mp4 and demo_clip.npz."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=DATA, help='folder of demo_clip.mp4 and demo_clip.npz')
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(out / 'demo_clip.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), FPS, (WIDTH, HEIGHT))
    if not video.isOpened():
        raise SystemExit('OpenCV cannot write mp4 here: pip install opencv-python-headless, which has FFmpeg')
    truth = []
    for picture, keypoints in render():
        video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        truth.append(keypoints)
    video.release()
    keypoints = np.stack(truth)
    pixels = project(keypoints, K)
    visible = ((pixels >= 0) & (pixels <= [WIDTH - 1, HEIGHT - 1])).all((2, 3))
    np.savez_compressed(
        out / 'demo_clip.npz',
        keypoints=keypoints.astype(np.float32),
        visible=visible,
        K=K,
        fps=np.float64(FPS),
        betas=demo_betas(),
    )
    print(
        f'{len(keypoints)} frames, both hands in view in {visible.all(1).mean():.0%}, '
        f'{(out / "demo_clip.mp4").stat().st_size / 1e6:.1f} MB in {out}'
    )


if __name__ == '__main__':
    main()
