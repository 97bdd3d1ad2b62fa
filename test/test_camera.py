"""Lens models against OpenCV's own functions, and the checks of Camera and CameraInfo."""

import cv2
import numpy as np
import pytest

from maskhand_ros.camera_arguments import Calibration
from maskhand_ros.camera_info import calibration_doubts, decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera


def camera(focal, width, height, distortion, lens='pinhole'):
    return Camera(
        [[focal, 0, 0.51 * width], [0, 1.01 * focal, 0.49 * height], [0, 0, 1]],
        width,
        height,
        distortion,
        lens,
    )


LENSES = {
    'plumb_bob of 70 degrees': (camera(460, 640, 480, [-0.42, 0.24, 1e-3, -2e-3, -0.08]), 0.03),
    'plumb_bob of 100 degrees': (camera(800, 1920, 1080, [-0.25, 0.065, 1e-4, 3e-4, -0.0075]), 0.15),
    'plumb_bob, four numbers': (camera(600, 640, 480, [-0.3, 0.1, 1e-3, -1e-3]), 0),
    'pincushion': (camera(600, 640, 480, [0.3, 0.2, 1e-3, -1e-3, 0.1]), 0),
    'rational of 75 degrees': (camera(605, 1280, 720, [0.5, -2.7, 6e-4, -2e-4, 1.6, 0.38, -2.5, 1.5]), 0),
    'rational of 120 degrees': (camera(600, 1280, 720, [0.6, 0.04, 1e-4, -1e-4, 5e-4, 0.93, 0.15, 0.004]), 0),
    'rational of 150 degrees': (camera(285, 640, 400, [9.4, 5.2, 2e-4, -1e-4, 0.24, 9.75, 8.3, 1.35]), 0),
    'thin prism': (
        camera(600, 640, 480, [-0.2, 0.05, 1e-3, -1e-3, 0, 0.01, 0, 0, 1e-3, -5e-4, 8e-4, 2e-4]),
        0,
    ),
    'tilted sensor': (
        camera(600, 640, 480, [-0.2, 0.05, 1e-3, -1e-3, 0, 0.01, 0, 0, 1e-3, -5e-4, 8e-4, 2e-4, 0.05, -0.03]),
        0,
    ),
    'fisheye of 120 degrees': (camera(300, 640, 480, [-0.02, 0.01, -0.004, 0.0005], 'fisheye'), 0),
    'fisheye of 200 degrees': (camera(367, 1280, 960, [0.02, -0.01, 0.003, -0.001], 'fisheye'), 0.35),
    'fisheye that folds': (camera(250, 640, 480, [-0.15, -0.05, 0, 0], 'fisheye'), 0.6),
}
"""Cameras, and the share of their pixels that may be refused."""


@pytest.mark.parametrize('name', LENSES)
def test_every_pixel_has_an_exact_ray_or_none(name):
    lens, refused = LENSES[name]
    pixels = np.stack(np.meshgrid(np.arange(lens.width), np.arange(lens.height)), -1).reshape(-1, 2)[::7]
    rays = lens.unproject_rays(pixels)
    given = np.isfinite(rays).all(1)
    assert 1 - given.mean() <= refused
    if lens.lens == 'fisheye':
        back = cv2.fisheye.projectPoints(rays[given, None], *np.zeros((2, 3)), lens.K, lens.distortion)[0][
            :, 0
        ]
    else:
        back = cv2.projectPoints(rays[given], *np.zeros((2, 3)), lens.K, lens.distortion)[0][:, 0]
    np.testing.assert_allclose(back, pixels[given], atol=0.01)
    np.testing.assert_allclose(lens.project(rays[given]), back, atol=1e-4)
    # Of the two rays that a pixel of a folding model has, the one before the fold.
    steps = np.linspace(0, 1, 30)[:, None, None] * (rays[given][::97] * [1, 1, 0]) + [0, 0, 1]
    distance = np.linalg.norm(lens.project(steps.reshape(-1, 3)) - lens.project([0, 0, 1]), axis=1)
    assert (np.diff(distance.reshape(30, -1), axis=0) > 0).all()
    guesses = lens.nearest_rays(pixels)
    assert np.isfinite(guesses).all() and np.array_equal(guesses[given], rays[given])
    assert lens.can_measure(rays[given]) and not lens.can_measure(
        np.concatenate([rays[given], [[60.0, 60, 1]]])
    )


def test_fisheye_rays_against_opencv():
    lens = LENSES['fisheye of 120 degrees'][0]
    pixels = np.random.default_rng(0).uniform(0, [640, 480], (500, 2))
    flat = cv2.fisheye.undistortPoints(pixels[:, None], lens.K, lens.distortion)[:, 0]
    np.testing.assert_allclose(lens.unproject_rays(pixels)[:, :2], flat, atol=1e-6)


@pytest.mark.parametrize('name', LENSES)
def test_points_outside_of_the_view_stay_outside_and_those_behind_are_nowhere(name):
    lens = LENSES[name][0]
    angle = np.linspace(0, np.radians(89), 200)
    for turn in np.linspace(0, 2 * np.pi, 8):
        points = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], 1)
        distance = np.linalg.norm(lens.project(points) - lens.project([0, 0, 1]), axis=1)
        assert (np.diff(distance) > 0).all()
    assert np.isnan(lens.project([[0.1, 0.1, -1], [0.1, 0, 0]])).all()


K = np.array([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]])


