"""Videos of an operator beside a robot: panes of one size, and text on them."""

from __future__ import annotations

import cv2
import numpy as np

PANE = 480, 360
"""Width and height of each half, pixels."""


def fit(rgb: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) in a pane, with black bars."""
    scale = min(PANE[0] / rgb.shape[1], PANE[1] / rgb.shape[0])
    size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    pane = np.zeros((PANE[1], PANE[0], 3), np.uint8)
    top, left = (PANE[1] - size[1]) // 2, (PANE[0] - size[0]) // 2
    pane[top : top + size[1], left : left + size[0]] = small
    return pane


def write(image: np.ndarray, text: str, place: tuple[int, int]) -> None:
    """Draws a text on a dark box on an image, its lower left corner at `place` (x, y) px."""
    font = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (width, height), below = cv2.getTextSize(text, *font, 1)
    left, bottom = place
    corners = (left - 3, bottom - height - 4), (left + width + 3, bottom + below)
    cv2.rectangle(image, *corners, (30, 30, 30), -1)
    cv2.putText(image, text, place, *font, (255, 255, 255), 1, cv2.LINE_AA)
