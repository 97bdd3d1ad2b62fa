"""Scenes of everyday pictures: old kinds stay as they were, hands touch what they hold, hiding is told."""

import argparse

import numpy as np
import pytest

from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import CROP_SIZE, MIRROR_X, kabsch

pytest.importorskip('scipy', reason='the data engine needs the extra `train`')
from scipy.spatial import cKDTree  # noqa: E402

from maskhand_ros.data_engine import companions, grasps, looks, negatives, scenes, shards  # noqa: E402
from maskhand_ros.data_engine.everyday import solid_meshes  # noqa: E402
from maskhand_ros.data_engine.everyday_poses import EVERYDAY  # noqa: E402
from maskhand_ros.data_engine.meshes import HandMesh, anatomy_of, open_hand_data  # noqa: E402
from maskhand_ros.data_engine.poses import clear, sample_angles  # noqa: E402
from maskhand_ros.data_engine.solids import BOX, Part, Solid  # noqa: E402

STRAIGHT = np.eye(3)[None]


@pytest.fixture(scope='module')
def mesh(hand):
    return HandMesh(hand, open_hand_data())


def posed(mesh, hand, angles):
    """Vertices of the hand without its forearm, and keypoints, of the mean shape at rest."""
    turns = np.tile(STRAIGHT, (len(angles), 1, 1))
    pose = anatomy_of(hand).rotations(angles)
    vertices, keypoints = mesh.pose(np.zeros((len(angles), 10)), turns, pose, turns)
    return vertices[:, : len(open_hand_data()['v_template'])], keypoints


def test_pictures_of_published_figures_stay_as_they_were(maker):
    """Numbers of the version that the published figures are of. Bits depend on the software renderer."""
    crops, truth = maker.make(['camera', 'stress'] * 3, np.random.default_rng(2))
    index_tips = [[66.62, 4.88], [28.24, 6.82], [98.99, 107.35], [131.21, 129.51], [67.48, 62.22]]
    np.testing.assert_allclose(truth['keypoints_px'][:5, 8], index_tips, atol=0.02)
    red = [72.28, 86.98, 80.07, 151.53, 159.96, 109.94]
    np.testing.assert_allclose(crops[..., 0].mean((1, 2)), red, atol=0.5)
    assert truth['visible'].sum(1).tolist() == [16, 12, 13, 15, 11, 12]


def test_fingers_close_until_they_touch(hand, mesh):
    anatomy = anatomy_of(hand)
    angles, solids = grasps.sample_grasps(anatomy, 24, np.random.default_rng(1), pinched=0)
    assert clear(anatomy, angles).all()
    of_bone = open_hand_data()['weights'].argmax(1)
    for vertices, solid in zip(posed(mesh, hand, angles)[0], solids, strict=True):
        gap = solid.distance(vertices)
        fingers = [gap[(of_bone > 3 * i) & (of_bone <= 3 * i + 3)].min() for i in range(5)]
        assert sum(finger < 0.003 for finger in fingers) >= 2 and fingers[4] < 0.006
        assert gap.min() > -0.01, 'flesh is pressed in, no more'


@pytest.mark.parametrize('number', range(6))
def test_the_other_hand_is_a_left_one_that_touches(hand, mesh, number):
    rng = np.random.default_rng(number)
    vertices, keypoints = posed(mesh, hand, sample_angles(anatomy_of(hand), 2, rng, EVERYDAY))
    first, other = ((vertices[i], keypoints[i]) for i in range(2))
    skin, points = companions.second_hand(first, other, rng, touching=True)

    def misfit(source):
        source, target = source - source.mean(0), points - points.mean(0)
        return np.abs(source @ kabsch(source, target) - target).max()

    assert min(misfit(p * MIRROR_X) for p in keypoints) < 1e-6 < min(misfit(p) for p in keypoints)
    gap = cKDTree(first[0]).query(skin)[0].min()
    assert gap < 0.02