@pytest.mark.parametrize(
    'fields, what, fix',
    [
        ({'K': (600, 610, 320, 240)}, 'four numbers', r'np.array\(\[\[fx, 0, cx\], \[0, fy, cy\]'),
        ({'K': K.ravel()}, 'nine numbers', 'reshape'),
        ({'K': np.eye(3, 4)}, 'projection matrix', r'P\[:, :3\]'),
        ({'K': np.zeros((2, 2))}, '2 x 2, not 3 x 3', 'fx, 0, cx'),
        ({'K': 'webcam'}, 'K is of type str', 'fx, 0, cx'),
        ({'K': [[1, 2], [3]]}, 'K is of type list', 'fx, 0, cx'),
        ({'K': np.nan * K}, 'not finite', 'fx'),
        ({'K': -K}, 'focal lengths in K are -600 and -610', 'fx'),
        ({'K': K.T}, 'not of the form', 'K.T'),
        ({'K': K + [[0, 7, 0], [0, 0, 0], [0, 0, 0]]}, 'skew', 'without skew'),
        ({'width': 640.5}, 'width is 640.5', r'rgb.shape\[1\]'),
        ({'height': 0}, 'height is 0', r'rgb.shape\[0\]'),
        ({'distortion': [0.1, 0.2, 0.3]}, "3 numbers for lens 'pinhole'", '0, 4, 5, 8, 12 or 14'),
        ({'distortion': np.zeros(5), 'lens': 'fisheye'}, "5 numbers for lens 'fisheye'", 'give it 4,'),
        ({'distortion': [0.1, 0, 0, np.inf]}, 'distortion has numbers that are not finite', 'calibrate'),
        ({'lens': 'equidistant'}, "lens is 'equidistant'", "'fisheye'"),
    ],
)
def test_a_camera_that_cannot_be_says_what_is_wrong_and_the_fix(fields, what, fix):
    with pytest.raises(ValueError, match=f'{what}.* Fix: .*{fix}'):
        Camera(**{'K': K, 'width': 640, 'height': 480, **fields})


def test_lists_are_taken_and_cameras_compare_by_their_numbers():
    one = Camera(K.tolist(), np.int64(640), 480, [0.1, 0, 0, 0])
    assert one == Camera(K, 640, 480, np.array([0.1, 0, 0, 0])) and one.K.dtype == float
    assert len({one, Camera(K, 640, 480), Camera(K, 640, 480, [0.1, 0, 0, 0], 'fisheye')}) == 3


@pytest.mark.parametrize('model', ['equidistant', 'fisheye', 'kannala_brandt4'])
def test_fisheye_calibrations_are_used(model):
    k = [300.0, 0, 320, 0, 300, 240, 0, 0, 1]
    got = decode_camera_info(
        Calibration(640, 480, k, [-0.02, 0.01, -0.004, 0.0005], distortion_model=model), 640, 480
    )
    assert got.lens == 'fisheye' and got.distortion.size == 4
    # Four zeros are a lens too, and 183 degrees are no mistake.
    k[0] = k[4] = 200.0
    ideal = decode_camera_info(Calibration(640, 480, k, [0.0] * 4, distortion_model=model), 640, 480)
    ray = ideal.unproject_rays([[520.0, 240]])[0]
    assert np.arctan(ray[0]) == pytest.approx(1.0)
    with pytest.raises(BadInput, match='a view of'):
        decode_camera_info(
            Calibration(640, 480, [130.0, 0, 320, 0, 130, 240, 0, 0, 1], [0.0] * 4, distortion_model=model),
            640,
            480,
        )


def test_skew_of_a_calibration_is_dropped_within_its_bound():
    k = [600.0, 6.0, 320, 0, 600, 240, 0, 0, 1]
    got = decode_camera_info(Calibration(640, 480, k), 640, 480)
    corners = np.array([[0, 0, 1], [639, 0, 1], [0, 479, 1], [639, 479, 1.0]])
    exact = corners @ np.linalg.inv(np.reshape(k, (3, 3))).T
    assert np.abs(got.project(exact) - corners[:, :2]).max() <= 0.005 * 480 + 1e-9
    k[1] = 6.1
    with pytest.raises(BadInput, match='invalid'):
        decode_camera_info(Calibration(640, 480, k), 640, 480)


def test_a_rectified_image_with_the_distortion_of_the_raw_one_is_noticed():
    info = Calibration(
        640,
        480,
        K.ravel().tolist(),
        [-0.3, 0.1, 0.0, 0.0, 0.0],
        [500.0, 0, 310, 0, 0, 510, 230, 0, 0, 0, 1, 0],
    )
    raw, rectified = (
        decode_camera_info(info, 640, 480, image_rectified) for image_rectified in (False, True)
    )
    for topic in ('/cam/image_rect', '/cam/image_rect_color', '/cam/image_rect/compressed', '/cam/rectified'):
        (doubt,) = calibration_doubts(raw, topic)
        assert 'image_rectified: true' in doubt.remedy and topic in doubt.seen
        assert not calibration_doubts(rectified, topic)
    for topic in ('/cam/image_raw', '/rect/image_color', '/cam/direct_image', '/cam/image_rectangle'):
        assert not calibration_doubts(raw, topic)


def test_a_lens_model_that_folds_inside_the_image_is_told():
    info = Calibration(1920, 1080, [800.0, 0, 960, 0, 800, 540, 0, 0, 1], [-0.25, 0.065, 1e-4, 3e-4, -0.0075])
    (doubt,) = calibration_doubts(decode_camera_info(info, 1920, 1080), '/image')
    assert doubt.reason == 'lens model without inverse' and 'rational_polynomial' in doubt.remedy
