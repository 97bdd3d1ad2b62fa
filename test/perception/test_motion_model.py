"""Prediction of a hand that is not seen: against the integral of a decaying velocity, and its uncertainty."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.motion_model import MotionModel
from maskhand_ros.perception.types import PREDICTED, TENTATIVE, TRACKED, Hand

CAMERA = Camera.default(640, 480)
DT, VELOCITY = 1 / 30, np.array([0.5, -0.2, 0.3])
FIELDS = {field.name: None for field in dataclasses.fields(Hand)}


def hand_at(time, state=TRACKED):
    """A Hand that moves with VELOCITY."""
    wrist = np.array([0.0, 0.1, 0.6]) + VELOCITY * time
    keypoints = wrist + 0.01 * np.arange(63).reshape(21, 3) / 21
    return Hand(
        **FIELDS
        | {
            'state': state,
            'wrist_position': wrist,
            'wrist_covariance': 1e-4 * np.eye(6),
            'keypoints': keypoints,
            'keypoints_px': CAMERA.project(keypoints),
            'keypoint_stddev': np.full(21, 0.004),
            'keypoint_stddev_depth': np.full(21, 0.008),
            'hypotheses': [SimpleNamespace()],
            'keypoint_visibility': np.ones(21),
        }
    )


def moved(frames, state=TRACKED):
    """A MotionModel that has seen so many frames, and the last Hand."""
    model = MotionModel()
    for k in range(frames):
        hand = hand_at(k * DT, state)
        model.update(hand, k * DT)
    return model, hand, (frames - 1) * DT


@pytest.mark.parametrize('seconds', [0.05, 0.2])
def test_the_velocity_decays_and_the_uncertainty_grows(seconds):
    model, last, now = moved(30)
    got = model.predict(now + seconds, CAMERA, 0.25)
    times = np.linspace(0, seconds, 100_001)
    step = VELOCITY * np.trapezoid(np.exp(-times / 0.15), times)
    np.testing.assert_allclose(got.wrist_position, last.wrist_position + step, atol=1e-6)
    np.testing.assert_allclose(got.keypoints, last.keypoints + step, atol=1e-6)
    np.testing.assert_allclose(got.keypoints_px, CAMERA.project(last.keypoints + step), atol=1e-3)
    acceleration, turning, fingers = 8.0 * seconds**2 / 2, 3.0 * seconds, 0.06 * seconds
    grown = np.diag(got.wrist_covariance - last.wrist_covariance)
    np.testing.assert_allclose(grown, [acceleration**2] * 3 + [turning**2] * 3)
    np.testing.assert_allclose(got.keypoint_stddev, np.hypot(0.004, fingers))
    np.testing.assert_allclose(got.keypoint_stddev_depth, np.hypot(0.008, fingers))
    assert got.state == PREDICTED and got.hypotheses == [] and got.keypoint_visibility is None


def test_only_a_tracked_hand_is_predicted_and_not_for_longer_than_allowed():
    model, _, now = moved(5)
    assert model.predict(now + 0.1, CAMERA, 0.2) is not None
    assert model.predict(now + 0.21, CAMERA, 0.2) is model.predict(now, CAMERA, 0.2) is None
    assert moved(5, TENTATIVE)[0].predict(now + 0.1, CAMERA, 0.2) is None
    model.update(dataclasses.replace(hand_at(now), wrist_position=None), now + DT)
    assert model.predict(now + 0.1, CAMERA, 0.2) is None


def test_a_hand_that_is_seen_in_a_single_frame_is_predicted_from_when_it_was_tracked():
    model, last, now = moved(30)
    unseen = model.predict(now + 0.2, CAMERA, 0.25)
    model.update(hand_at(now + 9, TENTATIVE), now + 0.1)
    np.testing.assert_array_equal(model.predict(now + 0.2, CAMERA, 0.25).keypoints, unseen.keypoints)
    assert model.predict(now + 0.3, CAMERA, 0.25) is None


def test_one_step_does_not_throw_a_hand():
    model, last, now = moved(2)
    step = model.predict(now + 0.2, CAMERA, 0.25).wrist_position - last.wrist_position
    assert np.linalg.norm(step) < 0.5 * 0.15 * np.linalg.norm(VELOCITY)
