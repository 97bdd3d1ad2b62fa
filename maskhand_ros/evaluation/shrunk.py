"""Smallest hand that is found: labelled images, shrunk until the hand has a given size, on a canvas."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from maskhand_ros import files
from maskhand_ros.evaluation.answers import Answer
from maskhand_ros.evaluation.labels import Images, Label

CANVAS = (1280, 720)
"""Width and height, px."""
SIZES = (16, 20, 24, 32, 40, 56, 80, 112)
"""Longer sides of the hand's box on the canvas, px."""
SUFFICIENT = 0.5
"""Share of the best recall over SIZES that a size must reach to count as found."""

Systems = Mapping[str, Sequence[Answer]]


def shrunk_figures(
    images: Images, folder: Path, answer: Callable[[Images, Path], Systems]
) -> dict[str, dict[str, Any]]:
    """{system: {sizes: {px: {hands, found, recall}}, smallest_px}} of the labels with a tight box.

    `answer` gives each system's Answers to images below a folder. A hand smaller than a size is left out
    of it; images are never enlarged.
    """
    found: dict[str, dict[int, list[bool]]] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            shrunk = _write(images, folder, Path(name), size)
            for system, answers in answer(shrunk, Path(name)).items():
                hits = [answer.matched[0] is not None for answer in answers]
                found.setdefault(system, {})[size] = hits
    return {system: _figures(sizes) for system, sizes in found.items()}


def _write(images: Images, folder: Path, out: Path, size: int) -> Images:
    """Shrunk images in `out`, one for each tight label that is at least `size` px, with the label moved."""
    shrunk: Images = {}
    for name, labels in images.items():
        large = [label for label in labels if not label.rough and _side(label) >= size]
        if not large:
            continue
        try:
            rgb = files.read_image(folder / name)
        except files.ImageError:
            continue  # reported where the images are evaluated as they are
        for label in large:
            target = f'{len(shrunk)}.png'
            canvas, moved = place_on_canvas(rgb, label, size)
            files.write_image(out / target, canvas)
            shrunk[target] = [moved]
    return shrunk


def place_on_canvas(rgb: np.ndarray, label: Label, size: int) -> tuple[np.ndarray, Label]:
    """The image scaled so that the labelled hand is `size` px and in the middle of a canvas of the
    image's mean colour, and the label of it there."""
    box = np.asarray(label.hand_box, float)
    scale = size / max(box[2:])
    shift = np.array(CANVAS) / 2 - scale * (box[:2] + box[2:] / 2)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = cv2.warpAffine(
        small,
        np.array([[1.0, 0, round(shift[0])], [0, 1, round(shift[1])]]),
        CANVAS,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=rgb.reshape(-1, 3).mean(0).tolist(),
    )
    moved = np.concatenate([scale * box[:2] + np.round(shift), scale * box[2:]])
    return canvas, dataclasses.replace(label, box=moved, points_px=None, points=None, K=None)


def _side(label: Label) -> float:
    return 0.0 if label.hand_box is None else float(max(label.hand_box[2:]))


def _figures(sizes: Mapping[int, Sequence[bool]]) -> dict[str, Any]:
    recalls = {size: float(np.mean(hits)) for size, hits in sizes.items() if hits}
    best = max(recalls.values(), default=0.0)
    enough = [size for size, recall in recalls.items() if best and recall >= SUFFICIENT * best]
    return {
        'sizes': {
            str(size): {'hands': len(hits), 'found': int(sum(hits)), 'recall': recalls.get(size)}
            for size, hits in sizes.items()
        },
        'smallest_px': min(enough, default=None),
    }
