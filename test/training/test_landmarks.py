"""Training of the landmark network: labels agree with the renders, and some steps bring it nearer to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from maskhand_ros import cli
from maskhand_ros.data_engine.image_store import ImageShards, decoded_samples
from maskhand_ros.data_engine.shard_store import ShardStore
from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.hand_model.torch_hand import TorchHand
from maskhand_ros.model.export import write_description
from maskhand_ros.model.landmark_network import LandmarkNetwork
from maskhand_ros.perception.config import PipelineConfig
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.training.landmark_batches import PhotographBatches, covered, mirrored, render_labels
from maskhand_ros.training.photographs import label_photographs
from maskhand_ros.training.train_landmarks import mixed

FILE = SHIPPED / 'landmarks.onnx'


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of images: 24 rendered crops to train on."""
    folder = tmp_path_factory.mktemp('images')
    assert cli.main(['train', 'images', '--out', str(folder), '--samples', '24', '--mix', '1']) == 0
    return folder


def labelled(folder: Path) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    hand = HandModel.load(None, 'mediapipe')
    cues, truth = next(ImageShards(folder, 'train', hand.name).once(24, 24))
    return cues['image'].permute(0, 3, 1, 2).float() / 255, render_labels(truth, TorchHand(hand))


def pixel_error(path: Path, folder: Path) -> float:
    """Median distance (px) of a network's landmarks from the labels of the visible keypoints."""
    crops, labels = labelled(folder)
    with torch.no_grad():
        found = LandmarkNetwork(path)(crops)['landmarks'].unflatten(1, (21, 3))
    off = (found[..., :2] - labels['pixels']).norm(dim=-1)
    return off[labels['visible'] > 0].median().item()


def test_labels_lie_where_mediapipe_puts_them(images: Path) -> None:
    crops, labels = labelled(images)
    assert pixel_error(FILE, images) < 8
    with torch.no_grad():
        found = LandmarkNetwork(FILE)(crops)
    landmarks = found['landmarks'].unflatten(1, (21, 3))
    depth = (landmarks[..., 2] - landmarks[:, :1, 2]).flatten()
    wanted = (labels['z'] - labels['z'][:, :1]).flatten()
    assert np.corrcoef(depth, wanted)[0, 1] > 0.7  # the same axis and sign
    world = found['world_landmarks'].unflatten(1, (21, 3))
    for axis in range(3):
        assert np.corrcoef(world[..., axis].flatten(), labels['world'][..., axis].flatten())[0, 1] > 0.3


def test_a_mirrored_crop_has_mirrored_labels(images: Path) -> None:
    crops, labels = labelled(images)
    rng = np.random.default_rng(0)
    flipped, of_flipped = mirrored(crops, labels, rng)
    left = of_flipped['handedness'][:, 0] == 0
    assert 0 < left.sum() < len(left)
    torch.testing.assert_close(flipped[left], crops[left].flip(-1))
    found = of_flipped['pixels'][left][..., 0] + labels['pixels'][left][..., 0]
    torch.testing.assert_close(found, torch.full_like(found, CROP_SIZE - 1.0))


def test_training_brings_the_network_nearer_and_can_be_mixed(images: Path, tmp_path: Path) -> None:
    photographs = tmp_path / 'photographs'
    photographs.mkdir()
    for k, sample in enumerate(decoded_samples(next(images.glob('*.tar')))):
        if k % 4 == 0:
            cv2.imwrite(str(photographs / f'{k}.png'), sample['image'][..., ::-1])
    run = [
        *('train', 'landmarks', '--data', str(images), '--photographs', str(photographs), '--steps', '16'),
        *('--batch-size', '8', '--of-photographs', '2', '--learning-rate', '2e-3', '--bf16', '--mix', '1'),
        *('--hard', '0.5', '--out', str(tmp_path / 'run')),
    ]
    assert cli.main(run) == 0
    assert pixel_error(tmp_path / 'run/landmarks.onnx', images) < 0.9 * pixel_error(FILE, images)
    curve = json.loads((tmp_path / 'run/curve.json').read_text())
    assert curve[-1]['step'] == 16
    weights = tmp_path / 'weights'  # the run time takes it, heads and all
    shutil.copytree(SHIPPED, weights)
    shutil.copyfile(tmp_path / 'run/landmarks.onnx', weights / 'landmarks.onnx')
    (weights / 'landmarks_int8.onnx').unlink(missing_ok=True)  # of the shipped landmark network
    write_description(weights, json.loads((weights / 'model.json').read_text()))
    HandPipeline(PipelineConfig(weights_dir=str(weights)))
    before, after = ({'weights.a': torch.tensor(value)} for value in (1.0, 3.0))
    assert mixed(before, after, 0.25)['weights.a'] == 1.5


