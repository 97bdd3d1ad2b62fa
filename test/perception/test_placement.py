"""Placement of a synthetic hand from its exact 2D landmarks, on both sides, with and without scale."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from maskhand_ros.crop_camera import crop_camera_for
from maskhand_ros.geometry import (
    C_RIGHT,
    CROP_SIZE,
    Camera,
    cross_matrix,
    mirror_rotation,
    project,
    rotvec_to_matrix,
)
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.calibration import (
    EXCESS_MISFIT,
    TYPICAL_DISAGREEMENT,
    TYPICAL_MISFIT,
    Calibration,
)
from maskhand_ros.perception.placement import Placement, fit_pose
from maskhand_ros.perception.refinement import LANDMARK_SIGMA_PX
from maskhand_ros.perception.skinning import skin
from maskhand_ros.perception.track import Observation
from maskhand_ros.perception.types import (
    SCALE_DEPTH,
    SCALE_LEARNED,
    SCALE_NONE,
    SCALE_PARAMETER,
    SCALE_POPULATION,
    Frame,
)
from maskhand_ros.skeleton import LEFT, RIGHT

CAMERA = Camera(np.array([[600.0, 0, 330], [0, 590, 250], [0, 0, 1]]), 640, 480)
POSITION = np.array([-0.12, 0.08, 0.62])


@pytest.fixture(scope='module')
def hand():
    return HandModel.load()


def scene(hand, side, turned=0.0):
    """A posed hand of `side` at POSITION: prediction (turned away by `turned` rad), view, its true points in
    the camera."""
    rng = np.random.default_rng(3)
    pose = rotvec_to_matrix(rng.normal(0, 0.2, (15, 3)))
    mirrored = side == LEFT
    flip = np.array([-1.0, 1, 1]) if mirrored else np.ones(3)
    in_camera = rotvec_to_matrix(
        np.array([0.4, -0.3, 1.2])
    )  # the right-hand model, turned in the real camera
    centre = CAMERA.project(POSITION[None] + [[0, -0.05, 0]])[0]
    crop_camera = crop_camera_for(CAMERA, centre, 260.0, 0.3)
    in_crop = crop_camera.rotation @ (mirror_rotation(in_camera) if mirrored else in_camera)
    in_crop = mirror_rotation(in_crop) if mirrored else in_crop  # as the mirrored crop shows it
    model = hand(np.zeros((1, 10)), in_crop[None], pose[None])
    place = crop_camera.rotation @ POSITION * flip
    pixels = project(model.keypoints[0] + place, crop_camera.matrix) / CROP_SIZE - 0.5
    cues = {
        'landmarks': np.concatenate([pixels, np.zeros((21, 1))], 1)[None],
        'world_landmarks': 1.1 * model.keypoints @ rotvec_to_matrix(np.array([0.1, 0, 0.2])),
        'presence': np.ones((1, 1)),
    }
    back = crop_camera.rotation.T * flip
    truth = [points[0] @ back.T + POSITION for points in (model.keypoints, model.vertices)]
    prediction = SimpleNamespace(
        betas=np.zeros((1, 10)),
        global_orient=rotvec_to_matrix(np.array([0, turned, 0.0])) @ in_crop[None],
        hand_pose=pose[None],
        confidence=np.ones(1),
        hypotheses=None,
        keypoint_stddev=np.full((1, 21, 2), 0.005),
    )
    return prediction, Observation(side, crop_camera, cues, CAMERA.project(truth[0]), 1.0 - mirrored), *truth


def hand_of(hand, place, prediction, view, frame):
    """The Hand that placing and skinning one view give."""
    camera = frame.camera or CAMERA
    parameters = place(prediction, [view], frame, camera)
    return skin(hand, parameters, prediction, [view], frame, camera)[0]


def placed(hand, side, turned=0.0, hand_length=0.0, depth=None, camera=CAMERA):
    prediction, view, keypoints, vertices = scene(hand, side, turned)
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 0, camera, depth)
    place = Placement(hand, hand, hand_length)
    return hand_of(hand, place, prediction, view, frame), keypoints, vertices, place


@pytest.mark.parametrize('side', [RIGHT, LEFT])
def test_a_hand_is_recovered_from_its_exact_landmarks(hand, side):
    got, keypoints, vertices, _ = placed(hand, side)
    assert got.side == side and got.scale_source == SCALE_POPULATION
    np.testing.assert_allclose(got.wrist_position, POSITION, atol=5e-4)
    np.testing.assert_allclose(got.keypoints, keypoints, atol=5e-4)
    np.testing.assert_allclose(got.keypoints_px, CAMERA.project(keypoints), atol=0.2)
    # Wrist frame: right-handed, x to the fingers; the mesh in it comes back to the camera by pose alone.
    np.testing.assert_allclose(np.linalg.det(got.wrist_rotation), 1)
    assert got.keypoints_wrist[9, 0] > 0.05
    np.testing.assert_allclose(got.vertices @ got.wrist_rotation.T + got.wrist_position, vertices, atol=5e-4)


@pytest.mark.parametrize('side', [RIGHT, LEFT])
def test_visibility_is_the_networks_and_none_outside_the_image(hand, side):
    prediction, view, keypoints, _ = scene(hand, side)
    stated = np.linspace(0.1, 0.9, 21)
    width = int(CAMERA.project(keypoints)[:, 0].mean())  # some keypoints are to the right of such an image
    frame = Frame(np.zeros((480, width, 3), np.uint8), 0, Camera(CAMERA.K, width, 480))
    place = Placement(hand, hand)
    assert hand_of(hand, place, prediction, view, frame).keypoint_visibility is None, 'no head says it'
    view.cues['visibility'] = stated[None]
    got = hand_of(hand, place, prediction, view, frame)
    inside = got.keypoints_px[:, 0] < width - 0.5
    assert 0 < inside.sum() < 21
    np.testing.assert_allclose(got.keypoint_visibility, np.where(inside, stated, 0))


@pytest.mark.parametrize('side', [RIGHT, LEFT])
def test_the_pose_parameters_are_those_of_the_hands_own_side(hand, side):
    got, keypoints, _, _ = placed(hand, side)
    rotations = rotvec_to_matrix(got.mano_pose.reshape(16, 3))
    if side == LEFT:
        rotations = mirror_rotation(rotations)
    again = hand(got.betas[None], rotations[:1], rotations[None, 1:]).keypoints[0] * (
        [-1, 1, 1] if side == LEFT else 1
    )
    np.testing.assert_allclose(again + got.wrist_position, keypoints, atol=5e-4)


@pytest.mark.parametrize('side', [RIGHT, LEFT])
def test_confidence_falls_where_the_hand_misses_its_landmarks(hand, side):
    calibration = Calibration(np.ones(21), np.ones(21), misfit=np.array([-1.0, -6.0]))
    place, frame = Placement(hand, hand, 0, calibration), Frame(np.zeros((480, 640, 3), np.uint8), 0, CAMERA)
    prediction, view, *_ = scene(hand, side)
    prediction.confidence = np.array([0.9])
    exact = place(prediction, [view], frame, CAMERA)[0]
    assert exact.misfit < 0.01 and exact.confidence > 0.95
    doubtful = replace(view, disagreement=4 * TYPICAL_DISAGREEMENT)
    (other,) = place(prediction, [doubtful], frame, CAMERA)
    odds = exact.confidence / (1 - exact.confidence) / 4
    assert other.confidence == pytest.approx(odds / (1 + odds)), 'crops that disagree'
    # The network takes a fist for a flat hand: no rigid motion and no small bend brings it to the landmarks.
    prediction.hand_pose = np.tile(np.eye(3), (1, 15, 1, 1))
    bent = np.zeros((15, 3))
    bent[:12, 1] = 1.5
    fist = hand(np.zeros((1, 10)), prediction.global_orient, rotvec_to_matrix(bent @ C_RIGHT.T)[None])
    flip = np.array([-1.0, 1, 1]) if side == LEFT else np.ones(3)
    place_in_crop = view.crop_camera.rotation @ POSITION * flip
    pixels = project(fist.keypoints[0] + place_in_crop, view.crop_camera.matrix) / CROP_SIZE - 0.5
    view.cues['landmarks'][0, :, :2] = pixels
    view.cues['world_landmarks'] = fist.keypoints
    wrong = place(prediction, [view], frame, CAMERA)[0]
    assert wrong.misfit > 1.2 * EXCESS_MISFIT
    odds = 9 * (TYPICAL_MISFIT / wrong.misfit) * (EXCESS_MISFIT / wrong.misfit) ** 6
    assert wrong.confidence == pytest.approx(odds / (1 + odds)) and wrong.confidence < 0.6
    assert skin(hand, [wrong], prediction, [view], frame, CAMERA)[0].confidence == wrong.confidence
    unknown = Placement(hand, hand)(prediction, [view], frame, CAMERA)[0]
    assert unknown.confidence == 0.9  # weights without these exponents


def test_a_wrong_orientation_is_drawn_to_the_landmarks(hand):
    got, keypoints, _, _ = placed(hand, RIGHT, turned=0.2)
    prediction, _, _, _ = scene(hand, RIGHT, turned=0.2)
    error = np.linalg.norm((got.keypoints - got.keypoints[0]) - (keypoints - keypoints[0]), axis=1).mean()
    exact, _, _, _ = scene(hand, RIGHT)
    before = np.linalg.norm(
        hand(prediction.betas, prediction.global_orient, prediction.hand_pose).keypoints
        - hand(exact.betas, exact.global_orient, exact.hand_pose).keypoints,
        axis=-1,
    ).mean()
    assert error < before / 2


def test_a_keypoint_is_drawn_to_where_it_is_seen_and_less_to_an_outlier(hand):
    prediction, view, *_ = scene(hand, RIGHT)
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 0, CAMERA)
    place, knuckle = Placement(hand, hand), 9
    exact = hand_of(hand, place, prediction, view, frame)
    share = []
    for pixels in (4, 60):  # a neighbouring joint cannot follow the one
        moved = {**view.cues, 'landmarks': view.cues['landmarks'].copy()}
        moved['landmarks'][0, knuckle, 0] += pixels / CROP_SIZE
        view_moved = Observation(view.side, view.crop_camera, moved, view.keypoints_px, 1.0)
        got = hand_of(hand, place, prediction, view_moved, frame)
        steps = np.linalg.norm(got.keypoints_px - exact.keypoints_px, axis=1)
        assert np.delete(steps, knuckle).mean() < steps[knuckle] / 4
        share.append(steps[knuckle] / (pixels * 260 / CROP_SIZE))  # the crop is 260 px wide
    assert 0.5 < share[0] < 1 and share[1] < share[0] / 2


def test_scale_comes_from_what_is_known(hand):
    known, _, _, place = placed(hand, RIGHT, hand_length=0.2)
    factor = 0.2 / hand.length(np.zeros(10))
    assert known.scale_source == SCALE_PARAMETER
    np.testing.assert_allclose(known.wrist_position, factor * POSITION, rtol=2e-3)

    deep, _, _, _ = placed(hand, RIGHT, depth=np.full((480, 640), 0.7, np.float32))
    assert deep.scale_source == SCALE_DEPTH and 0.66 < deep.wrist_position[2] < 0.76
    hole, _, _, _ = placed(hand, RIGHT, depth=np.full((480, 640), np.nan, np.float32))
    assert hole.scale_source == SCALE_POPULATION

    unknown, _, _, _ = placed(hand, RIGHT, camera=None)
    assert unknown.scale_source == SCALE_NONE and unknown.wrist_position is unknown.keypoints is None
    assert np.isfinite(unknown.keypoints_wrist).all()

    # The spread is along the ray, and smaller the more is known.
    def along(got):
        ray = got.wrist_position / np.linalg.norm(got.wrist_position)
        return np.sqrt(ray @ got.wrist_covariance[:3, :3] @ ray)

    population, _, _, _ = placed(hand, RIGHT)
    assert along(deep) < along(known) < along(population) < 0.1
    assert (np.linalg.eigvalsh(population.wrist_covariance) > 0).all()


def test_a_learned_length_scales_the_hand_and_depth_pictures_tell_it(hand):
    prediction, view, *_ = scene(hand, RIGHT)
    rgb, place, length = np.zeros((480, 640, 3), np.uint8), Placement(hand, hand, 0.17), 0.2
    wall = Frame(rgb, 0, CAMERA, np.full((480, 640), 0.7, np.float32))
    (before,) = place(prediction, [view], Frame(rgb, 0, CAMERA), CAMERA)
    (measured,) = place(prediction, [view], wall, CAMERA)
    farther = np.linalg.norm(measured.position) / np.linalg.norm(before.position)
    assert before.measured_length is None
    assert measured.measured_length == pytest.approx(0.17 * farther, rel=1e-6)
    np.testing.assert_allclose(measured.size, before.size * farther)
    view.learned_length = length
    (learned,) = place(prediction, [view], Frame(rgb, 0, CAMERA), CAMERA)
    assert learned.source == SCALE_LEARNED
    np.testing.assert_allclose(learned.position, before.position * length / 0.17, rtol=2e-3)


def test_a_hand_of_another_shape_has_the_length_that_is_known_and_lies_on_its_landmarks(hand):
    """The landmarks are those of a hand of another shape, so that the fit changes the betas."""
    prediction, view, *_ = scene(hand, RIGHT)
    betas = np.array([[0.0, 3.0, -3.0, 3.0, 3.0, -3.0, 3.0, 3.0, -3.0, 3.0]])
    posed = hand(betas, prediction.global_orient, prediction.hand_pose).keypoints[0]
    place = view.crop_camera.rotation @ POSITION
    pixels = project(posed + place, view.crop_camera.matrix) / CROP_SIZE - 0.5
    view.cues['landmarks'][0, :, :2], view.cues['world_landmarks'] = pixels, posed[None]
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 0, CAMERA)
    placed_hand = Placement(hand, hand, 0.19)
    (got,) = placed_hand(prediction, [view], frame, CAMERA)
    assert np.abs(got.betas).max() > 0.1
    assert got.size * hand.length(got.betas) == pytest.approx(0.19, rel=1e-6)
    published = hand_of(hand, placed_hand, prediction, view, frame)
    np.testing.assert_allclose(published.keypoints[0], published.wrist_position, atol=1e-9)
    seen = CAMERA.project(posed @ view.crop_camera.rotation + POSITION)
    assert np.linalg.norm(CAMERA.project(published.keypoints) - seen, axis=1)[1:].mean() < 1.0


def test_stated_covariance_holds_for_landmarks_whose_errors_go_together(hand):
    """Landmark errors share a part, as those of one network on one hand do: the mean of 21 errs as the mean
    of six independent ones. The spread of the palm's centre over many draws is then the stated one."""
    rng, focal = np.random.default_rng(0), np.array([500.0])
    points = hand(np.zeros((1, 10)), np.eye(3)[None], np.tile(np.eye(3), (1, 15, 1, 1))).keypoints
    points, place = points.astype(float), np.array([0.02, -0.03, 0.6])
    exact = project(points + place, np.diag([focal[0], focal[0], 1.0]))
    shared = np.sqrt((1 / 6 - 1 / 21) / (1 - 1 / 21))
    centre, scores = points[0].mean(0), []
    for _ in range(300):
        common, own = rng.normal(size=(1, 1, 2)), rng.normal(size=(1, 21, 2))
        noise = LANDMARK_SIGMA_PX * (shared * common + np.sqrt(1 - shared**2) * own)
        fit = fit_pose(points, exact + noise, focal)
        moved = fit.rotation[0] @ centre + fit.translation[0] - (centre + place)
        lever = np.concatenate([np.eye(3), -cross_matrix(centre)], 1)
        stated = lever @ fit.covariance[0] @ lever.T
        scores.append(moved[:2] / np.sqrt(np.diag(stated)[:2]))
    assert 0.7 < np.std(scores) < 1.15


def test_the_landmark_of_the_wrist_is_as_uncertain_as_the_others(hand):
    """Keypoint deviations are relative to the wrist, whose own is 0: a wrong landmark of the wrist must not
    pull the hand more than one of the middle fingertip (22 and 30 mm here; 60 and 19 by the stated 0)."""
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 0, CAMERA)

    def position(wrist_stddev, landmark):
        prediction, view, *_ = scene(hand, RIGHT)
        prediction.keypoint_stddev[:] = 0.02
        prediction.keypoint_stddev[:, 0] = wrist_stddev
        view.cues['landmarks'][0, landmark, 0] += 20 / CROP_SIZE
        (got,) = Placement(hand, hand)(prediction, [view], frame, CAMERA)
        return got.position

    exact = position(0.02, [])
    assert np.linalg.norm(position(0.0, 0) - exact) < np.linalg.norm(position(0.0, 12) - exact)
    np.testing.assert_allclose(position(0.0, 0), position(0.05, 0))
