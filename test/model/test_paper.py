"""`paper` on tiny sizes: training by the command in two processes, ablations, the path of the full check."""

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import maskhand_ros
from maskhand_ros import cli
from maskhand_ros.data_engine.shard_store import ShardStore
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.hand_model.torch_hand import TorchHand
from maskhand_ros.model.config import CUE_SHAPES, MaskHandConfig, TokenizerConfig, ViTConfig, paper_config
from maskhand_ros.model.export import export_model
from maskhand_ros.model.maskhand import MaskHand
from maskhand_ros.model.tokenizer import make_tokenizer
from maskhand_ros.shard_schema import IMAGE_SHARD
from maskhand_ros.training.objective import Objective

pytest.importorskip('webdataset', reason='needs the extra `train`')
pytest.importorskip('vector_quantize_pytorch', reason='needs the extra `train`')
from maskhand_ros.tools import check_paper  # noqa: E402
from maskhand_ros.training import ablate  # noqa: E402
from maskhand_ros.training.train_maskhand import configuration  # noqa: E402

TOKENIZER = TokenizerConfig('hand', 'ema', 64, codes=64, dimensions=16, width=32)
SMALL = [
    'width=32',
    'layers=1',
    'heads=2',
    'shape_layers=1',
    'vit.dimensions=64',
    'vit.depth=2',
    'vit.heads=2',
]


def write_pictures(path, count, seed):
    """An image shard of noise with the truth of random hands."""
    rng = np.random.default_rng(seed)
    hand = HandModel.load()
    with tarfile.open(path, 'w') as tar:
        for number in range(count):
            pose = rotvec_to_matrix(0.2 * rng.normal(size=(1, 15, 3)))
            orient, betas = rotvec_to_matrix(rng.normal(size=(1, 3))), np.zeros((1, 10))
            keypoints = hand(betas, orient, pose, vertices=False).keypoints[0]
            arrays = {
                'global_orient': orient[0],
                'hand_pose': pose[0],
                'betas': betas[0],
                'wrist': np.array([0, 0, 0.5]),
                'focal': np.array(600.0),
                'keypoints': keypoints,
                'keypoints_px': 112 + 800 * keypoints[:, :2],
                'visible': np.ones(21, bool),
                'landmarks': 0.2 * rng.normal(size=(21, 3)),
                'presence': np.ones(1),
            }
            arrays = {name: np.asarray(value, IMAGE_SHARD[name].dtype) for name, value in arrays.items()}
            file = io.BytesIO()
            np.savez(file, **arrays, hand=np.array(hand.name))
            jpeg = cv2.imencode('.jpg', rng.integers(0, 255, (224, 224, 3), np.uint8))[1].tobytes()
            for suffix, content in (('jpg', jpeg), ('npz', file.getvalue())):
                member = tarfile.TarInfo(f'{path.stem}-{number}.{suffix}')
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path):
    """Pictures, a tokenizer and a backbone that lacks a name and has one too many."""
    for index in range(3):
        write_pictures(tmp_path / f'train-made-0-{index:05d}.tar', 4, index)
    write_pictures(tmp_path / 'val-made-0-00000.tar', 3, 9)
    torch.manual_seed(0)
    tokenizer = make_tokenizer(TOKENIZER)
    torch.save({'config': asdict(TOKENIZER), 'ema': tokenizer.state_dict()}, tmp_path / 'tokenizer.pt')
    model = MaskHand(configuration('paper', TOKENIZER, SMALL))
    backbone = {f'backbone.{name}': value for name, value in model.context.backbone.state_dict().items()}
    del backbone['backbone.last_norm.bias']
    torch.save({'state_dict': {**backbone, 'backbone.cls_token': torch.zeros(1)}}, tmp_path / 'vit.pth')
    return tmp_path


def train(folder, out, steps, devices):
    """What `maskhand train model --config paper` prints."""
    words = [
        sys.executable,
        '-m',
        'maskhand_ros.cli',
        'train',
        'model',
        '--config',
        'paper',
        '--device',
        'cpu',
    ]
    words += ['--data', folder, '--tokenizer', folder / 'tokenizer.pt', '--out', out, '--steps', steps]
    words += ['--batch-size', 4, '--devices', devices, '--backbone', folder / 'vit.pth', '--change', *SMALL]
    root = str(Path(maskhand_ros.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get('PYTHONPATH')]))
    environment = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_processes_train_agree_and_go_on_in_one(folder):
    out = folder / 'run'
    said = train(folder, out, 3, 2)
    assert "missing ['last_norm.bias'], unexpected ['cls_token']" in said
    (point,) = json.loads((out / 'curve.json').read_text())
    assert point['step'] == 3 and point['disagreement'] == 0 and point['val_pa_mm'] > 0
    first = torch.load(out / 'checkpoint.pt', weights_only=True)
    assert first['summary']['batch_size'] == 8 and len(first['generator']) == 2
    assert not torch.equal(first['generator'][0], first['generator'][1]), 'processes see different batches'
    rates = [group['lr'] for group in first['optimizer']['param_groups']]
    assert sorted(rates)[0] == pytest.approx(0.1 * sorted(rates)[1]), 'the backbone learns slower'
    assert 'continuing' in train(folder, out, 5, 1)
    second = torch.load(out / 'checkpoint.pt', weights_only=True)
    assert second['step'] == 5
    moved = {name for name, value in second['model'].items() if not torch.equal(value, first['model'][name])}
    assert 'context.backbone.blocks.0.attn.qkv.weight' in moved and 'synthesizer.token_head.weight' in moved
    assert not any(name.startswith('tokenizer.') for name in moved), 'the tokenizer is frozen'


