"""The data engine: poses that a hand can take, pictures that agree with their truth, shards that resume."""

import argparse

import cv2
import numpy as np
import pytest

from maskhand_ros.crop_camera import CropCamera
from maskhand_ros.geometry import CROP_SIZE
from maskhand_ros.shard_schema import CUE_SHARD

pytest.importorskip('scipy', reason='the data engine needs the extra `train`')
from maskhand_ros.data_engine import poses, prototypes, scenes, shards  # noqa: E402
from maskhand_ros.data_engine.anatomy import THUMB  # noqa: E402
from maskhand_ros.data_engine.meshes import anatomy_of  # noqa: E402

TIPS = {'thumb': 4, 'index': 8}


@pytest.fixture(scope='module')
def anatomy(hand):
    return anatomy_of(hand)


def test_sampled_poses_respect_limits_and_do_not_pass_through_themselves(anatomy):
    angles = poses.sample_angles(anatomy, 500, np.random.default_rng(0))
    assert (angles >= prototypes.LOW - 1e-9).all() and (angles <= prototypes.HIGH + 1e-9).all()
    assert poses.clear(anatomy, angles).all()
    assert angles.std(0)[:, :3].min() > 0.15, 'every joint must move'
    # The check itself must see a thumb that is pushed through the index finger.
    through = anatomy.touch(
        poses.prototype_angles(anatomy, 'pinch')[None],
        np.array([0]),
        np.array([1]),
        np.array([0.0]),
        prototypes.LOW,
        prototypes.HIGH,
        iterations=30,
    )
    assert not poses.clear(anatomy, through).any()


def test_flat_is_straight_and_kinematics_agree_with_the_hand_model(hand, anatomy):
    angles = np.stack([poses.prototype_angles(anatomy, name) for name in prototypes.PROTOTYPES])
    angles[0, :THUMB, :3] = 0
    pose = anatomy.rotations(angles)
    points, _ = anatomy.points(angles)
    out = hand(np.zeros((len(pose), 10)), np.tile(np.eye(3), (len(pose), 1, 1)), pose, vertices=False)
    np.testing.assert_allclose(out.joints[:, 1:].reshape(-1, 5, 3, 3), points[:, :, :3], atol=1e-5)
    np.testing.assert_allclose(out.keypoints[:, [8, 12, 20, 16, 4]], points[:, :, 3], atol=3e-3)
    bones = np.diff(points[0, :THUMB], axis=1)
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    assert (bones[:, :-1] * bones[:, 1:]).sum(-1).min() > np.cos(np.deg2rad(12)), 'zero is straight'


@pytest.mark.parametrize('name', ['pinch', 'ok', 'tripod'])
def test_thumb_and_index_tips_meet(hand, anatomy, name):
    pose = anatomy.rotations(poses.prototype_angles(anatomy, name)[None])
    tips = hand(np.zeros((1, 10)), np.eye(3)[None], pose, vertices=False).keypoints[
        0, [TIPS['thumb'], TIPS['index']]
    ]
    assert np.linalg.norm(tips[0] - tips[1]) < 0.012


def test_camera_views_face_the_lens_and_stress_views_are_uniform():
    rng = np.random.default_rng(0)
    fingers = {
        kind: np.stack([-scenes.sample_orientation(kind, rng)[:, 0] for _ in range(600)])
        for kind in scenes.KINDS
    }
    assert np.abs(fingers['stress'].mean(0)).max() < 0.1
    assert np.median(np.abs(fingers['camera'][:, 2])) < 0.45, 'most fingers lie across the viewing ray'
    assert fingers['camera'][:, 1].mean() < -0.4, 'arms mostly come from below'


