"""Two views of one hand whose place is known: the world's unit, what one view is off by, and the command."""

import dataclasses
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from maskhand_ros import cli, cli_arguments, files
from maskhand_ros.evaluation import evaluate_stereo
from maskhand_ros.evaluation.peer import PeerHand, placed
from maskhand_ros.evaluation.two_views import HandView, Pair, StereoCamera
from maskhand_ros.geometry import Camera, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import LEFT, RIGHT

UNIT = 0.041
"""Metres"""
PICTURES = 5


def _camera(turn, place):
    """A camera with distortion at `place` (3,), units, turned by `turn` (3,) rad from the world's axes."""
    camera = Camera(
        np.array([[300.0, 0, 161], [0, 305, 118], [0, 0, 1]]), 320, 240, np.array([0.1, -0.2, 1e-3, 0, 0])
    )
    rotation = rotvec_to_matrix(np.array(turn))
    return StereoCamera(camera, rotation, -rotation @ np.array(place))


# The second camera stands at a right angle to the first one's ray to the hand's wrist, which stays on it.
CAMERAS = [_camera((0.1, 0, 0), (0, 0, 0)), _camera((0.1, 0.8, 0.3), (14.0, 0, 0))]


@pytest.fixture(scope='module')
def hands():
    """Keypoints (PICTURES, 21, 3) of a right hand in the world, units: it turns and goes along the first
    camera's optical axis."""
    turns = rotvec_to_matrix(np.linspace([0.2, 0.5, 0], [1.5, -0.4, 1], PICTURES))
    keypoints = HandModel.load()(
        np.zeros((PICTURES, 10)), turns, np.tile(np.eye(3), (PICTURES, 15, 1, 1)), vertices=False
    ).keypoints
    ahead = CAMERAS[0].rotation[2]
    return (keypoints - keypoints[:, :1]) / UNIT + np.linspace(11, 15, PICTURES)[:, None, None] * ahead


def _hand_views(camera, hands, factor=1.0):
    """[HandView] of a StereoCamera in which the hands are `factor` times as far and as large as they are."""
    in_camera = hands @ camera.rotation.T + camera.translation
    return [
        HandView(factor * UNIT * points[0], factor * UNIT * points, camera.intrinsics.project(points), RIGHT)
        for points in in_camera
    ]


def test_exact_views_agree_and_the_unit_and_the_points_come_back(hands):
    first, second = (_hand_views(camera, hands) for camera in CAMERAS)
    first[1] = second[2] = first[2] = None
    first[3] = dataclasses.replace(first[3], side=LEFT)
    pair = Pair(CAMERAS, [first, second])
    assert pair.unit == pytest.approx(UNIT)
    assert pair.counts() == {'both': 3, 'one': 1, 'none': 1, 'sides_differ': 1}
    seen = [0, 3, 4]
    for values in (*pair.between().values(), *pair.against(pair.triangulated()).values()):
        assert np.flatnonzero(np.isfinite(values)).tolist() == seen
        assert values[seen] == pytest.approx(0, abs=1e-3)
    assert pair.triangulated()[seen] == pytest.approx(hands[seen], abs=1e-4)


def test_a_view_that_is_off_along_its_ray_shows_and_one_size_for_both_does_not(hands):
    near, far = ((hands @ camera.rotation.T + camera.translation) * UNIT for camera in CAMERAS)
    pair = Pair(CAMERAS, [_hand_views(CAMERAS[0], hands, 1.1), _hand_views(CAMERAS[1], hands)])
    assert pair.unit == pytest.approx(UNIT), 'the error is across the baseline'
    depth = (1.1 * near[:, 0, 2] + far[:, 0, 2]) / 2
    between = pair.between()
    assert between['wrist'] == pytest.approx(0.1 * np.linalg.norm(near[:, 0], axis=1) / depth)
    apart = 0.1 * np.linalg.norm(near, axis=2).mean(1)
    assert between['keypoints'] == pytest.approx(apart / depth)
    assert between['pa_mpjpe_mm'] == pytest.approx(0, abs=1e-9)
    from_wrist = np.linalg.norm(near - near[:, :1], axis=2).mean(1)
    assert between['mpjpe_mm'] == pytest.approx(1e3 * 0.1 * from_wrist)
    # What both see in the picture says which of them it is.
    against = pair.against(pair.triangulated())
    assert against['view_0'] == pytest.approx(apart / depth, rel=1e-3)
    assert against['view_1'] == pytest.approx(0, abs=1e-5)

    larger = Pair(CAMERAS, [_hand_views(camera, hands, 1.1) for camera in CAMERAS])
    assert larger.unit == pytest.approx(1.1 * UNIT)
    assert larger.between()['wrist'] == pytest.approx(0, abs=1e-9)