def test_only_the_heads_train_and_nothing_else_changes(images: Path, tmp_path: Path) -> None:
    run = ['train', 'landmarks', '--data', str(images), '--only', 'heads', '--steps', '12']
    assert cli.main([*run, '--batch-size', '8', '--out', str(tmp_path / 'run')]) == 0
    crops = np.stack([sample['image'] for sample in decoded_samples(next(images.glob('*.tar')))][:4])
    before, after = (CueNetwork(path)(crops) for path in (FILE, tmp_path / 'run/landmarks.onnx'))
    heads = {'visibility', 'landmark_log_variance'}
    for name in before.keys() - heads:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert after['visibility'].shape == after['landmark_log_variance'].shape == (4, 21)
    assert heads <= after.keys() and np.ptp(after['visibility']) > 0.01
    if heads <= before.keys():
        assert np.abs(after['visibility'] - before['visibility']).max() > 1e-3
    evaluate = ['train', 'evaluate', '--images', str(images), '--splits', 'train']
    where = ['--weights', str(tmp_path / 'run'), '--json', str(tmp_path / 'figures.json')]
    assert cli.main([*evaluate, *where]) == 0
    figures = json.loads((tmp_path / 'figures.json').read_text())['landmarks']['train']
    assert 20 <= figures['hands'] <= 24 and 0.5 < figures['visible_map'] <= 1
    off = pixel_error(tmp_path / 'run/landmarks.onnx', images)
    assert off < figures['visible_landmark_error_px'] < 4 * off  # a mean, against a median


def test_what_a_patch_covers_is_not_visible(images: Path) -> None:
    crops, labels = labelled(images)
    pictures = np.uint8(255 * crops.permute(0, 2, 3, 1).numpy())
    patched, after = covered(pictures, labels, np.random.default_rng(0), share=1)
    places = np.rint(labels['pixels'].numpy()).astype(int)
    changed = (patched != pictures).any(-1)
    hidden = (labels['visible'] - after['visible']).numpy() > 0
    assert hidden.sum() > 20
    for k, point in zip(*np.nonzero(hidden), strict=True):
        x, y = places[k, point]
        assert changed[k, y - 2 : y + 3, x - 2 : x + 3].any()
    seen = after['visible'].numpy() > 0
    under = [
        changed[k, y - 2 : y + 3, x - 2 : x + 3] for k, row in enumerate(places) for x, y in row[seen[k]]
    ]
    assert not any(part.size and part.all() for part in under)


def test_photographs_are_labelled_by_the_frozen_network(images: Path, tmp_path: Path) -> None:
    samples = list(decoded_samples(next(images.glob('*.tar'))))
    for k, sample in enumerate(samples[:6]):
        cv2.imwrite(str(tmp_path / f'{k}.png'), sample['image'][..., ::-1])
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((100, 80, 3), 128, np.uint8))
    network = CueNetwork(FILE)
    found = label_photographs(tmp_path, network)
    assert 1 <= len(found.images) <= 6  # the grey picture shows no hand
    batch, labels = PhotographBatches(found).batch(4, np.random.default_rng(1))
    seen = CROP_SIZE * (network(batch)['landmarks'][..., :2] + 0.5)
    assert np.median(np.linalg.norm(seen - labels['pixels'].numpy(), axis=-1)) < 5


def test_cues_of_stored_crops_are_those_of_the_network_that_is_named(images: Path, tmp_path: Path) -> None:
    network = LandmarkNetwork(FILE)
    with torch.no_grad():
        network.weights['bias_165'] += 22.4  # every landmark a tenth of the crop further
    (tmp_path / 'weights').mkdir()
    network.save(tmp_path / 'weights/landmarks.onnx')
    command = ['train', 'cues', '--images', str(images)]
    assert cli.main([*command, '--out', str(tmp_path / 'a')]) == 0
    other = ['--out', str(tmp_path / 'b'), '--weights-dir', str(tmp_path / 'weights')]
    assert cli.main([*command, *other]) == 0
    stores = [ShardStore(tmp_path / name, 'train') for name in 'ab']
    (one, truth), (two, _) = (store.batch(torch.arange(24)) for store in stores)
    torch.testing.assert_close(two['landmarks'], one['landmarks'] + 0.1, atol=2e-3, rtol=0)
    torch.testing.assert_close(two['map_157'], one['map_157'])
    wanted = next(ImageShards(images, 'train', HandModel.load().name).once(24, 24))[1]
    torch.testing.assert_close(truth['keypoints'], wanted['keypoints'])
