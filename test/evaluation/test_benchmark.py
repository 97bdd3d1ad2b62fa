"""The benchmarks' points and figures on planted predictions, and the command on a small data set."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.datasets import LabelledHand
from maskhand_ros.evaluation.protocols import (
    NO_MESH,
    PROTOCOLS,
    Prediction,
    figures,
    measure,
    prediction_from,
)
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.skeleton import LEFT, RIGHT

K = np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1.0]])


class Mano:
    """As much of MANO's HandModel as a benchmark asks for."""

    name = 'mano'
    J_regressor = np.random.default_rng(0).dirichlet(np.ones(778), 16)


class Found:
    """As much of a Hand as a benchmark asks for."""

    def __init__(self, side=RIGHT, metric=True):
        rng = np.random.default_rng(1)
        self.side = side
        self.wrist_rotation = rotvec_to_matrix([0.4, 0.2, -1])
        self.wrist_position = np.array([0.1, 0, 0.5]) if metric else None
        self.keypoints_wrist, self.joints_wrist = rng.normal(size=(21, 3)), rng.normal(size=(16, 3))
        self.vertices, self.keypoints_px = rng.normal(size=(778, 3)), rng.normal(size=(21, 2))

    def in_camera(self, points):
        return points @ self.wrist_rotation.T + (0 if self.wrist_position is None else self.wrist_position)


def labelled(number=0, side='right', **changes):
    points = np.random.default_rng(number).normal(scale=0.04, size=(21, 3)) + [0, 0, 0.6]
    image = points @ K.T
    values = dict(K=K, keypoints=points, bbox=np.array([0, 0, 200, 100.0]))
    pixels = image[:, :2] / image[:, 2:]
    return LabelledHand(Path(f'{number}.jpg'), 'test', None, side, pixels, **{**values, **changes})


def exact(hand, shift=0.0, shift_px=0.0, vertices=None):
    return Prediction(hand.keypoints + shift, hand.keypoints_px + shift_px, vertices, metric=True)


@pytest.mark.parametrize('name', ['freihand', 'ho3d', 'dexycb'])
def test_points_are_the_benchmarks_own_with_mano(name):
    """Tips are the published vertices; FreiHAND's joints are regressed from the posed mesh."""
    tips = {
        'freihand': [744, 320, 443, 555, 672],
        'ho3d': [744, 333, 444, 555, 672],
        'dexycb': [745, 317, 444, 556, 673],
    }[name]
    for side in (RIGHT, LEFT):
        found = Found(side)
        prediction = prediction_from(found, Mano, PROTOCOLS[name])
        vertices = found.in_camera(found.vertices)
        expected = list(tips)
        if name == 'dexycb' and side == LEFT:
            expected[2] = 445
        np.testing.assert_allclose(prediction.keypoints[[4, 8, 12, 16, 20]], vertices[expected])
        joints = Mano.J_regressor @ vertices if name == 'freihand' else found.in_camera(found.joints_wrist)
        # MANO: wrist, index, middle, little, ring, thumb.
        ours = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3]
        np.testing.assert_allclose(prediction.keypoints[ours], joints)


def test_another_mesh_keeps_its_keypoints_and_has_no_vertex_figures():
    class Open:
        name = 'open hand'

    found = Found(metric=False)
    prediction = prediction_from(found, Open, PROTOCOLS['freihand'])
    np.testing.assert_allclose(prediction.keypoints, found.keypoints_wrist @ found.wrist_rotation.T)
    assert prediction.vertices is None and not prediction.metric
    hand = labelled()
    results = [measure(hand, exact(hand), PROTOCOLS['freihand'])]
    values = figures(results, PROTOCOLS['freihand'], has_mesh=False)
    assert values['PA-MPVPE mm'] == values['F@5'] == NO_MESH
    assert values['PA-MPJPE mm'] == pytest.approx(0, abs=1e-6)


def test_freihand_and_dexycb_figures_of_planted_errors():
    mesh = np.random.default_rng(5).normal(scale=0.04, size=(778, 3)) + [0, 0, 0.6]
    hand = labelled()
    shifted = exact(hand, shift=np.array([0.03, 0, 0]), vertices=mesh + [0.03, 0.01, 0])
    values = figures([measure(hand, shifted, PROTOCOLS['freihand'], mesh)], PROTOCOLS['freihand'], True)
    assert values['PA-MPVPE mm'] == pytest.approx(0, abs=1e-6)
    assert values['F@5'] == values['F@15'] == 1 and values['AUC_V'] > 0.99
    values = figures([measure(hand, shifted, PROTOCOLS['dexycb'], mesh)], PROTOCOLS['dexycb'], True)
    assert values['absolute MPJPE mm'] == pytest.approx(30)
    assert values['MPJPE mm'] == pytest.approx(0, abs=1e-9)
    assert values['MPVPE mm'] == pytest.approx(10)


