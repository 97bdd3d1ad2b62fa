"""A user's own MANO_RIGHT.pkl to an npz that takes the open hand's place. Runs once, without chumpy and
scipy, and runs no code from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.hand_model.array_pickle import dense, load_arrays
from maskhand_ros.hand_model.keypoint_sets import anatomical_rule
from maskhand_ros.skeleton import JOINT_PARENTS, JOINT_TO_KEYPOINT, KEYPOINT_SETS, TIP_KEYPOINTS

MANO_VERTICES = 778
TIP_VERTICES = (744, 320, 443, 554, 671)
"""Vertices that stand for the tips of thumb, index, middle, ring and little finger, as HaMeR takes them."""
_SHAPES = {
    'v_template': (MANO_VERTICES, 3),
    'shapedirs': (MANO_VERTICES, 3, 10),
    'posedirs': (MANO_VERTICES, 3, 135),
    'J_regressor': (16, MANO_VERTICES),
    'weights': (MANO_VERTICES, 16),
    'f': (1538, 3),
    'kintree_table': (2, 16),
    'hands_mean': (45,),
}


def load_mano_pickle(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of a MANO pickle as {name: array}, in MANO's own shapes.

    Raises UnpicklingError if the file asks for anything but arrays, ValueError if it is no right MANO
    hand.
    """
    data = load_arrays(path)
    missing = sorted(set(_SHAPES) - set(data if isinstance(data, dict) else ()))
    if missing:
        raise ValueError(f'{path} lacks {", ".join(missing)}: give MANO_RIGHT.pkl of mano_v1_2/models')
    shapes = _SHAPES | ({'hands_components': (45, 45)} if 'hands_components' in data else {})
    arrays = {name: dense(data[name]) for name in shapes}
    arrays['shapedirs'] = arrays['shapedirs'][..., :10]
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(np.asarray(arrays[name], float)).all():
            raise ValueError(
                f'{path}: {name} has shape {arrays[name].shape}, not finite numbers of shape {shape}: '
                'give MANO_RIGHT.pkl of mano_v1_2/models'
            )
    if arrays['kintree_table'][0, 1:].astype(int).tolist() != JOINT_PARENTS[1:].tolist():
        raise ValueError(f'{path}: the joints are not in the order of MANO')
    middle = arrays['v_template'][TIP_VERTICES[2]] - arrays['v_template'].mean(0)
    if middle[0] > 0:
        raise ValueError(f'{path} is a left hand: give MANO_RIGHT.pkl, left hands are mirrored from it')
    return arrays


def convert(pkl_path: Path | str, npz_path: Path | str) -> None:
    """Writes the npz that the parameter `hand_model` takes, from the user's own MANO_RIGHT.pkl.

    The joints are MANO's; the tips are vertices; the set `mediapipe` is the same points as `mano`, since
    where MediaPipe's lie on this mesh is not known. Raises as `load_mano_pickle` does.
    """
    arrays = load_mano_pickle(pkl_path)
    regressor = np.zeros((21, 16 + MANO_VERTICES), np.float32)
    regressor[JOINT_TO_KEYPOINT, np.arange(16)] = 1
    regressor[list(TIP_KEYPOINTS), 16 + np.array(TIP_VERTICES)] = 1
    rest = arrays['J_regressor'] @ arrays['v_template'], arrays['v_template']
    joints = rest[0] - rest[0][0]
    keypoints = regressor @ np.concatenate(rest) - rest[0][0]
    rules = {name: regressor for name in KEYPOINT_SETS} | {
        'anatomical': anatomical_rule(regressor, joints, keypoints)
    }
    stored: dict[str, Any] = {
        name: array.astype(np.int64 if name in ('f', 'kintree_table') else np.float32)
        for name, array in arrays.items()
    }
    stored['kintree_table'][0, 0] = -1
    npz_path = Path(npz_path)
    npz_path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        npz_path,
        **stored,
        **{f'keypoint_regressor_{name}': rule for name, rule in rules.items()},
        model_name=np.array('mano'),
        license=np.array("MANO licence (https://mano.is.tue.mpg.de/license.html): the user's own file"),
    )
