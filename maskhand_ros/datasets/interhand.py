"""InterHand2.6M v1.0: one or two hands, many cameras (https://mks0601.github.io/InterHand2.6M/).

Layout of ROOT:

    images/SPLIT/CaptureN/SEQUENCE/camC/imageF.jpg
    annotations/SPLIT/InterHand2.6M_SPLIT_{data,camera,joint_3d}.json
    annotations/SPLIT/InterHand2.6M_SPLIT_MANO_NeuralAnnot.json      (optional)

data is COCO's images and annotations; camera {capture: {campos, camrot, focal, princpt: {camera: ...}}};
joint_3d {capture: {frame: {world_coord (42, 3) mm}}}; MANO {capture: {frame: {side: {pose, shape, trans}}}}.
The 42 joints are the right hand's 21, then the left's: thumb 4 (tip) to 1, index 4 to 1, ..., little 4 to 1,
wrist. Camera frame = camrot (world - campos). MANO's pose is from `hands_mean`, its orientation in the world;
where its wrist lies only MANO can tell. An annotation's box holds all hands in it. Licence: CC BY-NC 4.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.datasets.record import LabelledHand, ManoLabel, existing, read_json
from maskhand_ros.geometry import matrix_to_rotvec, project, rotvec_to_matrix

SPLITS = ('train', 'val', 'test')
FROM_INTERHAND = np.array([20, *(4 * finger + part for finger in range(5) for part in (3, 2, 1, 0))])
"""(21,) places of our keypoints among the 21 of one hand."""
_FIX = 'give the folder that holds images/ and annotations/ as --root'


def read(root: Path, split: str) -> Iterator[LabelledHand]:
    """Yields LabelledHand by annotation, the right hand of a pair first; hands without a valid joint are left
    out. `bbox` is None for hands that share one."""
    root = Path(root)
    stem = root / 'annotations' / split / f'InterHand2.6M_{split}'
    data, cameras, joints = (
        read_json(f'{stem}_{name}.json', _FIX) for name in ('data', 'camera', 'joint_3d')
    )
    mano = Path(f'{stem}_MANO_NeuralAnnot.json')
    parameters = read_json(mano, _FIX) if mano.is_file() else {}
    images = {image['id']: image for image in data['images']}
    for annotation in data['annotations']:
        image = images[annotation['image_id']]
        capture, frame = str(image['capture']), str(image['frame_idx'])
        rotation, K, points = _camera(cameras[capture], str(image['camera']), joints[capture][frame])
        labelled = np.array(annotation['joint_valid'], bool).reshape(2, 21)
        for number, side in enumerate(('right', 'left')):
            valid = labelled[number, FROM_INTERHAND]
            if annotation['hand_type'] not in (side, 'interacting') or not valid.any():
                continue
            keypoints = np.where(valid[:, None], points[number, FROM_INTERHAND], np.nan)
            fit = parameters.get(capture, {}).get(frame, {}).get(side)
            yield LabelledHand(
                image=existing(root / 'images' / split / image['file_name'], _FIX),
                source='interhand',
                sequence=f'Capture{capture}/{image["seq_name"]}/cam{image["camera"]}',
                side=side,
                keypoints_px=project(keypoints, K),
                K=K,
                keypoints=keypoints,
                valid=valid,
                mano=None if fit is None else _mano(fit, rotation),
                bbox=np.array(annotation['bbox'], float) if annotation['hand_type'] == side else None,
            )


def _camera(
    capture: dict[str, Any], camera: str, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World-to-camera rotation (3, 3), K (3, 3) and the joints (2, 21, 3) in metres in the camera frame."""
    position, rotation, focal, centre = (
        np.array(capture[name][camera], float) for name in ('campos', 'camrot', 'focal', 'princpt')
    )
    K = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])
    world = np.array(joints['world_coord'], float).reshape(42, 3)
    return rotation, K, ((world - position) @ rotation.T / 1000).reshape(2, 21, 3)


def _mano(fit: dict[str, Any], rotation: np.ndarray) -> ManoLabel:
    pose = np.array(fit['pose'], float)
    pose[:3] = matrix_to_rotvec(rotation @ rotvec_to_matrix(pose[:3]))
    return ManoLabel(pose=pose, betas=np.array(fit['shape'], float), space='mean')
