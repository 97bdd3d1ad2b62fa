"""Fine-tuning on pictures of one's own: labels become truth, the result is a weights folder, mistakes are
named."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from maskhand_ros.cli import main
from maskhand_ros.crop_camera import CropCamera
from maskhand_ros.geometry import project, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.model.from_folder import read_model
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.training.finetune_data import split
from maskhand_ros.training.label_fit import LabelFit

COUNT = 6


@pytest.fixture(scope='module')
def pictures(clip, tmp_path_factory):
    """Frames of the bundled clip: four with labels of both hands, one without, one said to show no hand."""
    folder = tmp_path_factory.mktemp('pictures')
    frames, entries = list(clip.frames()), []
    chosen = np.flatnonzero(clip.visible.all(1))
    chosen = chosen[np.linspace(0, len(chosen) - 1, COUNT).astype(int)]
    for place, number in enumerate(chosen):
        name = f'{number:04d}.png'
        cv2.imwrite(str(folder / name), cv2.cvtColor(frames[number], cv2.COLOR_RGB2BGR))
        for column, side in enumerate(('left', 'right')):
            points = clip.keypoints[number, column]
            entry = {'image': name, 'handedness': side, 'camera_K': clip.K.tolist()}
            entry |= {'keypoints_2d': project(points, clip.K).tolist()}
            entry |= {'keypoints_3d_mm': (1000 * points).tolist()}
            if place < 4:
                entries.append(entry)
    entries.append({'image': name, 'hand': False})
    (folder / 'index.json').write_text(json.dumps(entries))
    return folder


def finetune(pictures, rendered, out, *more):
    words = ['finetune', '--data', str(pictures), '--out', str(out), '--anchor', str(rendered)]
    return main([*words, '--keypoint-set', 'mano', '--batch-size', '8', *more])


def test_the_result_is_a_weights_folder_that_says_what_it_is(pictures, rendered, tmp_path, capsys):
    assert finetune(pictures, rendered, tmp_path / 'mine', '--steps', '6', '--hold-out', '2') == 0
    assert HandPipeline(PipelineConfig(weights_dir=str(tmp_path / 'mine'))).model_name.startswith('mine ')
    before, after = (read_model(folder)[0].state_dict() for folder in (SHIPPED, tmp_path / 'mine'))
    moved = {name.split('.')[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {'context', 'synthesizer'}
    spread = [name for name in before if 'mean' in name or 'std' in name]
    assert spread and all(torch.equal(before[name], after[name]) for name in spread)

    old, new = (json.loads((folder / 'model.json').read_text()) for folder in (SHIPPED, tmp_path / 'mine'))
    assert new['calibration'] == old['calibration']
    assert new['training']['started_from']['version'] == old['version']
    counted = new['training']['finetuned']
    assert (counted['pictures with labels'], counted['pictures without']) == (4, 1)
    # Of four labelled pictures two teach; the one without, by the model's own answers.
    assert counted['hands of held-out pictures with labels'] == 4
    assert 4 <= counted['hands of the pictures to train on'] <= 6

    printed, card = capsys.readouterr().out, (tmp_path / 'mine/CARD.md').read_text()
    assert '| renders, network alone: PA-MPJPE, mm |' in printed and 'hands found, of 4 |' in printed
    assert all(line in card for line in printed.splitlines() if line.startswith('|'))
    assert 'maskhand-compact' in card and str(pictures) not in card

    assert finetune(pictures, rendered, tmp_path / 'mine') == 1
    assert 'is not empty. Fix: give a new folder' in capsys.readouterr().err
    assert finetune(pictures, rendered, tmp_path / 'other', '--start-from', str(pictures / 'index.json')) == 1
    assert 'needs a whole weights folder. Fix: maskhand export' in capsys.readouterr().err


def test_pictures_without_hands_are_counted_and_the_fix_is_named(rendered, tmp_path, capsys):
    (tmp_path / 'walls').mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'walls/{number}.png'), np.full((240, 320, 3), 90, np.uint8))
    (tmp_path / 'walls/broken.jpg').write_bytes(b'no picture')
    assert finetune(tmp_path / 'walls', rendered, tmp_path / 'mine') == 1
    error = capsys.readouterr().err
    assert '4 pictures' in error and 'no hand found (' in error and 'Fix: add pictures, or labels' in error
    assert not list((tmp_path / 'mine').iterdir())
    shutil.rmtree(tmp_path / 'walls')
    assert finetune(tmp_path / 'walls', rendered, tmp_path / 'mine') == 1
    assert 'there is no folder' in capsys.readouterr().err


def test_every_kth_sequence_is_held_out_whole():
    class Named:
        def __init__(self, sequence):
            self.sequence = sequence

    images = {f'{k:02d}': [Named(f's{k // 5}')] for k in range(20)}
    kept, held = split(images, 4)
    assert list(held) == ['15', '16', '17', '18', '19'] and len(kept) == 15
    kept, held = split({name: [Named('one')] for name in images}, 4)
    assert list(held) == ['15', '16', '17', '18', '19']
    kept, held = split(dict.fromkeys(images, []), 4)
    assert list(held) == ['03', '07', '11', '15', '19']


@pytest.mark.parametrize('labelled', [21, 14])
def test_a_hand_is_fitted_to_its_labels_however_far_the_network_is_off(labelled):
    """Truth: fingers bent by 0.6 rad more than the prediction says, and the hand turned by 0.4 rad."""
    rng, model = np.random.default_rng(0), HandModel.load()
    count = 8
    angles = 0.1 * rng.standard_normal((count, 15, 3)) + np.array([0, 0.1, 0.4])
    orient = rotvec_to_matrix(0.5 * rng.standard_normal((count, 3)))
    true_pose = rotvec_to_matrix(angles + np.array([0, 0.2, 0.5]))
    true_orient = rotvec_to_matrix(np.array([0.2, -0.2, 0.25])) @ orient
    betas, focal = np.zeros((count, 10)), np.full(count, 600.0)
    truth = model(betas, true_orient, true_pose, vertices=False).keypoints
    points = truth + np.array([0, 0.05, 0.6])
    matrix = CropCamera(np.eye(3), 600.0).matrix
    pixels = np.stack([project(each, matrix) for each in points])
    pixels[:, labelled:] = np.nan
    guess = model(betas, orient, rotvec_to_matrix(angles), vertices=False).keypoints
    prediction = HandPrediction(
        orient,
        rotvec_to_matrix(angles),
        betas,
        np.tile([600 / 0.6 / 224, 0.0, 0.05], (count, 1)),
        guess,
        np.ones((count, 15)),
        np.ones(count),
        np.full((count, 21, 2), 0.01),
    )
    placed = LabelFit(model, model)(prediction, focal, pixels, truth if labelled == 21 else None)
    pose, turned = np.stack([hand.pose for hand in placed]), np.stack([hand.orient for hand in placed])
    fitted = model(np.stack([hand.betas for hand in placed]), turned, pose, vertices=False).keypoints
    sizes = np.array([hand.size for hand in placed])[:, None, None]
    found = sizes * fitted + np.stack([hand.position for hand in placed])[:, None]
    again = np.stack([project(each, matrix) for each in found])
    error = np.linalg.norm(again - pixels, axis=-1)[:, :labelled]
    before = np.linalg.norm(
        np.stack([project(each + [0, 0.05, 0.6], matrix) for each in guess]) - pixels, axis=-1
    )[:, :labelled]
    assert before.mean() > 30 and error.mean() < 0.12 * before.mean()
    if labelled == 21:
        assert (
            np.linalg.norm(fitted - truth, axis=-1).mean()
            < 0.3 * np.linalg.norm(guess - truth, axis=-1).mean()
        )
