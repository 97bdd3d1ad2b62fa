"""Views of an image for the palm detector: squares by scale, tile and rotation.

The detector finds palms of a tenth to a half of its input's width that point up. A small hand is found in a
tile, a hand that fills the image in a view larger than the image, and a hand that points down or to the side
in a rotated view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

_TURNS = (0, 1, 2, 3)
_WIDE = 2.0
"""Edge length of the view that is larger than the image, as a multiple of the image's longer edge."""
_TILES = (1 / 2, 1 / 3, 1 / 5)
"""Edge lengths of the tiles, as shares of the image's longer edge."""
_MIN_TILE = 160
"""Minimum edge length of a tile, px: smaller tiles would only be enlarged."""
_STRIDE = 0.7
"""Maximum distance between two tiles, as a share of their edge length: the overlap holds a hand."""
_STEADY_TILE, _MIN_STEADY_TILE = 1 / 3, 320
"""The same for the tiles of the steady cycle: share and minimum."""


@dataclass(frozen=True)
class View:
    """A square of an image, rotated by quarter turns. It may reach beyond the image."""

    left: float
    top: float
    size_px: float
    turns: int = 0
    """Counter-clockwise quarter turns of the square before the detector sees it (np.rot90)."""

    def cut(self, rgb: np.ndarray, size: int) -> np.ndarray:
        """The view of `rgb` (H, W, 3) scaled to (size, size, 3), black outside the image."""
        scale = size / self.size_px
        height, width = rgb.shape[:2]
        x0, x1 = (round(np.clip(x, 0, width)) for x in (self.left, self.left + self.size_px))
        y0, y1 = (round(np.clip(y, 0, height)) for y in (self.top, self.top + self.size_px))
        left, right = (round(np.clip((x - self.left) * scale, 0, size)) for x in (x0, x1))
        top, bottom = (round(np.clip((y - self.top) * scale, 0, size)) for y in (y0, y1))
        square = np.zeros((size, size, 3), np.uint8)
        if right > left and bottom > top and x1 > x0 and y1 > y0:
            square[top:bottom, left:right] = cv2.resize(
                rgb[y0:y1, x0:x1],
                (right - left, bottom - top),
                interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
            )
        return np.ascontiguousarray(np.rot90(square, self.turns))

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) in 0..1 of the view to image pixels."""
        x, y = points[..., 0], points[..., 1]
        for _ in range(self.turns):
            x, y = 1 - y, x
        return np.stack([x, y], -1) * self.size_px + [self.left, self.top]

    @property
    def roll(self) -> float:
        """Angle (rad) to add to a roll in the view for the roll in the image."""
        return self.turns * np.pi / 2


def whole_view(width: int, height: int, scale: float = 1.0, turns: int = 0) -> View:
    """The view of a whole image, centred; `scale` times as large as its longer edge."""
    size = scale * max(width, height)
    return View((width - size) / 2, (height - size) / 2, size, turns)


def view_around(center_px: np.ndarray, size_px: float) -> View:
    """The upright view of edge length `size_px` around a point (2,) of the image."""
    return View(center_px[0] - size_px / 2, center_px[1] - size_px / 2, size_px)


def tile_views(width: int, height: int, share: float, minimum: float = _MIN_TILE) -> list[View]:
    """Overlapping upright tiles that cover an image, with edges of `share` of its longer edge and at least
    `minimum` px; none if a tile would be nearly as large as the image."""
    longer = max(width, height)
    size = max(share * longer, minimum)
    if size > 0.8 * longer:
        return []
    return [View(x, y, size) for y in _starts(height, size) for x in _starts(width, size)]


def _starts(length: int, size: float) -> list[float]:
    """First coordinates of the tiles along one edge of the image."""
    if length <= size:
        return [(length - size) / 2]
    count = int(np.ceil((length - size) / (_STRIDE * size))) + 1
    return [float(start) for start in np.linspace(0, length - size, count)]


@lru_cache(maxsize=4)
def thorough_views(width: int, height: int) -> tuple[View, ...]:
    """All views of an image: the whole in four rotations at two scales, the tiles, the largest first, and
    the largest tiles turned to either side."""
    views = [whole_view(width, height, scale, turns) for scale in (1.0, _WIDE) for turns in _TURNS]
    for share in _TILES:
        views += [view for view in tile_views(width, height, share) if view not in views]
    views += [replace(view, turns=turns) for turns in (1, 3) for view in tile_views(width, height, _TILES[0])]
    return tuple(views)


@lru_cache(maxsize=4)
def steady_cycle(width: int, height: int) -> tuple[View, ...]:
    """The views that the search of a video takes in turn, beside the whole upright image: the wide view, two
    rotations, and tiles; 11 views for 1280x720."""
    return (
        whole_view(width, height, _WIDE),
        whole_view(width, height, turns=1),
        whole_view(width, height, turns=3),
        *tile_views(width, height, _STEADY_TILE, _MIN_STEADY_TILE),
    )
