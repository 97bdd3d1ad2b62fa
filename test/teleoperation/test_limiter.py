"""Commands are bounded in speed and acceleration, whatever the targets and however irregular the time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskhand_ros.geometry import matrix_to_rotvec, rotvec_to_matrix
from maskhand_ros.teleoperation.limiter import AxisLimiter, RotationLimiter

LOWER, UPPER, SPEED, ACCELERATION, LONGEST = np.array([-1.0]), np.array([2.0]), 4.0, 50.0, 0.02
TARGETS = st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([-np.inf, np.inf, -1.0, 2.0]))
SECONDS = st.lists(st.sampled_from([0.002, 0.005, 0.01, LONGEST]), min_size=1, max_size=40)
STEPS = st.lists(st.tuples(TARGETS, SECONDS, st.sampled_from([0.0, 0.3, 1.0, 1.0])), min_size=1, max_size=6)
"""Runs of (target, durations of steps, factor on the speed)."""


def axis():
    limiter = AxisLimiter(LOWER, UPPER, np.array([SPEED]), ACCELERATION, LONGEST)
    limiter.reset(np.array([0.3]))
    return limiter


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(STEPS)
def test_speed_acceleration_and_bounds_hold_for_any_targets(steps):
    limiter, last, velocity = axis(), 0.3, 0.0
    flat = [(target, each, scale) for target, seconds, scale in steps for each in seconds]
    for target, seconds, scale in flat:
        position = float(limiter.step(None if target is None else np.array([target]), seconds, scale)[0])
        now = (position - last) / seconds
        assert abs(now) <= SPEED + 1e-9
        assert abs(now - velocity) <= ACCELERATION * seconds * (1 + 1e-9) + 1e-9
        assert LOWER[0] <= position <= UPPER[0]
        last, velocity = position, now


def test_a_target_is_reached_in_about_the_shortest_time_without_overshoot():
    limiter, seconds = axis(), 0.01
    path = [float(limiter.step(np.array([1.3]), seconds)[0]) for _ in range(50)]
    shortest = 1.0 / SPEED + SPEED / ACCELERATION
    arrived = next(number for number, position in enumerate(path, 1) if abs(position - 1.3) < 1e-3) * seconds
    assert shortest <= arrived < shortest + 0.1
    assert max(path) <= 1.3 + 1e-9 and abs(path[-1] - 1.3) < 1e-6 and limiter.rests


def test_a_stall_moves_no_further_than_the_longest_step_and_ends_at_rest():
    limiter = axis()
    for _ in range(15):
        limiter.step(np.array([2.0]), 0.01)
    before = limiter.position[0]
    assert limiter.velocity[0] == pytest.approx(SPEED)
    assert limiter.step(np.array([2.0]), 3.0)[0] - before <= SPEED * LONGEST + 1e-9
    assert abs(limiter.velocity[0]) < 0.1
    stalled = limiter.position[0]
    assert limiter.step(np.array([2.0]), 0.01)[0] - stalled <= 0.1 * 0.01 + ACCELERATION * 1e-4 + 1e-9


def test_rotations_are_bounded_and_arrive():
    limiter, rng, seconds = RotationLimiter(2.0, 20.0, LONGEST), np.random.default_rng(3), 0.01
    velocity, last = np.zeros(3), np.eye(3)
    for number in range(400):
        if number % 25 == 0:
            target = rotvec_to_matrix(rng.normal(0, 1.5, 3))
        rotation = limiter.step(None if number % 100 > 90 else target, seconds)
        now = matrix_to_rotvec(rotation @ last.T) / seconds
        assert np.linalg.norm(now) <= 2.0 + 1e-6
        assert np.linalg.norm(now - velocity) <= 20.0 * seconds + 1e-6
        velocity, last = now, rotation
    for _ in range(300):
        rotation = limiter.step(target, seconds)
    assert np.allclose(rotation, target, atol=1e-6) and limiter.rests
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
