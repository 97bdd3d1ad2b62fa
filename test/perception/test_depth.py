"""Depth moved from one camera to another: against a plane of known distance and against a plain loop."""

import numpy as np
import pytest

from maskhand_ros.geometry import Camera, rotvec_to_matrix
from maskhand_ros.perception.depth import DepthRegistration, same_camera

TURN, SHIFT = rotvec_to_matrix(np.array([0.02, -0.03, 0.05])), np.array([0.05, -0.01, 0.005])
LENS = np.array([-0.25, 0.08, 1e-3, -1e-3, 0.0])


def camera(focal, width, height, distortion=()):
    K = np.array([[focal, 0, 0.51 * width], [0, 1.02 * focal, 0.48 * height], [0, 0, 1.0]])
    return Camera(K, width, height, np.array(distortion, float))


def rays(of):
    pixels = np.stack(np.meshgrid(np.arange(of.width), np.arange(of.height)), -1).reshape(-1, 2)
    return of.unproject_rays(pixels).reshape(of.height, of.width, 3)


@pytest.mark.parametrize('size', [(640, 480), (1280, 720)])
@pytest.mark.parametrize('lens', [(), LENS], ids=['pinhole', 'lens'])
def test_a_tilted_plane_keeps_its_place_and_has_no_holes(size, lens):
    source, target = camera(420.0, 848, 480), camera(0.95 * size[0], *size, lens)
    normal, distance = np.array([0.2, -0.1, -1.0]), -0.8  # normal . point = distance, in source's frame
    depth = (distance / (rays(source) @ normal)).astype(np.float32)
    found = DepthRegistration(source, target)(depth, TURN, SHIFT)
    true = (distance + normal @ TURN.T @ SHIFT) / (rays(target) @ TURN @ normal)
    assert found.shape == true.shape and found.dtype == np.float32
    assert not np.isnan(found[20:-20, 20:-20]).any()
    # A reading covers up to three pixels, over which this plane falls by a millimetre.
    np.testing.assert_allclose(found[20:-20, 20:-20], true[20:-20, 20:-20], atol=0.003)


@pytest.mark.parametrize('focal, cover', [(20.0, 1), (80.0, 3)])
def test_the_nearest_reading_wins_as_in_a_plain_loop(focal, cover):
    rng = np.random.default_rng(0)
    source, target = camera(30.0, 32, 24), camera(focal, 40, 30)
    depth = rng.choice([0, np.nan, 0.4, 0.9], (24, 32)) * rng.uniform(0.9, 1.1, (24, 32))
    expected = np.full((30, 40), np.nan)
    for (row, column), z in np.ndenumerate(depth):
        if not z > 0:
            continue
        point = TURN @ (source.unproject_rays([[column, row]])[0] * z) + SHIFT
        u, v = np.floor(target.project(point)[0] - (cover - 2) / 2).astype(int)
        for y in range(v, v + cover):
            for x in range(u, u + cover):
                if u >= 0 and v >= 0 and x < 40 and y < 30 and not expected[y, x] <= point[2]:
                    expected[y, x] = point[2]
    found = DepthRegistration(source, target)(depth.astype(np.float32), TURN, SHIFT)
    assert 0.1 < np.isnan(expected).mean() < 0.9
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_nothing_shines_through_a_hand_that_is_drawn_larger():
    source, target = camera(200.0, 320, 240), camera(500.0, 960, 720)
    depth = np.full((240, 320), 1.6, np.float32)
    depth[80:160, 100:200] = 0.4
    found = DepthRegistration(source, target)(depth, TURN, SHIFT)
    corners = rays(source)[[81, 81, 158, 158], [101, 198, 101, 198]] * 0.4 @ TURN.T + SHIFT
    (left, top), (right, bottom) = (pick(target.project(corners), axis=0) for pick in (np.min, np.max))
    # Upright box inside of the slightly turned square.
    inner = found[int(top) + 20 : int(bottom) - 20, int(left) + 20 : int(right) - 20]
    assert inner.size > 10_000 and inner.max() < 0.45


def test_same_camera_looks_at_what_the_numbers_do():
    one = camera(600.0, 640, 480, LENS)
    assert same_camera(one, camera(600.5, 640, 480, LENS))
    assert not same_camera(one, camera(610.0, 640, 480, LENS))
    assert not same_camera(one, camera(600.0, 640, 480))
    assert not same_camera(one, camera(600.0, 320, 240, LENS))
