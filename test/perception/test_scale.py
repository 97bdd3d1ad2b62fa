"""Size from depth pictures: past holes and what is in front, learned, and kept when they end."""

import dataclasses

import numpy as np
import pytest
from placed_hand import placed_hand

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.scale import PALM_KEYPOINTS, LearnedLength, to_scale
from maskhand_ros.perception.types import SCALE_DEPTH, SCALE_LEARNED, SCALE_POPULATION, Frame
from maskhand_ros.skeleton import LEFT, RIGHT

CAMERA = Camera(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), 640, 480)
PALM_POINTS = np.array(
    [[0, 0, 0], [-0.03, -0.03, 0], [-0.025, -0.09, 0], [0, -0.095, 0], [0.02, -0.09, 0], [0.04, -0.08, 0]]
)
"""(6, 3) of a right hand's PALM_KEYPOINTS, fingers up, back of the hand to the camera: thumb on the left."""
HAND = placed_hand(position=(0, 0.05, 0.5), covariance=np.eye(6) * 1e-6)
RGB = np.zeros((480, 640, 3), np.uint8)


def measured(depth, hand=HAND, palm=PALM_POINTS):
    return to_scale(hand, palm, Frame(RGB, 0, CAMERA, depth), CAMERA)


def test_the_palm_of_six_keypoints():
    assert PALM_KEYPOINTS == [0, 1, 5, 9, 13, 17]


@pytest.mark.parametrize('mirrored', [False, True])
def test_the_distance_is_the_depth_of_the_skin_and_what_is_under_it(mirrored):
    """A camera sees the back of a hand nearer to its keypoints than its palm."""
    wall = np.full((480, 640), 0.6, np.float32)
    flip = np.array([-1, 1, 1]) if mirrored else np.ones(3)
    places = {}
    for seen, turn in (('back', 1), ('palm', -1)):
        palm = PALM_POINTS * flip * [turn, 1, 1]
        hand = dataclasses.replace(HAND, side=LEFT if mirrored else RIGHT)
        got, ratio = measured(wall, hand, palm)
        assert got.source == SCALE_DEPTH and got.size == pytest.approx(ratio)
        places[seen] = got.position[2] - 0.6
    assert 0.008 < places['back'] < 0.018 < places['palm'] < 0.025


def test_holes_edges_and_a_thing_in_front_do_not_move_the_hand():
    rng = np.random.default_rng(0)
    clean = measured(np.full((480, 640), 0.6, np.float32))[0].position
    depth = np.full((480, 640), 0.6, np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    depth[rng.random(depth.shape) < 0.1] = np.nan
    depth[:, 340:] = 0.35  # a bar in front of the little finger's side
    assert np.allclose(measured(depth)[0].position, clean, atol=1e-3)


@pytest.mark.parametrize('value', [0.0, np.nan, 5.0, 0.05, 0.27, 0.85])
def test_a_depth_picture_that_shows_no_hand_is_not_believed(value):
    got, ratio = measured(np.full((480, 640), value, np.float32))
    assert ratio is None and got.source == SCALE_POPULATION
    assert np.array_equal(got.position, HAND.position)


def test_a_few_points_of_the_palm_are_not_enough():
    depth = np.full((480, 640), np.nan, np.float32)
    depth[:, 319:322] = 0.6  # seven points
    got, ratio = measured(depth)
    assert ratio is None and got.source == SCALE_POPULATION


@pytest.mark.parametrize('slope, agree', [(0.0015, True), (0.004, False)])
def test_at_least_half_of_the_palm_agrees_on_the_distance(slope, agree):
    """On a ramp of `slope` m per px, 27 and 13 of 32 points are near the median: more than the 8 points that
    are always required."""
    depth = 0.55 + slope * (np.arange(640, dtype=np.float32) - 320)
    _, ratio = measured(np.tile(depth, (480, 1)))
    assert (ratio is not None) == agree


def test_where_keypoints_are_seen_beside_the_mesh_scales_with_the_hand_unless_its_length_is_learned():
    wall, shift = np.full((480, 640), 0.53, np.float32), np.full((21, 3), 0.01)
    for source, kept in ((SCALE_POPULATION, False), (SCALE_LEARNED, True)):
        got, ratio = measured(wall, dataclasses.replace(HAND, source=source, shift=shift))
        assert ratio > 1.05
        np.testing.assert_allclose(got.shift, shift * (1 if kept else ratio))


def test_a_length_is_learned_from_noisy_pictures_and_then_kept():
    rng = np.random.default_rng(1)
    learned = LearnedLength()
    for _ in range(20):
        learned.add(0.19 * (1 + 0.02 * rng.standard_normal()))
    assert learned.value is None, 'too few'
    for _ in range(200):
        learned.add(0.19 * (1 + 0.02 * rng.standard_normal()) if rng.random() > 0.2 else 0.3)
    kept = learned.value
    assert kept == pytest.approx(0.19, rel=0.015)
    learned.add(0.3)
    assert learned.value == kept

    wild = LearnedLength()
    for length in rng.uniform(0.12, 0.26, 60):
        wild.add(length)
    assert wild.value is None, 'they do not agree'


def test_a_learned_hand_keeps_its_size_and_refuses_what_is_in_front_of_it():
    hand = dataclasses.replace(HAND, source=SCALE_LEARNED, size=1.05)
    near, _ = measured(np.full((480, 640), 0.52, np.float32), hand)
    assert (
        near.source == SCALE_DEPTH
        and near.size == 1.05
        and near.position[2] == pytest.approx(0.533, abs=2e-3)
    )
    hidden, ratio = measured(np.full((480, 640), 0.4, np.float32), hand)
    assert ratio is None and hidden.source == SCALE_LEARNED
