"""FreiHAND v2: single right hands, 224 x 224 (https://lmb.informatik.uni-freiburg.de/projects/freihand/).

Layout of ROOT (FreiHAND_pub_v2, and the evaluation labels that were published later beside it):

    training_{K,xyz,mano,verts}.json      evaluation_{K,xyz,mano,verts}.json
    training/rgb/%08d.jpg                 evaluation/rgb/%08d.jpg

K (3, 3) px; xyz (21, 3) and verts (778, 3) metres in the camera frame, keypoints in our order; mano (1, 61):
48 axis-angles from `hands_mean`, 10 betas, root u, v and scale. There are four images of each training
sample, one after another: image number = sample + version * number of samples.
Licence: research only, no commercial use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskhand_ros.datasets.record import LabelledHand, ManoLabel, existing, read_json
from maskhand_ros.geometry import project

SPLITS = ('training', 'evaluation')
VERSIONS = ('gs', 'hom', 'sample', 'auto')
"""Backgrounds of the training images, in their order: green screen, homogenised, recoloured in two ways."""
_FIX = 'give the folder that holds training/ and training_xyz.json as --root'


def read(
    root: Path, split: str, vertices: bool = False, versions: Sequence[str] = VERSIONS
) -> Iterator[LabelledHand]:
    """Yields LabelledHand, sample by sample within each of `versions`; 'evaluation' has one version.

    `vertices` reads SPLIT_verts.json too, gigabytes of memory for 'training'.
    """
    root = Path(root)
    cameras = read_json(root / f'{split}_K.json', _FIX)
    points = read_json(root / f'{split}_xyz.json', _FIX)
    meshes = read_json(root / f'{split}_verts.json', _FIX) if vertices else None
    fits = read_json(root / f'{split}_mano.json', _FIX) if (root / f'{split}_mano.json').is_file() else None
    for version in versions if split == 'training' else VERSIONS[:1]:
        for sample, (K, keypoints) in enumerate(zip(cameras, points, strict=True)):
            number = sample + VERSIONS.index(version) * len(points)
            K, keypoints = np.array(K, float), np.array(keypoints, float)
            yield LabelledHand(
                image=existing(root / split / 'rgb' / f'{number:08d}.jpg', _FIX),
                source='freihand',
                sequence=None,
                side='right',
                keypoints_px=project(keypoints, K),
                K=K,
                keypoints=keypoints,
                mano=_mano(fits[sample], keypoints) if fits else None,
                vertices=np.array(meshes[sample]) if meshes else None,
            )


def _mano(row: np.ndarray, keypoints: np.ndarray) -> ManoLabel:
    row = np.array(row, float).ravel()
    return ManoLabel(pose=row[:48], betas=row[48:58], space='mean', wrist=keypoints[0])
