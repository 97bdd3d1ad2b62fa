"""DexYCB: a left or right hand grasps an object, 8 cameras, 640 x 480 (https://dex-ycb.github.io).

Layout of ROOT:

    20200709-subject-01/SEQUENCE/meta.yml                      num_frames, mano_sides, mano_calib
    20200709-subject-01/SEQUENCE/SERIAL/color_%06d.jpg, labels_%06d.npz
    calibration/intrinsics/SERIAL_640x480.yml                  color: fx, fy, ppx, ppy
    calibration/mano_CALIB/mano.yml                            betas

The npz hold `joint_3d` (1, 21, 3) metres in the camera frame and `joint_2d` (1, 21, 2) px in our order, -1
where there is no hand, and `pose_m` (1, 51): axis-angle of the orientation, 45 PCA coefficients and the
translation. The official set-ups choose subjects, cameras and sequences by their place among all of them: s0
seen subjects, s1 unseen subjects, s2 unseen cameras, s3 unseen objects. Licence: CC BY-NC 4.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.datasets.record import LabelledHand, ManoLabel, existing
from maskhand_ros.errors import CommandError

SUBJECTS = (
    '20200709-subject-01',
    '20200813-subject-02',
    '20200820-subject-03',
    '20200903-subject-04',
    '20200908-subject-05',
    '20200918-subject-06',
    '20200928-subject-07',
    '20201002-subject-08',
    '20201015-subject-09',
    '20201022-subject-10',
)
SERIALS = (
    '836212060125',
    '839512060362',
    '840412060917',
    '841412060263',
    '932122060857',
    '932122060861',
    '932122061900',
    '932122062010',
)
_ALL_SUBJECTS, _ALL_SERIALS = range(10), range(8)
_SETUPS = {
    's0_train': (_ALL_SUBJECTS, _ALL_SERIALS, lambda i: i % 5 != 4),
    's0_val': ((0, 1), _ALL_SERIALS, lambda i: i % 5 == 4),
    's0_test': (range(2, 10), _ALL_SERIALS, lambda i: i % 5 == 4),
    's1_train': ((0, 1, 2, 3, 4, 5, 9), _ALL_SERIALS, lambda i: True),
    's1_val': ((6,), _ALL_SERIALS, lambda i: True),
    's1_test': ((7, 8), _ALL_SERIALS, lambda i: True),
    's2_train': (_ALL_SUBJECTS, range(6), lambda i: True),
    's2_val': (_ALL_SUBJECTS, (6,), lambda i: True),
    's2_test': (_ALL_SUBJECTS, (7,), lambda i: True),
    's3_train': (_ALL_SUBJECTS, _ALL_SERIALS, lambda i: i // 5 not in (3, 7, 11, 15, 19)),
    's3_val': (_ALL_SUBJECTS, _ALL_SERIALS, lambda i: i // 5 in (3, 19)),
    's3_test': (_ALL_SUBJECTS, _ALL_SERIALS, lambda i: i // 5 in (7, 11, 15)),
}
"""Official set-ups: (subjects, cameras, whether the i-th of a subject's 100 sequences belongs)."""
SPLITS = tuple(_SETUPS)
SEQUENCES = 100
_FIX = 'give the folder that holds 20200709-subject-01/ and calibration/ as --root'


def read(root: Path, split: str) -> Iterator[LabelledHand]:
    """Yields LabelledHand by subject, sequence, camera and frame; images without a hand are left out."""
    root = Path(root)
    subjects, numbers, chosen = _SETUPS[split]
    serials = [SERIALS[i] for i in numbers]
    cameras = {serial: _camera(root, serial) for serial in serials}
    for subject in (SUBJECTS[i] for i in subjects):
        folders = sorted(path for path in existing(root / subject, _FIX).iterdir() if path.is_dir())
        if len(folders) != SEQUENCES:
            raise CommandError(
                f'{root / subject} has {len(folders)} sequences; the official split counts {SEQUENCES}',
                'unpack the whole subject, and nothing else, into it',
            )
        for folder in (path for i, path in enumerate(folders) if chosen(i)):
            meta = _read_yaml(folder / 'meta.yml')
            betas = _read_yaml(root / 'calibration' / f'mano_{meta["mano_calib"][0]}' / 'mano.yml')['betas']
            for serial in serials:
                for frame in range(meta['num_frames']):
                    hand = _read_frame(folder / serial, frame, cameras[serial], meta['mano_sides'][0], betas)
                    if hand is not None:
                        yield hand


def _read_frame(folder: Path, frame: int, K: np.ndarray, side: str, betas: np.ndarray) -> LabelledHand | None:
    with np.load(existing(folder / f'labels_{frame:06d}.npz', _FIX), allow_pickle=False) as labels:
        keypoints, pixels, pose = (
            labels[name].astype(float).reshape(shape)
            for name, shape in (('joint_3d', (21, 3)), ('joint_2d', (21, 2)), ('pose_m', (51,)))
        )
    if (keypoints == -1).all():
        return None
    return LabelledHand(
        image=existing(folder / f'color_{frame:06d}.jpg', _FIX),
        source='dexycb',
        sequence='/'.join(folder.parts[-3:]),
        side=side,
        keypoints_px=pixels,
        K=K,
        keypoints=keypoints,
        mano=ManoLabel(pose=pose[:48], betas=np.array(betas, float), space='pca', wrist=keypoints[0]),
    )


def _camera(root: Path, serial: str) -> np.ndarray:
    color = _read_yaml(root / 'calibration' / 'intrinsics' / f'{serial}_640x480.yml')['color']
    return np.array([[color['fx'], 0, color['ppx']], [0, color['fy'], color['ppy']], [0, 0, 1.0]])


def _read_yaml(path: Path) -> Any:
    import yaml  # here, so that the other data sets do not need it

    return yaml.safe_load(existing(path, _FIX).read_text())
