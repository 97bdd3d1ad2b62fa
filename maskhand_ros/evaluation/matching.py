"""Matching of found hands with labels, one to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from maskhand_ros.evaluation import metrics
from maskhand_ros.evaluation.finger_states import straight_fingers
from maskhand_ros.evaluation.labels import Label
from maskhand_ros.geometry import tight_box

MATCH_IOU = 0.3
"""Least overlap of a found hand with a label, both as squares.

On 98 hands of everyday images, true pairs have 0.63 and more; a hand that touches the labelled one has at
most 0.27. COCO's 0.5 is for boxes that must fit; here a hand whose fingers are reconstructed wrongly, and
whose box is too small for it, still counts as found.
"""
_ROUGH_SIZE = 2.0
"""Largest factor between the size of a found hand and that of a rough label, either way."""


class Located(Protocol):
    """A hand with keypoints (21, 2) px and (21, 3) m: a Hand or a PeerHand."""

    keypoints_px: np.ndarray
    keypoints_wrist: np.ndarray


Found = TypeVar('Found', bound=Located)


def match(labels: Sequence[Label], hands: Sequence[Found]) -> list[Found | None]:
    """For each label its hand or None: one to one, the best agreement first.

    Tight labels: overlap of the squares around the two boxes of at least MATCH_IOU. A square, because the box
    around the keypoints of a hand seen from its edge is thin. Rough labels: the centre of the found hand lies
    in the box, and its size differs by a factor of _ROUGH_SIZE at most. A label without box takes any hand
    that is left over; if it says which fingers are straight, the one that agrees best.
    """
    pairs = [
        (agreement, i, j)
        for i, label in enumerate(labels)
        for j, hand in enumerate(hands)
        if (agreement := _agreement(label, hand)) is not None
    ]
    chosen: list[Found | None] = [None] * len(labels)
    taken = set()
    for _, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if chosen[i] is None and j not in taken:
            chosen[i] = hands[j]
            taken.add(j)
    return chosen


def overlap_of_squares(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the squares around two boxes (x, y, w, h)."""
    return metrics.box_iou(_square(a), _square(b))


def _square(box: np.ndarray) -> np.ndarray:
    side = max(box[2:])
    return np.array([*(np.add(box[:2], np.divide(box[2:], 2)) - side / 2), side, side])


def _agreement(label: Label, hand: Located) -> float | None:
    """How well a hand agrees with a label, 0 to 1; None if it is another."""
    box = label.hand_box
    if box is None:
        return 0.0 if label.fingers is None else float((straight_fingers(hand) == label.fingers).mean())
    found = tight_box(hand.keypoints_px)
    if label.rough and not _roughly_there(found, box):
        return None
    overlap = overlap_of_squares(found, box)
    if not label.rough and overlap < MATCH_IOU:
        return None
    return overlap * (1 if label.points_px is None else _closeness(label, hand))


def _roughly_there(found: np.ndarray, box: np.ndarray) -> bool:
    centre, ratio = found[:2] + found[2:] / 2, max(found[2:]) / max(*box[2:], 1e-9)
    inside = (centre >= box[:2]).all() and (centre <= box[:2] + box[2:]).all()
    return bool(inside and 1 / _ROUGH_SIZE <= ratio <= _ROUGH_SIZE)


def _closeness(label: Label, hand: Located) -> float:
    """1 for the very hand, falling with the 2D error: tells two hands that overlap apart."""
    errors = metrics.relative_errors_2d(
        hand.keypoints_px, label.points_px, np.isfinite(label.points_px[:, 0])
    )
    return 1 / (1 + 10 * float(np.nan_to_num(np.nanmean(errors), nan=1.0)))
