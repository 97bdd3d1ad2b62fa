"""Labelled images: reading an index, and the crop that a label asks for."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import tight_box
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import Handedness

_BOX_MARGIN = 1.3
"""Edge length of the square around a hand, in longer sides of the box around its keypoints."""

CATEGORIES = {
    'o': 'open',
    'f': 'fist',
    'h': 'holding',
    't': 'touching',
    'e': 'egocentric',
    's': 'small',
    'g': 'glove',
    'b': 'blurred',
    'd': 'dark',
    'p': 'partly out of view',
}
"""Letters of `cats` in an index; a letter that is not among them stands for itself."""


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
    categories: tuple[str, ...] = ()
    """What kind of hand it is: `cats` and `gesture` of the index."""
    rough: bool = False
    """Whether the box says only where the hand is, not how large."""
    fingers: np.ndarray | None = None
    """(4,) bool: index, middle, ring, little finger straight."""

    @property
    def hand_box(self) -> np.ndarray | None:
        """(4,) x, y, w, h px: the box around the labelled keypoints, else the labelled box, else None."""
        if self.points_px is not None:
            known = self.points_px[np.isfinite(self.points_px[:, 0])]
            if len(known) >= 2:
                return tight_box(known)
        return self.box


Images = dict[str, list[Label]]
"""Labels by image; an empty list where the index says that there is no hand."""


def read_index(path: Path) -> Images:
    """Labels by image, in the file's order: {image path: [Label, ...]}."""
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
            labels = images.setdefault(entry['image'], [])
            if entry.get('hand', True):
                labels.append(label_from(entry))
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
        categories=_categories(entry),
        rough=_box_kind(entry) == 'rough',
        fingers=_fingers(entry),
    )


def _categories(entry: dict[str, Any]) -> tuple[str, ...]:
    letters = entry.get('cats') or ''
    gesture = entry.get('gesture')
    return (*(CATEGORIES.get(letter, letter) for letter in letters), *([gesture] if gesture else []))


def _box_kind(entry: dict[str, Any]) -> str:
    kind = entry.get('box_kind') or 'tight'
    if kind not in ('tight', 'rough'):
        raise ValueError(f'box_kind is {kind!r}, not tight or rough')
    return str(kind)


def _fingers(entry: dict[str, Any]) -> np.ndarray | None:
    fingers = _array(entry, 'fingers', (4,))
    return None if fingers is None else fingers > 0


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
    box = label.hand_box
    return None if box is None else roi_of_box(box, label.side)


def roi_of_box(box: np.ndarray, side: str) -> HandRoi:
    """The upright square around a box (x, y, w, h) px of a hand, _BOX_MARGIN times as large."""
    return HandRoi(box[:2] + box[2:] / 2, float(_BOX_MARGIN * box[2:].max()), 0.0, Handedness.named(side))