def test_a_peers_hand_of_any_size_is_placed_where_it_projects_to(hands):
    camera, length = CAMERAS[1], HandModel.load().length(np.zeros(10))
    truth = (hands[2] @ camera.rotation.T + camera.translation) * UNIT + [0.25, 0.1, 0]
    pixels = camera.intrinsics.project(truth)
    # Along the axes of a camera that looks at it, as a network has it that sees a crop.
    z = truth.mean(0) / np.linalg.norm(truth.mean(0))
    x = np.cross([0, 1, 0], z) / np.linalg.norm(np.cross([0, 1, 0], z))
    points = 0.7 * (truth - truth[0]) @ np.stack([x, np.cross(z, x), z], 1)
    found = placed(PeerHand(RIGHT, pixels, points), camera.intrinsics, length)
    assert found == pytest.approx(truth, abs=0.01 * truth[0, 2])


@pytest.fixture
def folder(tmp_path):
    """Two videos that tell their pictures' numbers by their grey, and their calibration."""
    entries = []
    for number, camera in enumerate(CAMERAS):
        video = cv2.VideoWriter(
            str(tmp_path / f'{number}.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 30, (320, 240)
        )
        for picture in range(PICTURES):
            video.write(np.full((240, 320, 3), 20 * picture + 100 * number, np.uint8))
        video.release()
        entries.append(
            {
                'video': f'elsewhere/{number}.avi',
                'fps': 30,
                'image_size': [320, 240],
                'camera_K': camera.intrinsics.K.tolist(),
                'distortion': camera.intrinsics.distortion.tolist(),
                'world_to_cam_R': camera.rotation.tolist(),
                'world_to_cam_t': camera.translation.tolist(),
            }
        )
    (tmp_path / 'calibration.json').write_text(json.dumps(entries))
    return tmp_path


class _Pipeline:
    """Finds the hand of the picture's number, `factor` times as far in the first view."""

    def __init__(self, hands, factor):
        self._hand_views = [_hand_views(CAMERAS[0], hands, factor), _hand_views(CAMERAS[1], hands)]

    def process(self, frame):
        view, picture = divmod(round(float(frame.rgb.mean()) / 20), 5)
        seen_hand = self._hand_views[view][picture]
        assert frame.stamp_ns == round(1e9 * picture / 30) and frame.camera.distortion.any()
        return [SimpleNamespace(**vars(seen_hand), wrist_position=seen_hand.wrist, score=1.0)]


@pytest.mark.parametrize(
    'factor, crumpled, status', [(1.0, None, 0), (1.1, None, 1), (1.0, 0.02, 0), (1.05, 0.0, 1)]
)
def test_the_command_fails_where_the_views_part_or_the_peer_is_better(
    folder, hands, monkeypatch, capsys, factor, crumpled, status
):
    def peer(paths, max_hands):
        view = int(files.read_image(paths[0]).mean() > 90)
        shape = np.random.default_rng(view).normal(0, crumpled, (21, 3))
        seen = _hand_views(CAMERAS[view], hands)
        found = [[PeerHand(RIGHT, s.keypoints_px, s.keypoints - s.wrist + shape)] for s in seen]
        return dict(zip(paths, found, strict=True)), 'fake'

    monkeypatch.setattr(evaluate_stereo, 'ask_mediapipe', peer)
    monkeypatch.setattr(cli_arguments, 'build_offline_pipeline', lambda *_, **__: _Pipeline(hands, factor))
    out = folder / 'out.json'
    words = [] if crumpled is None else ['--peer', 'mediapipe']
    assert cli.main(['evaluate-stereo', str(folder), '--json', str(out), *words]) == status
    assert ('MISSED' in capsys.readouterr().out) == bool(status)
    report = json.loads(out.read_text())
    assert report['systems']['smoothing adaptive']['both'] == PICTURES
    assert bool(report['difference']) == bool(words)
