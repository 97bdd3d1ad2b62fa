"""Views of an image for the palm detector."""

import numpy as np
import pytest

from maskhand_ros.perception.views import View, steady_cycle, thorough_views, view_around, whole_view

SIZE = 192
SHAPES = (1280, 720), (720, 1280), (640, 480), (200, 150), (4096, 100)


def dot(width, height, x, y, radius=6):
    """A black image with a white disc."""
    rows, columns = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius] = 255
    return image


@pytest.mark.parametrize('turns', range(4))
@pytest.mark.parametrize('left, top, size', [(100, 40, 200), (-80, -120, 500), (200, 100, 150)])
def test_a_point_of_a_view_is_the_same_point_of_the_image(left, top, size, turns):
    view = View(left, top, size, turns)
    seen = view.cut(dot(320, 240, 230, 150), SIZE)
    rows, columns = np.nonzero(seen[..., 0] > 128)
    point = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / SIZE
    assert view.to_image(point) == pytest.approx([230, 150], abs=1.5)
    # What points up in the view has the angle `roll` in the image (0 is up, pi/2 is right).
    up = view.to_image(point + [0, -0.1]) - view.to_image(point)
    assert up == pytest.approx(0.1 * size * np.array([np.sin(view.roll), -np.cos(view.roll)]))


def test_what_lies_outside_the_image_is_black():
    white = np.full((100, 100, 3), 255, np.uint8)
    assert not view_around(np.array([500.0, 500.0]), 80).cut(white, SIZE).any()
    wide = whole_view(100, 100, 2.0).cut(white, SIZE)[..., 0]
    assert wide[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4].min() == 255 and wide.mean() < 255 / 3


def test_every_view_of_every_image_can_be_cut():
    rng = np.random.default_rng(0)
    for width, height in [*SHAPES, (1, 1), (5, 3000), *rng.integers(1, 500, (300, 2))]:
        image = np.full((height, width, 3), 255, np.uint8)
        around = view_around(rng.uniform(-300, 800, 2), rng.uniform(1, 900))
        views = *thorough_views(width, height), *steady_cycle(width, height), around
        for view in views if width * height < 1e5 else rng.permutation(views)[:5]:
            assert view.cut(image, SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize('width, height', SHAPES)
@pytest.mark.parametrize('views', (thorough_views, steady_cycle))
def test_a_small_hand_anywhere_lies_wholly_in_a_tile_in_which_it_is_large_enough(views, width, height):
    """A hand is found from 6 % of the view's width up; a margin of half its size belongs to it."""
    hand = 0.03 * max(width, height)
    rng = np.random.default_rng(0)
    for x, y in rng.uniform([hand] * 2, np.maximum([width - hand, height - hand], hand + 1), (200, 2)):
        assert any(
            view.turns == 0
            and (view.size_px < hand / 0.06 + 1 or view.size_px <= 320)
            and view.left <= x - hand and x + hand <= view.left + view.size_px
            and view.top <= y - hand and y + hand <= view.top + view.size_px
            for view in views(width, height)
        ) or max(width, height) <= 200  # fmt: skip


def test_the_steady_cycle_of_a_camera_image_is_short():
    assert len(steady_cycle(1280, 720)) == 11 and len(steady_cycle(640, 480)) <= 11
