"""The exported networks against torch, and the run time on top of them."""

import json
from datetime import date

import numpy as np
import onnx
import pytest
import torch

from maskhand_ros.cli import main
from maskhand_ros.clip import read_clip
from maskhand_ros.errors import ModelError
from maskhand_ros.geometry import Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.hand_model.torch_hand import TorchHand
from maskhand_ros.model.config import CUE_SHAPES, MaskHandConfig, TokenizerConfig, ViTConfig, paper_config
from maskhand_ros.model.export import copy_networks, export_model, mean_of
from maskhand_ros.model.image_context import load_backbone
from maskhand_ros.model.maskhand import MaskHand
from maskhand_ros.model.rotation import rotation_6d_to_matrix, rotvec_to_matrix
from maskhand_ros.network_contract import FORMAT, MODEL_FIELDS, ContractError
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.reconstructor import Reconstructor
from maskhand_ros.perception.types import Frame
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.training.objective import Objective


@pytest.fixture
def exported(tiny_model, tmp_path):
    torch.nn.init.normal_(tiny_model.synthesizer.token_head.weight).data.mul_(0.1)
    parts = tiny_model.context, tiny_model.synthesizer
    buffers = [buffer for part in parts for buffer in part.buffers()]
    for stored in (*tiny_model.parameters(), *buffers):  # the file holds half precision
        stored.data = stored.data.half().float()
    export_model(tiny_model, tmp_path, {'note': 'test'})
    return tiny_model, tmp_path


def test_a_model_carries_the_name_and_version_of_its_user(exported, tmp_path, capsys):
    model, folder = exported
    description = json.loads((folder / 'model.json').read_text())
    assert set(description) == set(MODEL_FIELDS) - {'calibration'} and description['format'] == FORMAT
    assert (description['name'], description['version']) == (tmp_path.name, date.today().isoformat())
    checkpoint = {
        'config': model.config.to_dict(),
        'ema': model.state_dict(),
        'summary': {'minutes': 1},
    }
    torch.save(checkpoint, tmp_path / 'checkpoint.pt')
    words = ['export', str(tmp_path / 'checkpoint.pt')]
    assert main([*words, '--out', str(tmp_path / 'mine'), '--name', 'gloves', '--version', '2.1']) == 0
    pipeline = HandPipeline(PipelineConfig(weights_dir=str(tmp_path / 'mine')))
    assert pipeline.model_name == 'gloves 2.1'
    assert main(words) == 2
    assert 'the following arguments are required: --out' in capsys.readouterr().err


def test_what_the_run_time_would_refuse_is_not_written(tiny_model, tmp_path, monkeypatch):
    hand_pose = tiny_model.tokenizer.decode
    monkeypatch.setattr(tiny_model.tokenizer, 'decode', lambda codes: hand_pose(codes)[..., :5])
    with pytest.raises(ContractError, match=r"output 'hand_pose' is float32 \(N, 15, 5\), expected"):
        export_model(tiny_model, tmp_path / 'broken', {})
    assert not (tmp_path / 'broken/model.json').exists()


def random_cues(count):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(count, *shape)).astype(np.float32) for name, shape in CUE_SHAPES.items()}


@pytest.mark.parametrize('iterations', [1, 3])
def test_exported_model_gives_the_hand_that_torch_gives(exported, iterations):
    model, folder = exported
    cues = random_cues(5)
    answer, out = model({name: torch.from_numpy(value) for name, value in cues.items()}, iterations)
    hand = Reconstructor(folder, HandModel.load(), iterations=iterations)(cues)
    # The file holds half precision, constants that the exporter folds included.
    rotations = rotation_6d_to_matrix(answer.global_orient), rotation_6d_to_matrix(answer.hand_pose)
    expected = HandModel.load()(answer.betas.numpy(), *(part.numpy() for part in rotations))
    ours = HandModel.load()(hand.betas, hand.global_orient, hand.hand_pose)
    assert np.abs(ours.vertices - expected.vertices).max() < 1e-4
    assert np.allclose(hand.camera, answer.camera, atol=1e-4)
    assert np.allclose(hand.keypoint_stddev, (out.log_variance / 2).exp(), atol=1e-5)
    assert (
        (hand.camera[:, 0] > 0).all()
        and hand.keypoints.shape == (5, 21, 3)
        and not hand.keypoints[:, 0].any()
    )


def test_the_mean_of_two_checkpoints_lies_between_them(tiny_model):
    early = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    late = {name: value + (value.dtype.is_floating_point and 0.5) for name, value in early.items()}
    config = tiny_model.config.to_dict()
    runs = [
        {'config': config, 'ema': state, 'summary': {'minutes': minutes}}
        for state, minutes in ((early, 1), (late, 2))
    ]
    model, trained = mean_of(runs)
    assert trained == {'mean_of': [{'minutes': 1}, {'minutes': 2}]}
    for name, value in model.state_dict().items():
        middle = (early[name] + late[name]) / 2 if value.dtype.is_floating_point else early[name]
        assert torch.allclose(value, middle), name
    assert mean_of(runs[:1])[1] == {'minutes': 1}
    with pytest.raises(ValueError, match='no mean'):
        mean_of([runs[0], {**runs[1], 'config': {**config, 'layers': 2}}])