def test_a_tokenizer_or_a_change_that_does_not_fit_is_named():
    with pytest.raises(CommandError, match="needs a tokenizer of the kind 'hand'.*--config paper"):
        configuration('paper', TokenizerConfig())
    with pytest.raises(CommandError, match='vit.deepness=2: paper has no such field'):
        configuration('paper', TOKENIZER, ['vit.deepness=2'])
    config = configuration('paper', TOKENIZER, ['vit.depth=3', 'multi_scale=false', 'head=regression'])
    assert config.vit.depth == 3 and not config.multi_scale and config.head == 'regression'


def test_missing_landmarks_leave_no_trace():
    torch.manual_seed(0)
    model = MaskHand(configuration('paper', TOKENIZER, SMALL)).eval()
    cues = {name: torch.from_numpy(values) for name, values in check_paper.random_cues(2).items()}
    cues['presence'] = torch.ones(2, 21)
    cues['presence'][:, 8] = 0
    moved = {**cues, 'landmarks': cues['landmarks'].clone()}
    moved['landmarks'][:, 8] += 0.3
    for one, other in zip(model.context(cues)[:4], model.context(moved)[:4], strict=True):
        assert torch.equal(one, other)
    moved['landmarks'][:, 7] += 0.3
    assert not torch.equal(model.context(cues).nodes, model.context(moved).nodes)


@pytest.mark.parametrize('name', ablate.VARIANTS)
def test_each_ablation_trains_all_of_its_weights(tiny_model, shards, name):
    torch.manual_seed(0)
    model = MaskHand(replace(tiny_model.config, **ablate.VARIANTS[name])).train()
    cues, truth = ShardStore(shards, 'train').batch(torch.arange(16))
    loss, _ = Objective(model, TorchHand())(cues, truth, torch.Generator().manual_seed(0))
    loss.backward()
    idle = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert idle == set()
    if name == 'no-2d-pose':
        turned = {**cues, 'landmarks': 0 * cues['landmarks'], 'world_landmarks': 0 * cues['world_landmarks']}
        model.eval()
        assert torch.equal(model(cues)[0].hand_pose, model(turned)[0].hand_pose)


@pytest.mark.parametrize('kind', ['finger', 'hand'])
def test_a_regression_head_gives_the_joints_and_is_not_exported(tiny_model, tmp_path, kind):
    config = replace(tiny_model.config, head='regression')
    cues = {name: torch.randn(3, *shape) for name, shape in CUE_SHAPES.items()}
    if kind == 'hand':
        config = configuration('paper', TOKENIZER, [*SMALL, 'head=regression'])
        cues = {name: torch.from_numpy(values) for name, values in check_paper.random_cues(3).items()}
    model = MaskHand(MaskHandConfig.from_dict(config.to_dict())).eval()
    answer, out = model(cues)
    assert (
        answer.hand_pose.shape == (3, 15, 6) and answer.global_orient.shape == (3, 6) and out.logits is None
    )
    with pytest.raises(ValueError, match='only tokens are exported'):
        export_model(model, tmp_path, {})


def test_ablation_resumes_and_compares(shards, tmp_path, capsys, monkeypatch):
    tokenizer = make_tokenizer(TokenizerConfig(width=32, blocks=1))
    torch.save({'config': asdict(tokenizer.config), 'ema': tokenizer.state_dict()}, tmp_path / 'tokenizer.pt')
    small = MaskHandConfig(
        tokenizer=tokenizer.config, width=32, layers=1, heads=2, trunk_width=64, trunk_blocks=1
    )
    monkeypatch.setattr(ablate, 'configuration', lambda name, tokenizer: small)
    words = f'train ablate --data {shards} --tokenizer {tmp_path}/tokenizer.pt --out {tmp_path}/out --steps 2'
    words += ' --batch-size 8 --seeds 2 --splits val --device cpu --variants full'
    assert cli.main(words.split()) == 0
    kept = (tmp_path / 'out/full-1/errors.npz').stat().st_mtime_ns
    capsys.readouterr()
    assert cli.main(f'{words} regression'.split()) == 0
    assert (tmp_path / 'out/full-1/errors.npz').stat().st_mtime_ns == kept, 'finished: not done again'
    printed = capsys.readouterr().out
    assert 'full, T = 5' in printed and 'regression, seed 1' in printed and 'full, seed' not in printed
    assert 'val, energy score' in printed and 'val, best of 8' in printed
    rows = json.loads((tmp_path / 'out/ablation.json').read_text())
    assert set(rows) == {'full', 'full, T = 3', 'full, T = 5', 'regression'}
    means = [np.load(tmp_path / f'out/full-{seed}/errors.npz')['val/pa_mm@1'].mean() for seed in (0, 1)]
    assert rows['full']['val/pa_mm']['mean'] == pytest.approx(np.mean(means))
    assert rows['full']['val/pa_mm']['stddev'] == pytest.approx(np.std(means, ddof=1))
    found = rows['regression']['val/pa_mm']
    assert found['difference'] == pytest.approx(found['mean'] - rows['full']['val/pa_mm']['mean'])
    assert found['interval95'][0] <= found['difference'] <= found['interval95'][1]
    assert cli.main(words.replace('--steps 2', '--steps 3').split()) == 1
    assert 'other settings' in capsys.readouterr().err


def test_the_check_of_paper_compares_the_exported_model(capsys):
    config = paper_config(
        tokenizer=TOKENIZER,
        width=32,
        heads=2,
        layers=1,
        shape_layers=1,
        vit=ViTConfig(dimensions=64, depth=2, heads=2),
    )
    assert check_paper.check(config, 3) < check_paper.TOLERANCE
    printed = capsys.readouterr().out
    assert 'image encoder (ViT)' in printed and 'synthesizer, each iteration' in printed
