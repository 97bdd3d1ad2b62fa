"""Contact sheets of detection: all found hands by confidence, those without a label, and missed ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros import files
from maskhand_ros.evaluation.answers import Answer
from maskhand_ros.evaluation.detection import Found, confidence_of
from maskhand_ros.evaluation.labels import Label
from maskhand_ros.evaluation.sheets import Look, contact_sheet, hand_tile
from maskhand_ros.geometry import Camera, tight_box

PER_SHEET = 40

Shown = tuple[Answer, Found | None, Label | None]
"""An answer, a hand of it, and the label that it answers."""


def write_detection_sheets(folder: Path, answers: Sequence[Answer], root: Path, faces: np.ndarray) -> None:
    """confidence_N.png (least sure first), unlabelled_N.png and missed_N.png into `folder`, and
    confidence.json to be filled in (evaluation.judged); images lie below `root`, `faces` (F, 3) are a right
    hand's. A tile is numbered by its place in the order."""
    found = [row for answer in answers for row in _found(answer)]
    found.sort(key=lambda row: confidence_of(row[1]) if row[1] else 0.0)
    files.write_json(str(folder / 'confidence.json'), _to_judge(found))
    missed: list[Shown] = [
        (answer, None, label)
        for answer in answers
        for label, hand in zip(answer.labels, answer.matched, strict=True)
        if hand is None and label.hand_box is not None
    ]
    sheets = {
        'confidence': found,
        'unlabelled': [row for row in found if row[2] is None],
        'missed': missed,
    }
    for name, rows in sheets.items():
        for page, start in enumerate(range(0, len(rows), PER_SHEET)):
            part = list(enumerate(rows))[start : start + PER_SHEET]
            path = folder / f'{name}_{page}.png'
            files.write_image(path, contact_sheet([_tile(k, row, root, faces) for k, row in part]))
            print(f'written {path}')


def _to_judge(rows: Sequence[Shown]) -> list[dict[str, Any]]:
    return [
        {
            'number': number,
            'image': answer.image,
            'box': np.round(tight_box(hand.keypoints_px), 1).tolist(),
            'confidence': round(confidence_of(hand), 4),
            'right': None,
        }
        for number, (answer, hand, _) in enumerate(rows)
        if hand is not None
    ]


def _found(answer: Answer) -> list[Shown]:
    of_label = [
        (answer, hand, label)
        for label, hand in zip(answer.labels, answer.matched, strict=True)
        if hand is not None
    ]
    return [*of_label, *((answer, hand, None) for hand in answer.unlabelled)]


def _tile(number: int, row: Shown, root: Path, faces: np.ndarray) -> np.ndarray:
    answer, hand, label = row
    rgb = files.read_image(root / answer.image)
    kind = 'unlabelled' if label is None else ' '.join(label.categories)
    name = f'{Path(answer.image).name[-26:]} {kind}'
    K = next((label.K for label in answer.labels if label.K is not None), None)
    height, width = rgb.shape[:2]
    camera = Camera.default(width, height) if K is None else Camera(K, width, height)
    look = Look(camera, faces)
    if hand is None:
        box = np.zeros(4) if label is None or label.hand_box is None else label.hand_box
        return hand_tile(rgb, None, box, f'{number} {name}', look)
    wrong = ' WRONG SIDE' if label is not None and label.side not in (None, str(hand.side)) else ''
    text = f'{number} {confidence_of(hand):.2f} {hand.side} {name}{wrong}'
    return hand_tile(rgb, hand, tight_box(hand.keypoints_px), text, look)
