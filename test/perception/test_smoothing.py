"""Smoothing: exact when off, steady at rest, quick in motion, the right side of SO(3)."""

import dataclasses

import numpy as np
import pytest
from placed_hand import placed_hand

from maskhand_ros.geometry import matrix_to_rotvec, rotvec_to_matrix
from maskhand_ros.perception.smoothing import SHAPE_FRAMES, HandFilter, JointWeights, OneEuro
from maskhand_ros.perception.types import SCALE_DEPTH, SCALE_POPULATION
from maskhand_ros.skeleton import LEFT, RIGHT

RNG = np.random.default_rng(0)
DT = 1 / 30


def hand(position=(0.1, 0.0, 0.6), turn=0.0, noise=0.0, side=RIGHT):
    """A PlacedHand at `position`, its joints turned by `turn` rad about x, with noise of so many radians and
    a tenth of that in metres."""
    angles = np.tile([turn, 0.0, 0.0], (16, 1)) + noise * RNG.standard_normal((16, 3))
    rotations = rotvec_to_matrix(angles)
    place = np.array(position) + 0.1 * noise * RNG.standard_normal(3)
    return placed_hand(side, place, orient=rotations[0], pose=rotations[1:])


USUAL = np.full(21, 0.005)


def run(frames, stddev=USUAL):
    """What a HandFilter makes of PlacedHands 1/30 s apart, and the delays."""
    smooth = HandFilter()
    return zip(*[smooth(frame, k * DT, stddev) for k, frame in enumerate(frames)], strict=True)


def spread(hands):
    turns = [matrix_to_rotvec(np.concatenate([h.orient[None], h.pose])) for h in hands]
    return np.std(turns, axis=0).mean(), np.std([h.position for h in hands], axis=0).mean()


def test_noise_at_rest_falls_to_less_than_half():
    frames = [hand(noise=0.01) for _ in range(120)]
    smoothed, _ = run(frames)
    for before, after in zip(spread(frames[30:]), spread(smoothed[30:]), strict=True):
        assert after < 0.5 * before


def test_a_moving_hand_is_followed_with_the_delay_that_is_told():
    times = np.arange(60) * DT
    frames = [hand((0.1 + 0.5 * t, 0.0, 0.6)) for t in times]
    smoothed, delays = run(frames)
    behind = (frames[-1].position[0] - smoothed[-1].position[0]) / 0.5
    assert 0 <= behind < 0.04 and behind == pytest.approx(delays[-1], abs=0.008)


def test_a_turn_past_half_a_circle_takes_the_short_way():
    frames = [hand(turn=turn) for turn in np.linspace(2.8, 3.6, 40)]
    smoothed, _ = run(frames)
    apart = [
        np.linalg.norm(matrix_to_rotvec(a.orient.T @ b.orient)) for a, b in zip(smoothed, frames, strict=True)
    ]
    assert max(apart) < 0.3


def test_a_hand_that_was_away_or_has_changed_sides_starts_afresh():
    smooth = HandFilter()
    smooth(hand(), 0.0, USUAL)
    far = hand((-0.2, 0.1, 0.4))
    assert smooth(far, 0.55, USUAL) == (far, 0.0)
    left = hand((0.0, 0.1, 0.5), side=LEFT)
    assert smooth(left, 0.65, USUAL) == (left, 0.0)
    back = hand((0.0, 0.1, 0.5), side=LEFT)
    assert smooth(back, 0.0, USUAL) == (back, 0.0), 'time that goes back says nothing either'


def test_direction_and_distance_go_through_filters_of_their_own():
    held, loose = OneEuro(rest=1e-3, slope=0.0), OneEuro(rest=1e3, slope=0.0)
    start, end = hand((0.1, 0.0, 0.6)), hand((0.3, 0.0, 0.9))
    for filters, x_over_z, z in (((loose, held), 1 / 3, 0.6), ((held, loose), 1 / 6, 0.9)):
        smooth = HandFilter(*filters)
        smooth(start, 0.0, USUAL)
        x, _, depth = smooth(end, DT, USUAL)[0].position
        assert (x / depth, depth) == pytest.approx((x_over_z, z), rel=0.01)


def test_a_distance_from_depth_pictures_is_followed_faster_and_shifts_are_smoothed():
    """First-order low passes, written down anew."""
    start, end = hand((0.0, 0.0, 0.6)), dataclasses.replace(hand((0.0, 0.0, 0.63)), shift=np.ones((21, 3)))
    taken = {}
    for source in (SCALE_POPULATION, SCALE_DEPTH):
        smooth = HandFilter()
        smooth(dataclasses.replace(start, source=source), 0.0, USUAL)
        got, _ = smooth(dataclasses.replace(end, source=source), DT, USUAL)
        taken[source] = np.log(got.position[2] / 0.6) / np.log(0.63 / 0.6)
    speed = np.log(0.63 / 0.6) / DT / (1 + 1 / (2 * np.pi * 1.0 * DT))
    for source, rest, slope in ((SCALE_POPULATION, 0.5, 9.0), (SCALE_DEPTH, 1.5, 40.0)):
        assert taken[source] == pytest.approx(1 / (1 + 1 / (2 * np.pi * (rest + slope * speed) * DT)))
    np.testing.assert_allclose(got.shift, 1 / (1 + 1 / (2 * np.pi * 3.0 * DT)))


def test_a_finger_that_the_model_suddenly_doubts_is_held_while_the_others_follow():
    doubt = USUAL.copy()
    doubt[5:9] *= 3  # the index finger's keypoints
    smooth = HandFilter()
    for k in range(20):
        smooth(hand(), k * DT, USUAL)
    turned = [smooth(hand(turn=0.3), (20 + k) * DT, doubt)[0] for k in range(8)][-1]
    angles = np.linalg.norm(matrix_to_rotvec(turned.rotations), axis=1)
    assert angles[1:4].max() < 0.15 and angles[4:].min() > 0.25


def test_weights_fall_with_an_unusual_uncertainty_and_recover_if_it_lasts():
    weights, thumb = JointWeights(), USUAL.copy()
    thumb[1:5] *= 2
    np.testing.assert_array_equal([weights(USUAL) for _ in range(60)], 1)
    np.testing.assert_array_equal(weights(1.2 * USUAL), 1)
    first = weights(thumb)
    assert first[13:].max() < 0.3 and first[1:13].min() == 1
    np.testing.assert_array_equal([weights(thumb) for _ in range(30)][-1][13:], 1)


def test_the_shape_becomes_the_mean_of_what_was_seen_and_then_stays():
    rng, truth, smooth = np.random.default_rng(4), np.linspace(-1, 1, 10), HandFilter()
    frames = [dataclasses.replace(hand(), betas=truth + rng.standard_normal(10)) for _ in range(SHAPE_FRAMES)]
    for k, frame in enumerate(frames):
        shape = smooth(frame, k * DT, USUAL)[0].betas
    np.testing.assert_allclose(shape, np.mean([frame.betas for frame in frames], 0), atol=1e-9)
    later = smooth(dataclasses.replace(hand(), betas=truth + 5), SHAPE_FRAMES * DT, USUAL)[0]
    np.testing.assert_array_equal(later.betas, shape)
