"""The overlay: a keypoint that is likely hidden is drawn hollow."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from maskhand_ros.perception.overlay import FINGER_COLOURS, draw_hands
from maskhand_ros.skeleton import RIGHT

GREY = 120


def drawn(visibility: np.ndarray | None) -> np.ndarray:
    """(21, 3) colours in the middle of the drawn keypoints, which lie on five rays from the wrist."""
    angles = np.repeat(np.radians([200, 235, 270, 305, 340]), 4)
    radii = np.tile([60, 100, 140, 180], 5)
    tips = [320, 300] + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    pixels = np.concatenate([[[320, 300]], tips])
    hand = SimpleNamespace(
        side=RIGHT, vertices=None, wrist_position=None, keypoints_px=pixels, keypoint_visibility=visibility
    )
    image = draw_hands(np.full((480, 640, 3), GREY, np.uint8), [hand], labels=False)  # type: ignore[list-item]
    columns, rows = np.rint(pixels).astype(int).T
    return image[rows, columns]


def test_hidden_keypoints_are_hollow_and_unknown_ones_are_not() -> None:
    expected = np.concatenate([[[255, 255, 255]], np.repeat(FINGER_COLOURS, 4, 0)])
    np.testing.assert_allclose(drawn(None), expected, atol=12)
    visibility = np.where(np.arange(21) == 8, 0.2, 0.8)
    found = drawn(visibility)
    assert found[8].max() < 60
    others = np.delete(np.arange(21), 8)
    np.testing.assert_allclose(found[others], expected[others], atol=12)