def test_hint_pck_by_the_box_and_a_miss_is_wrong():
    hand = labelled(bbox=np.array([0, 0, 200, 100.0]))
    off = measure(hand, exact(hand, shift_px=np.array([15.0, 0])), PROTOCOLS['hint'])
    assert list(figures([off], PROTOCOLS['hint'], False).values()) == [0, 1, 1]
    missed = measure(hand, None, PROTOCOLS['hint'])
    assert list(figures([off, missed], PROTOCOLS['hint'], False).values()) == [0, 0.5, 0.5]


def test_interhand_single_interacting_and_mrrpe():
    single, right, left = labelled(0), labelled(1, bbox=None), labelled(1, 'left', bbox=None)
    tip = np.zeros((21, 3))
    tip[4, 0] = 0.021
    results = [
        measure(single, exact(single, tip), PROTOCOLS['interhand']),
        measure(right, exact(right, 3 * tip), PROTOCOLS['interhand']),
        measure(left, exact(left, np.array([0.0, 0.004, 0])), PROTOCOLS['interhand']),
    ]
    values = figures(results, PROTOCOLS['interhand'], False)
    assert values['MPJPE single mm'] == pytest.approx(1)
    assert values['MPJPE interacting mm'] == pytest.approx(63 / 42)
    assert values['MPJPE all mm'] == pytest.approx((21 + 63) / 2 / 42)
    assert values['MRRPE mm'] == pytest.approx(4)
    unlabelled = labelled(2)
    unlabelled.valid[0], unlabelled.keypoints[0], unlabelled.keypoints_px[0] = False, np.nan, np.nan
    result = measure(unlabelled, exact(labelled(2)), PROTOCOLS['interhand'])
    assert np.isnan(result.errors['joints_root']).all(), 'without its root a hand is not measured'


@pytest.mark.parametrize('boxes', ['given', 'detect'])
def test_command_on_a_small_data_set(tmp_path, capsys, boxes):
    """HO-3D with its published labels; the picture is blank, so that only a given box has a hand."""
    pytest.importorskip('onnxruntime')
    write_ho3d(tmp_path)
    out = tmp_path / 'out.json'
    words = ['benchmark', 'ho3d', '--root', str(tmp_path), '--boxes', boxes, '--json', str(out)]
    assert cli.main([*words, '--threads', '1']) == 0
    report = json.loads(out.read_text())['splits']['evaluation']
    assert report['hands'] == 1 and report['found'] == int(boxes == 'given')
    error = report['figures']['PA-MPJPE mm']
    assert error > 1 if boxes == 'given' else error is None
    assert NO_MESH in capsys.readouterr().out


def test_a_damaged_picture_is_reported_and_its_hand_is_missed(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    picture = write_ho3d(tmp_path)
    picture.write_bytes(picture.read_bytes()[:-100])
    out = tmp_path / 'out.json'
    assert cli.main(['benchmark', 'ho3d', '--root', str(tmp_path), '--json', str(out)]) == 1
    assert '0000.jpg is a JPEG that ends before its image data does. Fix:' in capsys.readouterr().err
    report = json.loads(out.read_text())
    assert list(report['unreadable']) == [str(picture)]
    assert (report['splits']['evaluation']['hands'], report['splits']['evaluation']['found']) == (1, 0)


def write_ho3d(root):
    """HO-3D with one blank picture in its evaluation split; returns the picture's path."""
    for folder in ('rgb', 'meta'):
        (root / 'evaluation/SM1' / folder).mkdir(parents=True)
    picture = root / 'evaluation/SM1/rgb/0000.jpg'
    cv2.imwrite(str(picture), np.full((480, 640, 3), 90, np.uint8))
    points = labelled().keypoints * [1, -1, -1]
    meta = {'handJoints3D': points[0], 'camMat': K, 'handBoundingBox': [250, 180, 390, 300]}
    (root / 'evaluation/SM1/meta/0000.pkl').write_bytes(pickle.dumps(meta))
    (root / 'evaluation.txt').write_text('SM1/0000\n')
    (root / 'evaluation_xyz.json').write_text(json.dumps([points.tolist()]))
    return picture


def test_hint_without_ego4d_reports_the_rest(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    folder = tmp_path / 'HInt_annotation_partial/TEST_newdays_img'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'ND_a_r.jpg'), np.full((480, 640, 3), 90, np.uint8))
    (tmp_path / 'hamer_evaluation_data').mkdir()
    for subset in ('all', 'vis', 'occ'):
        np.savez(
            tmp_path / f'hamer_evaluation_data/TEST_newdays_img_{subset}.npz',
            imgname=np.array(['ND_a_r.jpg']),
            center=np.array([[320.0, 240.0]]),
            scale=np.array([100.0]),
            right=np.ones(1),
            hand_keypoints_2d=np.full((1, 21, 3), 300.0),
        )
    assert cli.main(['benchmark', 'hint', '--root', str(tmp_path), '--threads', '1']) == 0
    said = capsys.readouterr().out
    assert said.count('1 of 1 hands') == 3 and said.count('is left out') == 6