def test_silhouette_agrees_with_projected_vertices(maker):
    """The truth is where the pixels are: coverage and projected skin fill the same part of the crop."""
    rng = np.random.default_rng(1)
    crop = CropCamera(np.eye(3), 420.0)
    light, material = scenes.sample_light(rng), {**scenes.sample_material(rng), 'sleeve_from': 9.0}
    orient = np.stack([scenes.sample_orientation('stress', rng) for _ in range(6)])
    pose = maker.anatomy.rotations(poses.sample_angles(maker.anatomy, 6, rng))
    vertices, keypoints = maker.mesh.pose(np.zeros((6, 10)), orient, pose, np.tile(np.eye(3), (6, 1, 1)))
    for points, joints in zip(vertices, keypoints, strict=True):
        shift = np.array([0.01, -0.02, 0.6]) - joints.mean(0)
        mesh = maker.mesh.mesh(points + shift, joints + shift, material)
        _, coverage = maker.renderer.draw([mesh], crop.matrix, light, supersample=2)
        pixels = crop.project(points + shift)
        inside = pixels[((pixels > 1) & (pixels < CROP_SIZE - 2)).all(1)]
        covered = coverage > 127
        touched = cv2.dilate(coverage, np.ones((3, 3), np.uint8)) > 0
        assert touched[tuple(np.rint(inside).astype(int).T[::-1])].all()
        rows, columns = np.nonzero(covered)
        low, high = inside.min(0), inside.max(0)
        assert (
            np.abs(
                [columns.min() - low[0], rows.min() - low[1], columns.max() - high[0], rows.max() - high[1]]
            ).max()
            < 3
        )


def test_truth_is_in_the_crop_camera(maker, hand):
    crops, truth = maker.make(['camera', 'stress'] * 3, np.random.default_rng(2))
    assert crops.shape == (6, CROP_SIZE, CROP_SIZE, 3) and crops.dtype == np.uint8 and crops.std() > 10
    again = hand(truth['betas'], truth['global_orient'], truth['hand_pose'], vertices=False).keypoints
    np.testing.assert_allclose(again, truth['keypoints'], atol=1e-5)
    points = truth['keypoints'] + truth['wrist'][:, None]
    pixels = points[..., :2] / points[..., 2:] * truth['focal'][:, None, None] + (CROP_SIZE - 1) / 2
    np.testing.assert_allclose(pixels, truth['keypoints_px'], atol=0.01)
    assert np.median(np.abs(truth['keypoints_px'] - CROP_SIZE / 2)) < CROP_SIZE / 3, 'not around the hand'


def test_shards_resume_and_depend_on_their_seed_alone(tmp_path, maker, monkeypatch, capsys):
    monkeypatch.setattr('maskhand_ros.data_engine.samples.SampleMaker', lambda hand: maker)
    parser = argparse.ArgumentParser()
    shards.add_arguments(parser)

    def write(folder, seed):
        shards.run(
            parser.parse_args(
                [
                    '--out',
                    str(folder),
                    '--split',
                    'val',
                    '--samples',
                    '6',
                    '--shard-size',
                    '4',
                    '--seed',
                    str(seed),
                ]
            )
        )
        return sorted(folder.glob('*.npz'))

    first, second = write(tmp_path / 'a', 3)
    assert first.name == 'val-3-0000.npz' and len(np.load(second)['betas']) == 2
    kept = second.stat().st_mtime_ns
    first.unlink()
    capsys.readouterr()
    assert write(tmp_path / 'a', 3) == [first, second]
    assert second.stat().st_mtime_ns == kept and second.name not in capsys.readouterr().out
    other, _ = write(tmp_path / 'b', 3)
    different, _ = write(tmp_path / 'c', 4)
    with np.load(first) as a, np.load(other) as b, np.load(different) as c:
        assert all(np.array_equal(a[name], b[name]) for name in a.files)
        assert not np.array_equal(a['hand_pose'], c['hand_pose'])
        assert set(a.files) == set(CUE_SHARD)
        assert a['map_142'].shape == (4, 112, 14, 14) and a['map_142'].dtype == np.int8


def test_demo_clip_has_truth_for_every_frame():
    from maskhand_ros.data_engine import demo_clip

    folder = demo_clip.DATA
    video = cv2.VideoCapture(str(folder / 'demo_clip.mp4'))
    with np.load(folder / 'demo_clip.npz', allow_pickle=False) as truth:
        frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        assert truth['keypoints'].shape == (frames, 2, 21, 3) and truth['visible'].all()
        assert (folder / 'demo_clip.mp4').stat().st_size < 5e6
        assert truth['fps'] == round(video.get(cv2.CAP_PROP_FPS))
        left, right = truth['keypoints'][:, 0], truth['keypoints'][:, 1]
        assert (left[..., 0].mean(1) > right[..., 0].mean(1)).all(), 'the left hand is on the right'
        opening = np.linalg.norm(right[:, 4] - right[:, 8], axis=-1)
        assert opening.min() < 0.012 and opening.max() > 0.08, 'it pinches and opens'