def test_networks_are_opset_17_small_and_take_any_batch(exported):
    _, folder = exported
    for part in ('context', 'synthesizer', 'tokenizer'):
        graph = onnx.load(folder / f'{part}.onnx')
        assert graph.opset_import[0].version == 17
        assert not [
            w.name
            for w in graph.graph.initializer
            if w.data_type == onnx.TensorProto.FLOAT
            and np.prod(w.dims) >= 256
            and not w.name.endswith('.adjacency')  # logits
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
    networks = {f'{name}.onnx' for name in ('context', 'synthesizer', 'tokenizer', 'tokenizer_encoder')}
    assert set(listed) == {*networks, 'codebook.npz'}
    whole = (folder / 'synthesizer.onnx').read_bytes()
    (folder / 'synthesizer.onnx').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match='synthesizer.onnx.*truncated'):
        Reconstructor(folder, HandModel.load())
    (folder / 'synthesizer.onnx').unlink()
    with pytest.raises(ModelError, match='synthesizer.onnx is missing'):
        Reconstructor(folder, HandModel.load())


@pytest.fixture
def small_paper():
    """The paper's system at depth 2, and narrow: pictures in, 64 tokens with the orientation among them."""
    pytest.importorskip('vector_quantize_pytorch', reason='needs the extra `train`')
    config = paper_config(
        tokenizer=TokenizerConfig('hand', 'ema', 64, codes=64, dimensions=16, width=32),
        width=32,
        layers=2,
        heads=2,
        vit=ViTConfig(dimensions=64, depth=2, heads=2, drop_path=0.0),
        shape_layers=1,
    )
    return MaskHand(MaskHandConfig.from_dict(config.to_dict())).eval()


def test_paper_trains_and_runs_exported(small_paper, tmp_path):
    rng = np.random.default_rng(0)
    cues = {
        'image': rng.integers(0, 255, (4, 224, 224, 3)).astype(np.float32),
        'landmarks': 0.3 * rng.normal(size=(4, 21, 3)).astype(np.float32),
        'presence': np.array([[1], [1], [0], [1]], np.float32),
    }
    inputs = {name: torch.from_numpy(value) for name, value in cues.items()}
    hand = TorchHand()
    pose = rotvec_to_matrix(0.3 * torch.randn(4, 15, 3))
    orient, betas = rotvec_to_matrix(torch.randn(4, 3)), torch.zeros(4, 10)
    keypoints = hand.keypoints(betas, orient, pose)
    truth = {
        'hand_pose': pose,
        'global_orient': orient,
        'betas': betas,
        'keypoints': keypoints,
        'keypoints_px': 112 + 800 * keypoints[..., :2],
        'focal': torch.ones(4),
    }
    objective = Objective(small_paper.train(), hand)
    optimizer = torch.optim.Adam([p for p in small_paper.parameters() if p.requires_grad], 1e-3)
    losses = []
    for _ in range(12):
        loss, _ = objective(inputs, truth, torch.Generator().manual_seed(0))  # always the same masks
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses
    without = [name for name, p in small_paper.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []

    small_paper.eval()
    answer, _ = small_paper(inputs, 5)
    copy_networks(SHIPPED, tmp_path)
    export_model(small_paper, tmp_path, {'note': 'test'}, 'small paper', '1')
    prediction = Reconstructor(tmp_path, HandModel.load(), iterations=5)(cues)
    assert np.allclose(prediction.global_orient, rotation_6d_to_matrix(answer.global_orient), atol=5e-3)
    assert np.allclose(prediction.hand_pose, rotation_6d_to_matrix(answer.hand_pose), atol=5e-3)

    # What the node loads with model:=FOLDER.
    pipeline = HandPipeline(PipelineConfig(weights_dir=str(tmp_path), hypotheses=2))
    clip = read_clip()
    hands = pipeline.process(Frame(next(iter(clip.frames())), 0, Camera(clip.K, 640, 480)))
    assert hands and pipeline.model_name == 'small paper 1'
    assert all(np.isfinite(hand.keypoints).all() and len(hand.hypotheses) == 2 for hand in hands)


def test_a_vitpose_backbone_loads_and_what_does_not_fit_is_reported(small_paper, tmp_path):
    state = {
        f'backbone.{name}': torch.randn_like(v)
        for name, v in small_paper.context.backbone.state_dict().items()
    }
    lacking = 'backbone.blocks.1.attn.qkv.bias'
    beyond = {**state, 'keypoint_head.weight': torch.zeros(2), 'backbone.cls_token': torch.zeros(1)}
    del beyond[lacking]
    torch.save({'state_dict': beyond}, tmp_path / 'vit.pth')
    missing, unexpected = load_backbone(small_paper.context, tmp_path / 'vit.pth')
    assert missing == ['blocks.1.attn.qkv.bias'] and unexpected == ['cls_token']
    loaded = small_paper.context.backbone.state_dict()['blocks.0.mlp.fc1.weight']
    assert torch.equal(loaded, state['backbone.blocks.0.mlp.fc1.weight'])
    torch.save({'backbone.last_norm.weight': torch.zeros(3)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'last_norm.weight is \(3,\), not \(64,\)'):
        load_backbone(small_paper.context, tmp_path / 'other.pth')
