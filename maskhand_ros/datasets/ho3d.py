"""HO-3D v3 (v2 alike): a right hand and an object, 640 x 480 (https://github.com/shreyashampali/ho3d).

Layout of ROOT:

    train.txt, evaluation.txt             lines SEQUENCE/FRAME
    {train,evaluation}/SEQUENCE/rgb/FRAME.jpg (v2: .png)
    {train,evaluation}/SEQUENCE/meta/FRAME.pkl
    evaluation_{xyz,verts}.json           labels of the evaluation images, published in November 2024

The pickles hold `camMat` (3, 3) px, `handJoints3D` (21, 3) metres, `handPose` (48,) axis-angles from the flat
hand, `handBeta` (10,), `handTrans` (3,); those of the evaluation images hold `handBoundingBox` x1, y1, x2,
y2, and of `handJoints3D` only the root (3,). Keypoints are MANO's 16 joints, then the tips of thumb to little
finger. Everything is in OpenGL axes (y up, the hand at negative z) and is turned to OpenCV's here.
Licence: academic research only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.datasets.record import (
    FROM_MANO_21,
    OPENGL_TO_OPENCV,
    LabelledHand,
    ManoLabel,
    existing,
    read_json,
)
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import matrix_to_rotvec, project, rotvec_to_matrix
from maskhand_ros.hand_model.array_pickle import UnpicklingError, load_arrays

SPLITS = ('train', 'evaluation')
_FIX = 'give the folder that holds train/, evaluation/ and evaluation.txt as --root'


def read(root: Path, split: str, vertices: bool = False) -> Iterator[LabelledHand]:
    """Yields LabelledHand in the order of SPLIT.txt, frames without a hand label left out.

    Evaluation images have all keypoints if ROOT holds evaluation_xyz.json, else only the wrist. `vertices`
    reads evaluation_verts.json too, some gigabytes of memory.
    """
    root = Path(root)
    frames = existing(root / f'{split}.txt', _FIX).read_text().split()
    labels = root / f'{split}_xyz.json'
    truth = read_json(labels, _FIX) if labels.is_file() else None
    meshes = read_json(root / f'{split}_verts.json', _FIX) if vertices else None
    for number, frame in enumerate(frames):
        sequence, name = frame.split('/')
        meta = _read_meta(root / split / sequence / 'meta' / f'{name}.pkl')
        if meta.get('handJoints3D') is None:
            continue
        points = np.full((21, 3), np.nan)
        if truth:
            points[:] = truth[number]
        else:
            given = np.array(meta['handJoints3D'], float).reshape(-1, 3)
            points[: len(given)] = given
        points = points[FROM_MANO_21] @ OPENGL_TO_OPENCV
        K = np.array(meta['camMat'], float)
        box = meta.get('handBoundingBox')
        yield LabelledHand(
            image=_image(root / split / sequence / 'rgb', name),
            source='ho3d',
            sequence=sequence,
            side='right',
            keypoints_px=project(points, K),
            K=K,
            keypoints=points,
            valid=np.isfinite(points).all(1),
            mano=_mano(meta, points[0]),
            vertices=np.array(meshes[number]) @ OPENGL_TO_OPENCV if meshes else None,
            bbox=None if box is None else np.array([*box[:2], box[2] - box[0], box[3] - box[1]], float),
        )


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        return load_arrays(existing(path, _FIX))
    except UnpicklingError as error:
        raise CommandError(f'{path}: {error}', 'use the file as it was downloaded') from error


def _image(folder: Path, name: str) -> Path:
    old = folder / f'{name}.png'
    return old if old.is_file() else existing(folder / f'{name}.jpg', _FIX)


def _mano(meta: dict[str, Any], wrist: np.ndarray) -> ManoLabel | None:
    if meta.get('handPose') is None:
        return None
    pose = np.array(meta['handPose'], float)
    pose[:3] = matrix_to_rotvec(OPENGL_TO_OPENCV @ rotvec_to_matrix(pose[:3]))
    return ManoLabel(pose=pose, betas=np.array(meta['handBeta'], float), space='flat', wrist=wrist)
