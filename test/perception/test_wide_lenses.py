"""Hands through wide lenses: frames of the bundled clip, warped by OpenCV's own lens functions."""

import functools

import cv2
import numpy as np
import pytest

from maskhand_ros.geometry import Camera, rotvec_to_matrix
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.pipeline import unmirrored
from maskhand_ros.perception.types import SCALE_NONE, SCALE_POPULATION, Frame
from maskhand_ros.skeleton import LEFT, RIGHT

WIDTH, HEIGHT, FRAMES = 1280, 960, (15, 30, 45, 60, 75)
K = np.array([[430.0, 0, 650], [0, 430, 470], [0, 0, 1]])
FISHEYE = Camera(K, WIDTH, HEIGHT, [0.02, -0.01, 0.003, -0.001], 'fisheye')
RATIONAL = Camera(K, WIDTH, HEIGHT, [0.85, 0.135, 2e-4, -1e-4, 0.002, 1.183, 0.33, 0.0167])
"""An equidistant lens as a rational function of the tangent, good up to 68 degrees."""
PLACES = {'ahead': (0, 0), 'aside': (0, 0.75), 'corner': (0.45, 0.65)}
"""How far the camera is turned away from the hands, radians about x and y: up to 66 degrees."""


def turned(about_x, about_y):
    return rotvec_to_matrix(np.array([0, about_y, 0.0])) @ rotvec_to_matrix(np.array([about_x, 0.0, 0]))


@pytest.fixture(scope='module')
def frames(clip):
    return {k: rgb for k, rgb in enumerate(clip.frames()) if k in FRAMES}


@functools.lru_cache
def rays_of(camera):
    """Rays (H, W, 3) of a camera's pixels by cv2.fisheye; where OpenCV has no exact inverse, by ours, held
    against cv2.projectPoints."""
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1)
    pixels = pixels.reshape(-1, 1, 2).astype(float)
    if camera.lens == 'fisheye':
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-10)
        flat = cv2.fisheye.undistortPoints(pixels, camera.K, camera.distortion, criteria=criteria)
        rays = np.column_stack([flat.reshape(-1, 2), np.ones(len(pixels))])
    else:
        rays = camera.unproject_rays(pixels[:, 0])
        back = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.K, camera.distortion)[0]
        assert np.nanmax(np.abs(back - pixels)) < 0.01
    return rays.reshape(camera.height, camera.width, 3)


def as_seen(rgb, K, camera, turn):
    """The picture that `camera`, turned by `turn` (3, 3) from the clip's, would take."""
    rays = rays_of(camera) @ turn
    with np.errstate(all='ignore'):
        x, y = (K[k, k] * rays[..., k] / rays[..., 2] + K[k, 2] for k in (0, 1))
    x[~((rays[..., 2] > 0) & np.isfinite(x + y))] = -1e4
    return cv2.remap(
        rgb, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderValue=(90, 90, 90)
    )


def seen_by_opencv(points, camera):
    """Pixels (N, 2) of points (N, 3) by cv2.fisheye or cv2.projectPoints."""
    project = cv2.fisheye.projectPoints if camera.lens == 'fisheye' else cv2.projectPoints
    rest = np.zeros(3), np.zeros(3), camera.K, camera.distortion
    return project(points[:, None], *rest)[0].reshape(-1, 2)


def errors(pipeline, clip, frames, camera, turn):
    """Mean errors over the hands of `frames`, looked for where they are: of the keypoints from the wrist in
    mm, of the wrist's distance as a share, of its direction in degrees. `turn` (3, 3) takes the clip's frame
    to the camera's."""
    found = []
    for number, rgb in frames.items():
        truths = {side: clip.keypoints[number, row] @ turn.T for row, side in enumerate((LEFT, RIGHT))}
        rois = [roi_from_keypoints(seen_by_opencv(truth, camera), side) for side, truth in truths.items()]
        pipeline.reset()
        hands = pipeline.process(Frame(as_seen(rgb, clip.K, camera, turn), 0, camera), rois)
        assert {hand.side for hand in hands} == set(truths), number
        for hand in hands:
            truth, got = truths[hand.side], hand.keypoints
            assert hand.scale_source == SCALE_POPULATION
            np.testing.assert_allclose(hand.keypoints_px, seen_by_opencv(got, camera), atol=0.01)
            lengths = np.linalg.norm([truth[0], got[0]], axis=1)
            found.append(
                [
                    1e3 * np.linalg.norm(got - got[0] - truth + truth[0], axis=1).mean(),
                    abs(lengths[1] / lengths[0] - 1),
                    np.degrees(np.arccos(truth[0] @ got[0] / lengths.prod())),
                ]
            )
    return np.mean(found, 0)


@pytest.fixture(scope='module')
def through_a_pinhole(pipeline, clip, frames):
    return errors(pipeline, clip, frames, Camera(clip.K, 640, 480, np.zeros(5)), np.eye(3))


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('camera', [FISHEYE, RATIONAL], ids=['fisheye', 'rational'])
def test_hands_are_placed_as_well_as_through_a_pinhole(
    pipeline, clip, frames, through_a_pinhole, camera, place
):
    keypoints, distance, direction = errors(pipeline, clip, frames, camera, turned(*PLACES[place]))
    assert keypoints < 1.3 * through_a_pinhole[0]
    assert distance < through_a_pinhole[1] + 0.01
    assert direction < through_a_pinhole[2] + 0.3


def test_hands_are_found_followed_and_mirrored_in_a_fisheye_image(pipeline, clip, frames):
    turn = turned(*PLACES['aside'])
    frame = Frame(as_seen(frames[45], clip.K, FISHEYE, turn), 0, FISHEYE)
    pipeline.reset()
    for stamp in range(3):
        hands = pipeline.process(Frame(frame.rgb, stamp * 33_000_000, FISHEYE))
    assert {hand.side for hand in hands} == {LEFT, RIGHT}
    for hand in hands:
        truth = clip.keypoints[45, 0 if hand.side == LEFT else 1, 0] @ turn.T
        assert np.linalg.norm(hand.keypoints[0] - truth) < 0.06 * np.linalg.norm(truth)
    mirror = Frame(np.ascontiguousarray(frame.rgb[:, ::-1]), 0, unmirrored(frame).camera)
    back = unmirrored(mirror)
    assert back.camera == FISHEYE and (back.rgb == frame.rgb).all()
    points = np.array([[0.3, 0.1, 0.2], [-0.2, 0.3, 0.5]])
    pixels = mirror.camera.project(points * [-1, 1, 1])
    np.testing.assert_allclose(pixels * [-1, 1] + [WIDTH - 1, 0], FISHEYE.project(points))


def test_a_hand_where_the_lens_model_has_no_inverse_gets_no_metric_place(pipeline, clip, frames):
    """plumb_bob, fitted to the middle of a wide image, folds before its corners."""
    turn, distortion = turned(*PLACES['aside']), [-0.3, 0.03, 0, 0, 0]
    folds = Camera(FISHEYE.K, WIDTH, HEIGHT, distortion)
    rgb = as_seen(frames[45], clip.K, FISHEYE, turn)
    rois = [
        roi_from_keypoints(seen_by_opencv(clip.keypoints[45, row] @ turn.T, FISHEYE), side)
        for row, side in enumerate((LEFT, RIGHT))
    ]
    pipeline.reset()
    sources = {hand.side: hand.scale_source for hand in pipeline.process(Frame(rgb, 0, folds), rois)}
    assert sources == {LEFT: SCALE_NONE, RIGHT: SCALE_POPULATION}
