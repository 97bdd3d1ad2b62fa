"""The exported networks against torch, and the run time on top of them."""

import json

import numpy as np
import onnx
import pytest
import torch

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.model.config import CUE_SHAPES
from maskhand_ros.model.export import export_model
from maskhand_ros.model.rotation import rotation_6d_to_matrix
from maskhand_ros.perception.errors import ModelError
from maskhand_ros.perception.reconstructor import Reconstructor


@pytest.fixture
def exported(tiny_model, tmp_path):
    for parameter in tiny_model.parameters():  # as stored: the rest of the pipeline computes in float32
        parameter.data = parameter.data.half().float()
    torch.nn.init.normal_(tiny_model.synthesizer.token_head.weight).data.mul_(0.1)
    tiny_model.half().float()
    export_model(tiny_model, tmp_path, {'note': 'test'})
    return tiny_model, tmp_path


def random_cues(count):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(count, *shape)).astype(np.float32) for name, shape in CUE_SHAPES.items()}


@pytest.mark.parametrize('iterations', [1, 3])
def test_exported_model_gives_the_hand_that_torch_gives(exported, iterations):
    model, folder = exported
    cues = random_cues(5)
    answer, out = model({name: torch.from_numpy(value) for name, value in cues.items()}, iterations)
    hand = Reconstructor(folder, HandModel.load(), iterations=iterations)(cues)
    assert np.allclose(hand.hand_pose, rotation_6d_to_matrix(answer.hand_pose), atol=1e-4)
    assert np.allclose(hand.global_orient, rotation_6d_to_matrix(answer.global_orient), atol=1e-4)
    assert np.allclose(hand.betas, answer.betas, atol=1e-4) and np.allclose(
        hand.camera, answer.camera, atol=1e-4
    )
    assert np.allclose(hand.keypoint_stddev, (out.log_variance / 2).exp(), atol=1e-5)
    assert (
        (hand.camera[:, 0] > 0).all()
        and hand.keypoints.shape == (5, 21, 3)
        and not hand.keypoints[:, 0].any()
    )


def test_networks_are_opset_17_small_and_take_any_batch(exported):
    _, folder = exported
    for part in ('context', 'synthesizer', 'tokenizer'):
        graph = onnx.load(folder / f'{part}.onnx')
        assert graph.opset_import[0].version == 17
        assert not [
            w.name
            for w in graph.graph.initializer
            if w.data_type == onnx.TensorProto.FLOAT and np.prod(w.dims) >= 256
        ]
    reconstructor = Reconstructor(folder, HandModel.load())
    assert [len(reconstructor(random_cues(n)).keypoints) for n in (1, 2, 7)] == [1, 2, 7]


def test_hypotheses_are_ranked_and_repeat_with_the_seed(exported):
    _, folder = exported
    first, second = (
        Reconstructor(folder, HandModel.load(), hypotheses=4, seed=3)(random_cues(2)) for _ in range(2)
    )
    confidence = np.stack([h.confidence for h in first.hypotheses])
    assert len(first.hypotheses) == 4 and (np.diff(confidence, axis=0) <= 0).all()
    assert np.array_equal(first.hypotheses[1].keypoints, second.hypotheses[1].keypoints)
    assert not np.allclose(first.hypotheses[0].keypoints, first.hypotheses[3].keypoints)


def test_a_damaged_file_is_named(exported):
    _, folder = exported
    listed = json.loads((folder / 'model.json').read_text())['files']
    assert set(listed) == {'context.onnx', 'synthesizer.onnx', 'tokenizer.onnx', 'codebook.npz'}
    whole = (folder / 'synthesizer.onnx').read_bytes()
    (folder / 'synthesizer.onnx').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match='synthesizer.onnx.*truncated'):
        Reconstructor(folder, HandModel.load())
    (folder / 'synthesizer.onnx').unlink()
    with pytest.raises(ModelError, match='synthesizer.onnx is missing'):
        Reconstructor(folder, HandModel.load())
