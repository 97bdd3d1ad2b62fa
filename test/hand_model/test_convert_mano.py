"""`convert-mano` on a made-up file of MANO's shape, with the classes that a real one holds; hostile files are
refused."""

import copyreg
import os
import pickle
import sys
import types

import numpy as np
import pytest

from maskhand_ros.hand_model.convert_mano import convert
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import JOINT_PARENTS


@pytest.fixture
def foreign(monkeypatch):
    """Classes under the names of chumpy and scipy.sparse, so that the pickle holds those names."""
    made = {}
    for module, name in (
        ('chumpy.ch', 'Ch'),
        ('chumpy.reordering', 'Select'),
        ('scipy.sparse.csc', 'csc_matrix'),
    ):
        kind = type(name, (), {'__module__': module})
        for k in range(1, module.count('.') + 2):
            parent = '.'.join(module.split('.')[:k])
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        setattr(sys.modules[module], name, kind)
        made[name] = kind
    return made


def _filled(kind, **fields):
    thing = kind()
    vars(thing).update(fields)
    return thing


def mano_shaped(foreign):
    """A dict like MANO_RIGHT.pkl's and the dense arrays that it stands for."""
    rng = np.random.default_rng(0)
    template = rng.normal(0, 0.03, (778, 3)) + [-0.05, 0, 0]
    template[443] = [-0.17, 0, 0]
    shapedirs = rng.normal(0, 0.001, (778, 3, 10))
    regressor = np.where(rng.random((16, 778)) < 0.01, rng.random((16, 778)), 0)
    rows, columns = np.nonzero(regressor.T)[::-1]
    weights = rng.random((778, 16))
    arrays = {
        'v_template': template,
        'posedirs': rng.normal(0, 1e-4, (778, 3, 135)),
        'hands_mean': np.zeros(45),
        'weights': weights / weights.sum(1, keepdims=True),
        'f': rng.integers(0, 778, (1538, 3)).astype(np.uint32),
        'kintree_table': np.stack([np.where(JOINT_PARENTS < 0, 2**32 - 1, JOINT_PARENTS), np.arange(16)]),
    }
    leaf = _filled(foreign['Ch'], x=np.concatenate([shapedirs, shapedirs], -1))
    chosen = np.arange(leaf.x.size).reshape(leaf.x.shape)[..., :10]
    data = {
        **arrays,
        'shapedirs': _filled(foreign['Select'], a=leaf, idxs=chosen.ravel(), preferred_shape=chosen.shape),
        'J_regressor': _filled(
            foreign['csc_matrix'],
            data=regressor[rows, columns],
            indices=rows,
            indptr=np.searchsorted(columns, np.arange(779)),
            _shape=(16, 778),
        ),
    }
    return data, {**arrays, 'shapedirs': shapedirs, 'J_regressor': regressor}


@pytest.mark.parametrize('protocol', [0, 2])
def test_a_mano_shaped_pickle_becomes_a_hand_model(foreign, tmp_path, protocol):
    data, arrays = mano_shaped(foreign)
    (tmp_path / 'hand.pkl').write_bytes(pickle.dumps(data, protocol=protocol))
    convert(tmp_path / 'hand.pkl', tmp_path / 'hand.npz')
    for keypoint_set in ('mano', 'mediapipe'):
        hand = HandModel.load(tmp_path / 'hand.npz', keypoint_set)
        assert hand.name == 'mano' and hand.n_vertices == 778
        np.testing.assert_allclose(hand.shapedirs, arrays['shapedirs'], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(hand.J_regressor, arrays['J_regressor'], rtol=1e-5)
        posed = hand(np.zeros((1, 10)), np.eye(3)[None], np.tile(np.eye(3), (1, 15, 1, 1)))
        np.testing.assert_allclose(posed.keypoints[0, 12], posed.vertices[0, 443], atol=1e-6)


class _RunsCode:
    def __reduce__(self):
        return os.mkdir, ('i_was_here',)


class _BorrowsAnAllowedName:
    """Asks the allowed `copyreg._reconstructor` for a class that is not one of the inert ones."""

    def __reduce__(self):
        return copyreg._reconstructor, (np.ndarray, object, None)


@pytest.mark.parametrize('hostile', [_RunsCode(), _BorrowsAnAllowedName()])
def test_a_hostile_pickle_is_refused_and_runs_nothing(hostile, foreign, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, _ = mano_shaped(foreign)
    (tmp_path / 'hand.pkl').write_bytes(pickle.dumps({**data, 'J': hostile}, protocol=2))
    with pytest.raises(pickle.UnpicklingError):
        convert(tmp_path / 'hand.pkl', tmp_path / 'hand.npz')
    assert sorted(os.listdir(tmp_path)) == ['hand.pkl']


def test_a_wrong_file_is_named(tmp_path):
    (tmp_path / 'smpl.pkl').write_bytes(pickle.dumps({'v_template': np.zeros((6890, 3))}, protocol=2))
    with pytest.raises(ValueError, match='MANO_RIGHT.pkl'):
        convert(tmp_path / 'smpl.pkl', tmp_path / 'hand.npz')