def test_what_stands_in_front_hides_and_skin_does_not(maker):
    """The depth of the hand alone is kept: a thin thing 3 cm before one fingertip hides that one."""
    rng = np.random.default_rng(0)
    vertices, keypoints = maker.mesh.pose(
        np.zeros((1, 10)), scenes.PALM_VIEW[None], maker.anatomy.rotations(np.zeros((1, 5, 5))), STRAIGHT
    )
    shift = np.array([0, 0, 0.5]) - keypoints[0].mean(0)
    place = keypoints[0] + shift
    K = np.array([[500.0, 0, 111.5], [0, 500, 111.5], [0, 0, 1]])
    alone = maker.mesh.mesh(vertices[0] + shift, place, looks.sample_looks(rng, gloved=True))
    card = Solid((Part(BOX, (0.01, 0.01, 0.001)),), np.eye(3), place[8] - [0, 0, 0.03])
    light, pixels = scenes.sample_light(rng), place[:, :2] / place[:, 2:] * 500 + 111.5
    maker.renderer.draw([alone], K, light)
    before = maker.renderer.depth_at(pixels)
    maker.renderer.draw([alone, *solid_meshes(card, rng)], K, light, apart=True)
    np.testing.assert_array_equal(maker.renderer.first_depth_at(pixels), before)
    hidden = maker.renderer.depth_at(pixels) < before - 0.004
    assert np.flatnonzero(hidden).tolist() == [8]


def test_a_glove_is_thicker_and_of_its_own_colour(maker):
    rng = np.random.default_rng(3)
    look = {**looks.sample_looks(rng, gloved=True), 'sleeve_from': 9.0, 'band_range': (9.0, 9.0)}
    look |= {'worn': np.array([0.02, 0.1, 0.7]), 'worn_palm': np.array([0.02, 0.1, 0.7])}
    look |= {'worn_range': (-1.0, 0.03), 'worn_lift': 0.003}
    bare = {name: value for name, value in look.items() if name != 'worn_range'}
    vertices, keypoints = maker.mesh.pose(
        np.zeros((1, 10)), scenes.PALM_VIEW[None], maker.anatomy.rotations(np.zeros((1, 5, 5))), STRAIGHT
    )
    shift = np.array([0, 0, 0.5]) - keypoints[0].mean(0)
    K, light = np.array([[400.0, 0, 111.5], [0, 400, 111.5], [0, 0, 1]]), scenes.sample_light(rng, 0.0)
    drawn = [
        maker.renderer.draw([maker.mesh.mesh(vertices[0] + shift, keypoints[0] + shift, uniforms)], K, light)
        for uniforms in (bare, look, bare)
    ]
    (skin, of_skin), (glove, of_glove), (again, _) = ((c.astype(float), cover > 0) for c, cover in drawn)
    assert of_glove.sum() > 1.05 * of_skin.sum()
    x, y, z = keypoints[0][9] + shift
    column, row = np.rint(400 * np.array([x, y]) / z + 111.5).astype(int)
    assert skin[row, column, 0] > skin[row, column, 2] and glove[row, column, 2] > 1.5 * glove[row, column, 0]
    np.testing.assert_array_equal(again, skin)


def test_crops_without_a_hand_hold_no_visible_keypoint(maker):
    crops, truth = maker.make(['no_hand', 'everyday'] * 10, np.random.default_rng(4))
    assert not truth['visible'][::2].any() and truth['visible'][1::2].any(1).all()
    pixels = truth['keypoints_px'][::2]
    assert ((pixels > 0) & (pixels < CROP_SIZE - 1)).all(2).sum(1).max() <= negatives.LEAST
    assert np.isfinite(np.concatenate([values.ravel() for values in truth.values()])).all()
    assert crops.std((1, 2, 3)).min() > 1


def test_kinds_are_drawn_by_their_shares_and_shards_of_cues_need_hands(tmp_path):
    drawn = shards.draw_kinds({'gloves': 3, 'objects': 1}, 4000, np.random.default_rng(0))
    assert abs(drawn.count('gloves') / 4000 - 0.75) < 0.03 and set(drawn) == {'gloves', 'objects'}
    assert shards.shares_of('test_clasped', 0.7, {'camera': 1.0}) == {'clasped': 1.0}
    parser = argparse.ArgumentParser()
    shards.add_arguments(parser)
    asked = parser.parse_args(['--out', str(tmp_path), '--kinds', 'gloves=0.8', 'no_hand=0.2'])
    with pytest.raises(CommandError, match='maskhand train images'):
        shards.run(asked)
    with pytest.raises(SystemExit):
        parser.parse_args(['--out', str(tmp_path), '--kinds', 'feet=0.5'])
