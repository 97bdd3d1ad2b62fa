"""The landmark network with 8-bit integers: `export --int8`, and its answers against those of its source."""

import json
import shutil
from hashlib import sha256

import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
pytest.importorskip('moderngl', reason='needs the extra `train`')

from maskhand_ros.cli import main  # noqa: E402
from maskhand_ros.data_engine.samples import SampleMaker  # noqa: E402
from maskhand_ros.errors import ModelError  # noqa: E402
from maskhand_ros.hand_model.numpy_hand import HandModel  # noqa: E402
from maskhand_ros.model import int8  # noqa: E402
from maskhand_ros.network_contract import LANDMARKS, LANDMARKS_INT8, MAPS  # noqa: E402
from maskhand_ros.perception.cues import CueNetwork  # noqa: E402
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig  # noqa: E402
from maskhand_ros.perception.types import Frame  # noqa: E402
from maskhand_ros.perception.weights import SHIPPED  # noqa: E402


@pytest.fixture(scope='module')
def maker():
    return SampleMaker(HandModel.load(), backdrops=20, seed=7)


@pytest.fixture(scope='module')
def crops(maker):
    """(40, 224, 224, 3) camera-like renders of hands, none of them used for the ranges."""
    return maker.make(['camera'] * 40, np.random.default_rng(77))[0]


@pytest.fixture(scope='module')
def quantised(maker, tmp_path_factory):
    """A weights folder after `export --int8` with a fifth of the crops."""
    folder = tmp_path_factory.mktemp('quantised') / 'weights'
    shutil.copytree(SHIPPED, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, 'SampleMaker', lambda hand: maker)
        patch.setattr(int8, 'CROPS', int8.CROPS // 4)
        assert main(['export', '--int8', '--out', str(folder)]) == 0
    return folder


def relative(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def test_it_answers_as_its_source_does(crops, quantised):
    ours, theirs = (CueNetwork(quantised / name)(crops) for name in (LANDMARKS_INT8, LANDMARKS))
    moved = 224 * np.linalg.norm((ours['landmarks'] - theirs['landmarks'])[..., :2], axis=-1).mean(1)
    assert np.median(moved) < 1 and np.mean(moved) < 1.5, moved
    shape = 1000 * np.linalg.norm(ours['world_landmarks'] - theirs['world_landmarks'], axis=-1)
    assert shape.mean() < 3, 'mm'
    for name in ('global_feature', *MAPS):
        assert relative(ours[name], theirs[name]) < 0.1, name
    for name in ('presence', 'handedness'):
        difference = ours[name] - theirs[name]
        assert np.abs(difference).mean() < 0.02 and abs(difference.mean()) < 0.01, name


def test_the_command_makes_the_same_network_again_and_it_runs(weights, monkeypatch, clip, maker):
    monkeypatch.setattr(int8, 'SampleMaker', lambda hand: maker)
    monkeypatch.setattr(int8, 'CROPS', 8)
    path, digests = weights / LANDMARKS_INT8, []
    for _ in range(2):
        path.unlink(missing_ok=True)
        description = json.loads((weights / 'model.json').read_text())
        description['files'].pop(LANDMARKS_INT8, None)
        (weights / 'model.json').write_text(json.dumps(description))
        assert main(['export', '--int8', '--out', str(weights)]) == 0
        digests.append(sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    assert json.loads((weights / 'model.json').read_text()) == {
        **description,
        'files': {**description['files'], LANDMARKS_INT8: digests[0]},
    }
    pipeline = HandPipeline(PipelineConfig(weights_dir=str(weights)))
    assert len(pipeline.process(Frame(rgb=next(clip.frames())))) == 2


def test_one_made_of_another_network_is_refused(weights, monkeypatch, quantised):
    for name in (LANDMARKS_INT8, 'model.json'):
        shutil.copyfile(quantised / name, weights / name)
    monkeypatch.setattr('maskhand_ros.perception.weights.INT8_FLAGS', {'processor'})  # any CPU
    model = onnx.load(weights / LANDMARKS)
    model.doc_string = 'trained further'
    onnx.save(model, weights / LANDMARKS)
    description = json.loads((weights / 'model.json').read_text())
    description['files'][LANDMARKS] = sha256((weights / LANDMARKS).read_bytes()).hexdigest()
    (weights / 'model.json').write_text(json.dumps(description))
    with pytest.raises(ModelError, match='int8.onnx was not made of .*Fix: .*maskhand export --int8'):
        HandPipeline(PipelineConfig(weights_dir=str(weights)))


def test_nothing_to_export_is_a_mistake(tmp_path, capsys):
    assert main(['export', '--out', str(tmp_path)]) == 1
    assert 'give a CHECKPOINT, or --int8' in capsys.readouterr().err
    assert main(['export', '--int8', '--out', str(tmp_path)]) == 1
    assert 'no model.json in' in capsys.readouterr().err
