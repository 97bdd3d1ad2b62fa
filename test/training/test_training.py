"""The training loops on tiny synthetic data: they learn, and stopping changes nothing."""

import argparse

import pytest
import torch
from lightning_fabric import Fabric

from maskhand_ros.data_engine.shard_store import ShardStore
from maskhand_ros.hand_model.torch_hand import TorchHand
from maskhand_ros.model.losses import variance_loss
from maskhand_ros.model.rotation import matrix_to_rotation_6d
from maskhand_ros.training.cue_augmentation import augment
from maskhand_ros.training.loop import TrainingRun
from maskhand_ros.training.objective import Objective
from maskhand_ros.training.procrustes import aligned_errors
from maskhand_ros.training.start import start_from
from maskhand_ros.training.train_tokenizer import TokenizerObjective


def arguments(out, steps):
    return argparse.Namespace(out=out, steps=steps, minutes=0.0, learning_rate=2e-3, seed=0)


def one_process():
    return Fabric(accelerator='cpu', devices=1)


def train(model, store, args, stop=None, bf16=False):
    """Loss of each step up to `stop`, and the run."""
    run = TrainingRun(model, Objective(model, TorchHand(), bf16), args, one_process())
    model.train()
    losses, cue_hand = [], TorchHand()
    while run.running() and run.step != stop:
        cues, truth = store.batch(torch.randint(len(store), (16,), generator=run.generator))
        loss, _ = run.update(augment(cues, truth, cue_hand, run.generator), truth, run.generator)
        losses.append(loss.item())
    run.save()
    return losses, run


@pytest.mark.parametrize('bf16', [False, True])
def test_twenty_steps_reduce_the_loss(tiny_model, shards, tmp_path, bf16):
    store = ShardStore(shards, 'train')
    tiny_model.context.set_statistics(store.batch(torch.arange(len(store)))[0])
    losses, run = train(tiny_model, store, arguments(tmp_path, 20), bf16=bf16)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert any(not torch.equal(run.ema[name], value) for name, value in tiny_model.state_dict().items())


def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(tiny_model, shards, tmp_path):
    store = ShardStore(shards, 'train')
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    whole, _ = train(tiny_model, store, arguments(tmp_path / 'whole', 8))
    tiny_model.load_state_dict(start)
    first, _ = train(tiny_model, store, arguments(tmp_path / 'parts', 8), stop=3)
    tiny_model.load_state_dict(start)
    second, run = train(tiny_model, store, arguments(tmp_path / 'parts', 8))
    assert len(first) == 3 and len(second) == 5
    assert torch.allclose(torch.tensor(first + second), torch.tensor(whole), rtol=1e-4)


def test_a_run_starts_from_the_averaged_weights_of_another(tiny_model, shards, tmp_path):
    _, run = train(tiny_model, ShardStore(shards, 'train'), arguments(tmp_path, 3))
    run.extra = {'config': tiny_model.config.to_dict(), 'summary': {'steps': 3}}
    run.save()
    model, known = start_from(str(run.path))
    assert known == {'training': {'steps': 3}} and model.config == tiny_model.config
    assert all(torch.equal(run.ema[name], value) for name, value in model.state_dict().items())


def test_tokenizer_learns(tiny_model, shards, tmp_path):
    tokenizer, hand = tiny_model.tokenizer.requires_grad_(True), TorchHand()
    pose = matrix_to_rotation_6d(ShardStore(shards, 'train').tensors['hand_pose'])
    run = TrainingRun(tokenizer, TokenizerObjective(tokenizer, hand), arguments(tmp_path, 20), one_process())
    losses = []
    while run.running():
        (loss,) = run.update(pose)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_new_shards_are_picked_up_and_half_written_ones_wait(fake_shard, tmp_path):
    fake_shard(tmp_path / 'train-0-0000.npz', 8)
    store = ShardStore(tmp_path, 'train')
    (tmp_path / 'train-0-0001.npz').write_bytes((tmp_path / 'train-0-0000.npz').read_bytes()[:5000])
    assert store.refresh() == 0 and len(store) == 8
    fake_shard(tmp_path / 'train-0-0001.npz', 8, 1)
    assert store.refresh() == 8 and len(store) == 16
    with pytest.raises(FileNotFoundError, match='maskhand train data'):
        ShardStore(tmp_path, 'val')


def test_replaced_cues_agree_with_the_truth_but_for_their_noise(shards):
    store, hand = ShardStore(shards, 'train'), TorchHand()
    cues, truth = store.batch(torch.arange(len(store)))
    changed = augment(cues, truth, hand, torch.Generator().manual_seed(0))
    error = ((changed['landmarks'][..., :2] + 0.5) * 224 - truth['keypoints_px']).norm(dim=-1).mean(1)
    assert 0.5 < error.median() < 12 and error.max() < 60
    assert aligned_errors(changed['world_landmarks'], truth['keypoints']).max() < 0.04


def test_variance_loss_is_least_at_the_true_variance():
    torch.manual_seed(0)
    error = torch.randn(4000, 21, 3) * torch.tensor([0.005, 0.005, 0.02])
    spread = torch.zeros(1, 21, 2, requires_grad=True)
    optimizer = torch.optim.Adam([spread], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        variance_loss(
            spread.expand(4000, 21, 2) - 9, error, torch.zeros_like(error), torch.ones(4000)
        ).backward()
        optimizer.step()
    stddev = ((spread.detach() - 9) / 2).exp()[0, 1:].mean(0)
    assert torch.allclose(stddev, torch.tensor([0.005, 0.02]), rtol=0.05)
