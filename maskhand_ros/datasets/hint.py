"""HInt: people's 2D labels on New Days, EPIC-Kitchens VISOR and Ego4D (https://github.com/ddshan/hint).

Layout of ROOT, which holds HInt's own folder and HaMeR's evaluation files
(https://github.com/geopavlakos/hamer, "Evaluation"), both as unpacked:

    HInt_annotation_partial/TEST_newdays_img/NAME_{l,r}.jpg, .json     (HInt_annotation with Ego4D's frames)
    hamer_evaluation_data/TEST_newdays_img_{all,vis,occ}.npz

The split `TEST_newdays_img` reads the JSON: `keypoints` (21, 2) px in our order, `occlusion` and `existence`
(21,), `bbox` [[x1, y1, x2, y2]]; the last letter of the name is the side. `TEST_newdays_img_all` reads
HaMeR's npz, which the published PCK is from: `imgname`, `center` (N, 2) and `scale` (N,) or (N, 2), the box's
centre and sides in px, `right` (N,), `hand_keypoints_2d` (N, 21, 3) with a confidence that only the keypoints
of the subset have. No 3D. Licence: MIT; Ego4D's frames need a licence of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskhand_ros.datasets.record import LabelledHand, existing
from maskhand_ros.hand_model.array_pickle import load_npz

SOURCES = ('newdays', 'epick', 'ego4d')
SUBSETS = ('all', 'vis', 'occ')
SPLITS = (
    *(f'{part}_{source}_img' for part in ('TRAIN', 'VAL', 'TEST') for source in SOURCES),
    *(f'TEST_{source}_img_{subset}' for source in SOURCES for subset in SUBSETS),
)
_FIX = 'give the folder that holds HInt_annotation_partial/ and hamer_evaluation_data/ as --root'
_NPZ_FIELDS = ('imgname', 'center', 'scale', 'right', 'hand_keypoints_2d')


def read(root: Path, split: str) -> Iterator[LabelledHand]:
    """Yields LabelledHand in the order of the file names, or of the npz."""
    root = Path(root)
    subset = split.rsplit('_', 1)[-1]
    if subset in SUBSETS:
        images = _images(root, split.removesuffix(f'_{subset}'))
        return _read_npz(root / 'hamer_evaluation_data' / f'{split}.npz', images, split)
    return _read_folder(_images(root, split), split)


def _images(root: Path, name: str) -> Path:
    whole = root / 'HInt_annotation' / name
    return whole if whole.is_dir() else existing(root / 'HInt_annotation_partial' / name, _FIX)


def _read_folder(folder: Path, split: str) -> Iterator[LabelledHand]:
    for path in sorted(folder.glob('*.json')):
        image = path.with_suffix('.jpg')
        if not image.is_file():  # Ego4D's, until its frames have been filled in
            continue
        (label,) = json.loads(path.read_text())
        keypoints = np.array(label['keypoints'], float)
        valid = np.array(label.get('existence', [1] * 21), float) > 0.5
        x1, y1, x2, y2 = label['bbox'][0]
        yield _hand(
            image,
            split,
            'right' if path.stem.endswith('_r') else 'left',
            keypoints,
            valid,
            np.array([x1, y1, x2 - x1, y2 - y1], float),
            valid & (np.array(label['occlusion'], float) < 0.5),
        )


def _read_npz(path: Path, images: Path, split: str) -> Iterator[LabelledHand]:
    data = load_npz(existing(path, _FIX), _NPZ_FIELDS)
    sides = np.broadcast_to(data['scale'].reshape(len(data['center']), -1), (len(data['center']), 2))
    for row, name in enumerate(data['imgname']):
        name = name.decode() if isinstance(name, bytes) else str(name)
        keypoints = data['hand_keypoints_2d'][row].astype(float)
        yield _hand(
            existing(images / name, _FIX),
            split,
            'right' if data['right'][row] > 0.5 else 'left',
            keypoints[:, :2],
            keypoints[:, 2] > 0.5,
            np.concatenate([data['center'][row] - sides[row] / 2, sides[row]]).astype(float),
        )


def _hand(
    image: Path,
    split: str,
    side: str,
    keypoints: np.ndarray,
    valid: np.ndarray,
    bbox: np.ndarray,
    visible: np.ndarray | None = None,
) -> LabelledHand:
    return LabelledHand(
        image=image,
        source=f'hint {split}',
        sequence=None,
        side=side,
        keypoints_px=np.where(valid[:, None], keypoints, np.nan),
        valid=valid,
        visible=visible,
        bbox=bbox,
    )
