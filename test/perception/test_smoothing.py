"""Smoothing: exact when off, steady at rest, quick in motion, the right side of SO(3)."""

import numpy as np
import pytest

from maskhand_ros.geometry import matrix_to_rotvec, rotvec_to_matrix
from maskhand_ros.perception.smoothing import RESTART, HandFilter
from maskhand_ros.perception.types import SCALE_POPULATION, PlacedHand

RNG = np.random.default_rng(0)
DT = 1 / 30


def hand(position=(0.1, 0.0, 0.6), turn=0.0, noise=0.0, side='right'):
    """A PlacedHand at `position`, its joints turned by `turn` rad about x, with noise of so many radians and
    a tenth of that in metres."""
    angles = np.tile([turn, 0.0, 0.0], (16, 1)) + noise * RNG.standard_normal((16, 3))
    rotations = rotvec_to_matrix(angles)
    place = np.array(position) + 0.1 * noise * RNG.standard_normal(3)
    return PlacedHand(
        side,
        place,
        rotations[0],
        rotations[1:],
        np.zeros(10),
        1.0,
        np.zeros((21, 3)),
        np.eye(6),
        SCALE_POPULATION,
    )


def run(frames, stddev=0.005):
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
    smooth(hand(), 0.0, 0.005)
    far = hand((-0.2, 0.1, 0.4))
    assert smooth(far, RESTART + 0.1, 0.005) == (far, 0.0)
    left = hand((0.0, 0.1, 0.5), side='left')
    assert smooth(left, RESTART + 0.2, 0.005) == (left, 0.0)
    back = hand((0.0, 0.1, 0.5), side='left')
    assert smooth(back, 0.0, 0.005) == (back, 0.0), 'time that goes back says nothing either'


def test_an_unsure_hand_counts_less():
    frames = [hand(turn=0.0)] * 20 + [hand(turn=0.3)] * 3
    sure, unsure = (list(run(frames, stddev))[0] for stddev in (0.004, 0.03))
    moved = [np.linalg.norm(matrix_to_rotvec(hands[-1].orient)) for hands in (sure, unsure)]
    assert 0 < moved[1] < 0.8 * moved[0]


def test_a_joint_that_the_model_doubts_is_held_while_the_others_follow():
    doubt = np.full(16, 0.005)
    doubt[3] = 1.0
    smooth = HandFilter()
    smooth(hand(), 0.0, doubt)
    turned = [smooth(hand(turn=0.3), k * DT, doubt)[0] for k in range(1, 20)][-1]
    angles = np.linalg.norm(matrix_to_rotvec(turned.rotations), axis=1)
    assert angles[3] < 0.1 and np.delete(angles, 3).min() > 0.25
