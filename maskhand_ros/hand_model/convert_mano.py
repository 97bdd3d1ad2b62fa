"""A user's own MANO_RIGHT.pkl to an npz that takes the open hand's place. Runs once, without chumpy and
scipy.

A pickle can run any code while it loads. This reader knows only arrays: chumpy's and scipy's classes become
inert holders of their fields, and every other name in the file ends the reading.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

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


class _Inert:
    """Stands for an object of chumpy or scipy.sparse: keeps the pickled fields, does nothing."""

    def __init__(self, *_):
        self.fields = {}

    def __setstate__(self, state):
        self.fields = dict(state) if isinstance(state, dict) else {}


def _new_inert(kind, base, _state):
    """What `copyreg._reconstructor` does for these files, and no more."""
    if kind is not _Inert or base is not object:
        raise pickle.UnpicklingError('the file builds an object that is no array')
    return _Inert()


def _to_bytes(text, encoding):
    """What `_codecs.encode` does for the bytes of an array, and no more."""
    if encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f"the file uses the encoding '{encoding}'")
    return text.encode('latin1')


def _allowed():
    # numpy has moved its internals; the functions are taken from an array's own pickle, whatever this numpy
    # calls them.
    rebuild = np.zeros(1).__reduce__()[0]
    rebuild_scalar = np.float64(0).__reduce__()[0]
    names = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype, ('_codecs', 'encode'): _to_bytes}
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        names[module, '_reconstruct'], names[module, 'scalar'] = rebuild, rebuild_scalar
    for module, function in (('copy_reg', '_reconstructor'), ('copyreg', '_reconstructor')):
        names[module, function] = _new_inert
    for module in ('__builtin__', 'builtins'):
        names[module, 'object'] = object
    return names


class _ArrayUnpickler(pickle.Unpickler):
    _names = _allowed()

    def find_class(self, module, name):
        if module.split('.')[0] == 'chumpy' or (
            module.startswith('scipy.sparse') and name.startswith('csc_')
        ):
            return _Inert
        if (module, name) not in self._names:
            raise pickle.UnpicklingError(
                f'the file asks for {module}.{name}, which no MANO file needs; not loaded'
            )
        return self._names[module, name]


def _dense(value):
    """A numpy array from an array, a sparse matrix or a chumpy expression (a leaf, or a selection from
    one)."""
    if not isinstance(value, _Inert):
        return np.asarray(value)
    fields = value.fields
    if 'indptr' in fields:
        shape = fields.get('_shape', fields.get('shape'))
        matrix = np.zeros(tuple(int(n) for n in shape))
        columns = np.repeat(np.arange(matrix.shape[1]), np.diff(fields['indptr']))
        np.add.at(matrix, (np.asarray(fields['indices']), columns), np.asarray(fields['data']))
        return matrix
    if 'x' in fields:
        return _dense(fields['x'])
    if 'a' in fields and 'idxs' in fields:
        chosen = _dense(fields['a']).ravel()[np.asarray(fields['idxs'])]
        shape = fields.get('preferred_shape')
        return chosen if shape is None else chosen.reshape(tuple(int(n) for n in shape))
    raise ValueError(f'a chumpy object with the fields {sorted(fields)} is unknown')


def load_mano_pickle(path):
    """The arrays of a MANO pickle as {name: array}, in MANO's own shapes.

    Raises pickle.UnpicklingError if the file asks for anything but arrays, ValueError if it is no right MANO
    hand.
    """
    with open(path, 'rb') as file:
        data = _ArrayUnpickler(file, encoding='latin1').load()
    missing = sorted(set(_SHAPES) - set(data if isinstance(data, dict) else ()))
    if missing:
        raise ValueError(f'{path} lacks {", ".join(missing)}: give MANO_RIGHT.pkl of mano_v1_2/models')
    arrays = {name: _dense(data[name]) for name in _SHAPES}
    arrays['shapedirs'] = arrays['shapedirs'][..., :10]
    for name, shape in _SHAPES.items():
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


def convert(pkl_path, npz_path):
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
    stored = {
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
