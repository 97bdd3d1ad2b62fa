"""Renders the bundled demo clip with its truth: `python -m maskhand_ros.data_engine.demo_clip`.

Two hands in front of a camera, as somebody holds them up to it: they open, close, pinch and turn, 0.4 to
0.6 m away. Writes demo_clip.mp4 (640 x 480, 30 frames/s) and demo_clip.npz: keypoints (T, 2, 21, 3) metres
in the camera frame, set `mano`, left hand first; visible (T, 2); K (3, 3) px; fps; betas (10,). Rendered, so
ours to license (Apache-2.0).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.data_engine.staging import HEIGHT, WIDTH, Actor, K, Stage
from maskhand_ros.geometry import project

FPS, SECONDS = 30, 7
DATA = Path(__file__).resolve().parents[1] / 'data'

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
_WAYS = {
    'left': (
        (0, 0.135, 0.10, 0.52, 10, 5, 4),
        (1.5, 0.13, 0.09, 0.48, -15, 0, 8),
        (3, 0.15, 0.11, 0.55, 20, 10, -4),
        (4.5, 0.14, 0.08, 0.46, -20, -8, 6),
        (5.5, 0.15, 0.10, 0.50, -75, 0, 0),
        (6.2, 0.14, 0.10, 0.55, -40, 5, 4),
        (7, 0.135, 0.10, 0.52, 10, 5, 4),
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
_SWAY = (0.008, 0.008, 0.01)


def render(frames: int = FPS * SECONDS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields images (480, 640, 3) uint8 RGB with keypoints (2, 21, 3) in metres, left hand first."""
    stage, times, rng = Stage(), np.arange(frames) / FPS, np.random.default_rng(7)
    actors = [
        Actor(side, _POSES[side], _WAYS[side], demo_betas(), sway=_SWAY, phase=float(side == 'left'))
        for side in ('left', 'right')
    ]
    played = stage.act(actors, times)
    for frame, second in enumerate(times):
        image = stage.draw(actors, played, frame, second, rng)
        yield image, np.stack([keypoints[frame] for _, keypoints in played])


def demo_betas() -> np.ndarray:
    """(10,) shape of the hands in the clip: a hand of ordinary size, not the mean hand."""
    return 0.5 * np.random.default_rng(11).standard_normal(10)


def write_clip(out: Path, name: str, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write NAME.mp4 and NAME.npz into folder `out`, of pictures (H, W, 3) uint8 RGB with keypoints
    (hands, 21, 3) in metres."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f'{name}.mp4'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), FPS, (WIDTH, HEIGHT))
    if not video.isOpened():
        raise SystemExit('OpenCV cannot write mp4 here: pip install opencv-python-headless, which has FFmpeg')
    truth = []
    for image, keypoints in frames:
        video.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        truth.append(keypoints)
    video.release()
    keypoints = np.stack(truth)
    pixels = project(keypoints, K)
    visible = ((pixels >= 0) & (pixels <= [WIDTH - 1, HEIGHT - 1])).all((2, 3))
    np.savez_compressed(
        out / f'{name}.npz',
        keypoints=keypoints.astype(np.float32),
        visible=visible,
        K=K,
        fps=np.float64(FPS),
        betas=demo_betas(),
    )
    print(
        f'{len(keypoints)} frames, all hands in view in {np.all(visible, 1).mean():.0%}, '
        f'{path.stat().st_size / 1e6:.1f} MB in {out}'
    )


def main() -> None:
    """Write demo_clip.mp4 and demo_clip.npz."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=DATA, help='folder of demo_clip.mp4 and demo_clip.npz')
    write_clip(parser.parse_args().out, 'demo_clip', render())


if __name__ == '__main__':
    main()
