"""The real-world test set of "3D Hand Shape and Pose Estimation from a Single RGB Image" (Ge et al. 2019).

One left hand in motion, 583 crops of 256 x 256. ROOT is a clone of
https://github.com/3d-hand-shape/hand-graph-cnn, of which this is read:

    data/real_world_testset/images/%05d.jpg
    data/real_world_testset/params.mat    image_path, cam_param (583, 4) fx, fy, u0, v0 px and
                                          bbox (583, 4) x, y, w, h px, both of the image before cropping
    data/real_world_testset/pose_gt.mat   pose_gt (583, 21, 3) centimetres in the camera frame, in our order

Licence: Snap Inc., non-commercial research and education only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskhand_ros.datasets.record import LabelledHand, existing
from maskhand_ros.geometry import project

IMAGE_SIZE = 256
_DEVELOPMENT = (*range(100), *range(350, 450))
SPLITS = ('development', 'rest', 'all')
"""`development`: the 200 images that our published numbers are from and that settings were chosen on;
`rest`: the other 383."""
_FIX = 'give a clone of https://github.com/3d-hand-shape/hand-graph-cnn as --root'


def read(root: Path, split: str) -> Iterator[LabelledHand]:
    """Yields LabelledHand in the order of the motion."""
    from scipy.io import loadmat  # here, so that the other data sets do not need it

    folder = Path(root) / 'data' / 'real_world_testset'
    params = loadmat(existing(folder / 'params.mat', _FIX))
    points = loadmat(existing(folder / 'pose_gt.mat', _FIX))['pose_gt'].astype(float) / 100
    for number, name in enumerate(params['image_path']):
        if split != 'all' and (number in _DEVELOPMENT) != (split == 'development'):
            continue
        x, y, width, _ = params['bbox'][number].astype(float)
        fx, fy, u, v = params['cam_param'][number] * IMAGE_SIZE / width
        ratio = IMAGE_SIZE / width
        K = np.array([[fx, 0, u - x * ratio], [0, fy, v - y * ratio], [0, 0, 1]])
        yield LabelledHand(
            image=existing(folder / str(name).strip(), _FIX),
            source='snap',
            sequence='snap',
            side='left',
            keypoints_px=project(points[number], K),
            K=K,
            keypoints=points[number],
        )
