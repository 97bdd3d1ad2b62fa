"""Labelled images: reading an index, the crop a label asks for, and which hand answers which label."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation import metrics
from maskhand_ros.geometry import tight_box
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import Handedness


class Located(Protocol):
    """A hand with keypoints (21, 2) px: a Hand or a PeerHand."""

    keypoints_px: np.ndarray


Found = TypeVar('Found', bound=Located)


_BOX_MARGIN = 1.3
"""Edge length of the square around a hand, in longer sides of the box around its keypoints."""

MATCH_IOU = 0.15
"""Least overlap of the keypoint boxes for a prediction to count as the labelled hand."""


@dataclass
class Label:
    """One labelled hand; what the index does not give is None."""

    source: str
    sequence: str | None
    side: str | None
    box: np.ndarray | None
    points_px: np.ndarray | None
    points: np.ndarray | None
    """(21, 3) metres, camera frame; NaN where not labelled."""
    valid: np.ndarray
    K: np.ndarray | None


Images = dict[tuple[str, str], list[Label]]
"""Labels by source and image."""


def read_index(path: Path) -> Images:
    """Labels by source and image, in the file's order: {(source, image path): [Label, ...]}."""
    try:
        entries = json.loads(pathlib.Path(path).read_text())
    except ValueError as error:
        raise CommandError(
            f'{path} is not JSON ({error})', 'give an index as `maskhand evaluate --help` says'
        ) from error
    if not isinstance(entries, list) or not all(isinstance(e, dict) and 'image' in e for e in entries):
        raise CommandError(
            f'{path} is not a list of objects with an `image`', 'see `maskhand evaluate --help`'
        )
    images: Images = {}
    for number, entry in enumerate(entries):
        try:
            label = label_from(entry)
            images.setdefault((label.source, entry['image']), []).append(label)
        except (TypeError, ValueError) as error:
            raise CommandError(
                f'{path}, entry {number} ({entry["image"]}): {error}', 'correct or remove the entry'
            ) from error
    return images


def label_from(entry: dict[str, Any]) -> Label:
    points_px = _array(entry, 'keypoints_2d', (21, 2))
    points = _array(entry, 'keypoints_3d_mm', (21, 3))
    valid = (
        np.ones(21, bool)
        if entry.get('keypoints_valid') is None
        else np.array(entry['keypoints_valid'], bool)
    )
    if valid.shape != (21,):
        raise ValueError('keypoints_valid must have 21 values')
    for array in (points_px, points):
        if array is not None:
            array[~valid] = np.nan
    return Label(
        source=entry.get('source') or 'unnamed',
        sequence=entry.get('sequence'),
        side=entry.get('handedness'),
        box=_array(entry, 'bbox', (4,)),
        points_px=points_px,
        points=None if points is None else points / 1000,
        valid=valid,
        K=_array(entry, 'camera_K', (3, 3)),
    )


def _array(entry: dict[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if entry.get(key) is None:
        return None
    array = np.array(entry[key], float)  # null inside becomes NaN
    if array.shape != shape:
        raise ValueError(f'{key} has shape {array.shape}, not {shape}')
    return array


def roi_of(label: Label) -> HandRoi | None:
    """The square around a labelled hand: upright unless all keypoints are labelled, None without any."""
    if label.points_px is not None and np.isfinite(label.points_px).all():
        return roi_from_keypoints(label.points_px, Handedness.named(label.side))
    box = _label_box(label)
    if box is None:
        return None
    return roi_of_box(box, label.side)


def roi_of_box(box: np.ndarray, side: str) -> HandRoi:
    """The upright square around a box (x, y, w, h) px of a hand, _BOX_MARGIN times as large."""
    return HandRoi(box[:2] + box[2:] / 2, float(_BOX_MARGIN * box[2:].max()), 0.0, Handedness.named(side))


def match(labels: Sequence[Label], hands: Sequence[Found]) -> list[Found | None]:
    """For each label its hand or None: one to one, best overlap first.

    A label without keypoints and box takes any hand that is left over.
    """
    pairs = []
    for i, label in enumerate(labels):
        box = _label_box(label)
        for j, hand in enumerate(hands):
            if box is None:
                pairs.append((0.0, i, j))
                continue
            overlap = metrics.box_iou(tight_box(hand.keypoints_px), box)
            if overlap >= MATCH_IOU:
                pairs.append((overlap * (1 if label.points_px is None else _closeness(label, hand)), i, j))
    chosen: list[Found | None] = [None] * len(labels)
    taken = set()
    for _, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if chosen[i] is None and j not in taken:
            chosen[i] = hands[j]
            taken.add(j)
    return chosen


def _label_box(label: Label) -> np.ndarray:
    if label.points_px is not None and np.isfinite(label.points_px[:, 0]).sum() >= 2:
        return tight_box(label.points_px[np.isfinite(label.points_px[:, 0])])
    return label.box


def _closeness(label: Label, hand: Located) -> float:
    """1 for the very hand, falling with the 2D error: tells two hands that overlap apart."""
    errors = metrics.relative_errors_2d(
        hand.keypoints_px, label.points_px, np.isfinite(label.points_px[:, 0])
    )
    return 1 / (1 + 10 * float(np.nan_to_num(np.nanmean(errors), nan=1.0)))
