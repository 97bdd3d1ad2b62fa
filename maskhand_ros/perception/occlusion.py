"""Hands behind other hands: which are hidden, and images with the hand in front painted over.

The landmark network takes the nearest complete hand of a crop. With the hand in front painted over it finds
the hand behind it, or none.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from maskhand_ros.perception.association import in_outline, is_known
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.skeleton import KEYPOINT_EDGES

_HIDDEN_SHARE = 0.2
"""Share of a track's keypoints inside the outline of another hand from which that hand may hide it."""
_VISIBLE, _SURE_SIDE = 0.95, 0.985
"""Presence, or probability of its side, from which a hand behind another is visible enough. On rendered hands
with less, the landmarks often lie on the hand in front."""
_STROKE = 0.12
"""Width of a painted bone, as a share of the hand's size."""
_PALM = [0, 1, 5, 9, 13, 17]
_MARGIN = 0.15
"""Border around the hand from which the paint is taken, as a share of its size."""
_MAX_SIDE = 160
"""Longer edge, px, above which the region is painted at a reduced resolution."""
_RADIUS = 3
"""Neighbourhood of the inpainting, px."""


def hides(front: Observation, track: Track) -> bool:
    """Whether the hand of an Observation covers part of the last position of a Track."""
    return float(in_outline(front, track.keypoints_px).mean()) >= _HIDDEN_SHARE


def is_visible(track: Track, observation: Observation, front: list[Observation]) -> bool:
    """Whether an Observation shows the hand of a Track in spite of the hands in `front` of it, and not one of
    these."""
    seen = observation.presence >= _VISIBLE or observation.probability_of(track.side) >= _SURE_SIDE
    return seen and not is_known(observation, front, followed=True)


def painted_over(rgb: np.ndarray, hands: Iterable[Observation]) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 in which the surroundings of these hands continue over them
    (Telea 2004)."""
    painted = rgb.copy()
    for hand in hands:
        mask = _silhouette(hand, rgb.shape[:2])
        margin = round(_MARGIN * hand.size_px) + _RADIUS
        x, y, width, height = cv2.boundingRect(mask)
        if not width:
            continue
        rows = slice(max(y - margin, 0), y + height + margin)
        columns = slice(max(x - margin, 0), x + width + margin)
        region, part = painted[rows, columns], mask[rows, columns]
        scale = min(_MAX_SIDE / max(part.shape), 1.0)
        small = cv2.resize(region, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        # At a reduced resolution, pixels at the border of the mask are part hand, part surroundings.
        touched = cv2.resize(255 * part, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        hidden = (touched > 0).astype(np.uint8)
        filled = cv2.inpaint(small, hidden, _RADIUS, cv2.INPAINT_TELEA)
        filled = cv2.resize(filled, part.shape[::-1], interpolation=cv2.INTER_LINEAR)
        region[part > 0] = filled[part > 0]
    return painted


def _silhouette(hand: Observation, shape: tuple[int, int]) -> np.ndarray:
    """Mask (H, W) uint8 of the palm and the bones of a hand."""
    mask = np.zeros(shape, np.uint8)
    pixels = np.clip(hand.keypoints_px, -max(shape), 2 * max(shape)).astype(np.int32)
    cv2.polylines(mask, list(pixels[KEYPOINT_EDGES]), False, 1, max(round(_STROKE * hand.size_px), 1))
    cv2.fillConvexPoly(mask, cv2.convexHull(pixels[_PALM]), 1)
    return mask
