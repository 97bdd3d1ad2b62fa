"""Renders the bundled teleoperation clip: `python -m maskhand_ros.data_engine.teleop_clip`.

A right hand, palm down, before a camera at the operator's left: flat for a second (calibration), a pinch,
then it reaches down, grasps what is not there, lifts it, puts it down and lets go. Writes teleop_clip.mp4
(640 x 480, 30 frames/s) and teleop_clip.npz: keypoints (T, 1, 21, 3) metres in the camera frame, set `mano`;
visible (T, 1); K (3, 3) px; fps; betas (10,). Rendered, so ours to license (Apache-2.0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from maskhand_ros.data_engine.demo_clip import DATA, FPS, demo_betas, write_clip
from maskhand_ros.data_engine.staging import Actor, Stage

SECONDS = 9
_POSES = (
    (0, 'flat'),
    (1.3, 'flat'),
    (1.8, 'pinch'),
    (2.3, 'pinch'),
    (2.8, 'spread'),
    (3.0, 'spread'),
    (3.6, 'relax'),
    (4.6, 'relax'),
    (5.3, 'tripod'),
    (7.5, 'tripod'),
    (8.1, 'relax'),
    (9.0, 'relax'),
)
_HEIGHTS = (
    (0, -0.12),
    (3.4, -0.12),
    (4.5, 0.03),
    (5.5, 0.03),
    (6.4, -0.09),
    (6.7, -0.09),
    (7.5, 0.03),
    (8.2, 0.03),
    (9.0, -0.10),
)
"""Wrist along the camera's y (down) over the seconds, metres."""
_PLACE = 0.10, 0.5
"""Wrist along the camera's x and z, metres."""
_TURN, _TILT, _ROLL = -50, 0, -105
"""Degrees: fingers to the left of the image, the palm down, thumb and index finger towards the camera."""


def main() -> None:
    """Write teleop_clip.mp4 and teleop_clip.npz."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--out', type=Path, default=DATA, help='folder of teleop_clip.mp4 and teleop_clip.npz'
    )
    out = parser.parse_args().out
    stage, times, rng = Stage(), np.arange(FPS * SECONDS) / FPS, np.random.default_rng(7)
    x, z = _PLACE
    way = tuple((second, x, height, z, _TURN, _TILT, _ROLL) for second, height in _HEIGHTS)
    actors = [Actor('right', _POSES, way, demo_betas(), sway=(0.001, 0.001, 0.001))]
    played = stage.act(actors, times)
    pictures = (stage.draw(actors, played, frame, second, rng) for frame, second in enumerate(times))
    write_clip(out, 'teleop_clip', ((picture, played[0][1][k][None]) for k, picture in enumerate(pictures)))


if __name__ == '__main__':
    main()
