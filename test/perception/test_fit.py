"""The rigid fit of a hand to its landmarks, against the posterior written down independently; the frames and
the scale of its covariance."""

import dataclasses

import numpy as np
import pytest
from placed_hand import placed_hand

from maskhand_ros.geometry import MIRROR_X, Camera, matrix_to_rotvec, mirror_rotation, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.placement import _to_camera, fit_pose
from maskhand_ros.perception.scale import to_scale
from maskhand_ros.perception.types import (
    SCALE_DEPTH,
    SCALE_LEARNED,
    SCALE_NONE,
    SCALE_PARAMETER,
    SCALE_POPULATION,
    Frame,
)
from maskhand_ros.skeleton import LEFT, RIGHT

FOCAL, PLACE = 500.0, np.array([0.02, -0.03, 0.6])
PRIOR_SIGMA, LANDMARK_SIGMA, INDEPENDENT = 0.1, 4.0, 6


@pytest.fixture(scope='module')
def points():
    """(21, 3) keypoints of a turned, nearly flat hand."""
    turn = rotvec_to_matrix(np.array([0.6, -0.4, 0.2]))
    return HandModel.load().flat_hands().keypoints[0].astype(float) @ turn.T


def pixels_of(points):
    return FOCAL * points[:, :2] / points[:, 2:]


def cost(parameters, points, pixels, spread):
    """Negative log posterior of (translation, rotation vector), up to a constant: landmarks of variance
    (4 px)^2 + `spread`^2 (21,), together worth six independent ones of 4 px, and of the orientation."""
    turned = points @ rotvec_to_matrix(parameters[3:]).T
    apart = pixels - pixels_of(turned + parameters[:3])
    share = 1 / (LANDMARK_SIGMA**2 + spread**2)
    weight = INDEPENDENT / LANDMARK_SIGMA**2 * share / share.sum()
    return (weight[:, None] * apart**2).sum() / 2 + (parameters[3:] ** 2).sum() / PRIOR_SIGMA**2 / 2


@pytest.mark.parametrize('unsure', [0.0, 0.03], ids=('alike', 'fingers unsure'))
def test_the_fit_is_the_mode_of_the_posterior_and_its_covariance_the_inverse_curvature(points, unsure):
    rng = np.random.default_rng(5)
    stddev = np.where(np.arange(21) % 4 == 0, unsure, 0.0)  # fingertips, and the wrist
    away = points @ rotvec_to_matrix(np.array([0.12, 0.1, -0.08])).T
    pixels = pixels_of(away + PLACE) + rng.normal(0, 2, (21, 2))
    fit = fit_pose(points[None], pixels[None], np.array([FOCAL]), stddev[None])
    found = np.concatenate([fit.translation[0], matrix_to_rotvec(fit.rotation)[0]])
    spread = stddev * FOCAL / PLACE[2]
    sigma = np.sqrt(np.diag(fit.covariance[0]))

    def at(*steps):
        return cost(found + sum(np.eye(6)[i] * sigma[i] * step for i, step in steps), points, pixels, spread)

    step = 0.05
    slope = [(at((i, step)) - at((i, -step))) / (2 * step) for i in range(6)]
    assert np.abs(slope).max() < 0.08, 'in standard deviations of the fit'
    curvature = [
        [
            sum(a * b * at((i, a * step), (j, b * step)) for a in (1, -1) for b in (1, -1)) / (4 * step**2)
            for j in range(6)
        ]
        for i in range(6)
    ]
    covariance = np.linalg.inv(curvature) * np.outer(sigma, sigma)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), sigma, rtol=0.1)


@pytest.mark.parametrize('side', [LEFT, RIGHT])
def test_the_covariance_turns_and_mirrors_with_the_hand(side):
    """The columns of a square root of the covariance, as disturbances of the hand in the crop, give the
    covariance in the camera."""
    rng = np.random.default_rng(2)
    root = 1e-4 * rng.normal(size=(6, 6))
    back = rotvec_to_matrix(np.array([0.3, -0.5, 0.2]))
    orient = rotvec_to_matrix(np.array([1.0, 0.2, -0.4]))
    hand = placed_hand(side, PLACE, orient=orient, covariance=root @ root.T)
    axes = back * MIRROR_X if side == LEFT else back
    got, moves = _to_camera(hand, axes), []
    for column in root.T:
        disturbed = dataclasses.replace(
            hand, position=PLACE + column[:3], orient=rotvec_to_matrix(column[3:]) @ orient
        )
        there = _to_camera(disturbed, axes)
        turn = matrix_to_rotvec((there.orient @ got.orient.T)[None])[0]
        moves.append(np.concatenate([there.position - got.position, turn]))
    np.testing.assert_allclose(got.covariance, np.transpose(moves) @ moves, atol=1e-3 * 1e-8)
    if side == LEFT:
        np.testing.assert_allclose(got.orient, back @ mirror_rotation(orient))


@pytest.mark.parametrize(
    'source, sigma',
    [
        (SCALE_POPULATION, 0.055 * 0.65),
        (SCALE_NONE, 0.055 * 0.65),
        (SCALE_PARAMETER, 0.03 * 0.65),
        (SCALE_LEARNED, 0.03 * 0.65),
        (SCALE_DEPTH, 0.01),
    ],
)
def test_the_spread_along_the_ray_is_that_of_the_source_of_the_scale(source, sigma):
    camera, position = Camera.default(640, 480), np.array([0.25, 0.0, 0.6])
    hand = placed_hand(position=position, covariance=1e-6 * np.eye(6), source=source)
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 0, camera)
    got, ratio = to_scale(hand, np.zeros((6, 3)), frame, camera)
    assert ratio is None and got.source == source
    ray = position / 0.65
    across = np.array([0.0, 1.0, 0.0])
    assert ray @ got.covariance[:3, :3] @ ray == pytest.approx(sigma**2 + 1e-6)
    assert across @ got.covariance[:3, :3] @ across == pytest.approx(1e-6)
