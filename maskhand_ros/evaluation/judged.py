"""Confidence against hands that a person has judged right or wrong by eye, on a contact sheet.

`maskhand evaluate --sheet DIR` writes DIR/confidence.json: a list of {number, image, box, confidence, right},
in the order of the sheets confidence_N.png, with `right` null. With true or false filled in, `--judged` reads
it. A judgement holds for the hand of another run whose square overlaps the box by SAME_HAND, as long as its
reconstruction is about the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.answers import Answer
from maskhand_ros.evaluation.detection import confidence_of
from maskhand_ros.evaluation.matching import overlap_of_squares
from maskhand_ros.evaluation.uncertainty import rank_auc
from maskhand_ros.geometry import tight_box

SAME_HAND = 0.6
THRESHOLDS = tuple(round(0.1 * k, 1) for k in range(1, 10))


def read_judgements(path: Path) -> list[dict[str, Any]]:
    """Entries with `right` true or false. CommandError if the file is not of the form above."""
    try:
        entries = json.loads(path.read_text())
        judged = [entry for entry in entries if entry['right'] is not None]
        for entry in judged:
            if np.shape(entry['box']) != (4,) or not isinstance(entry['image'], str):
                raise ValueError(f'entry of {entry["image"]}')
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f'{path} is no list of judgements ({error})', 'fill in the confidence.json that --sheet writes'
        ) from error
    return judged


def judged_figures(answers: Sequence[Answer], judgements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{right, wrong, not_found, confidence_auc, by_threshold: {t: {right_kept, wrong_kept}}}: shares of right
    and of wrong hands of at least that confidence."""
    hands = {answer.image: answer.hands for answer in answers}
    found: list[tuple[float, bool]] = []
    for judgement in judgements:
        rivals = [
            (overlap_of_squares(tight_box(hand.keypoints_px), judgement['box']), confidence_of(hand))
            for hand in hands.get(judgement['image'], [])
        ]
        overlap, confidence = max(rivals, default=(0.0, 0.0))
        if overlap >= SAME_HAND:
            found.append((confidence, bool(judgement['right'])))
    confidences, right = np.array([c for c, _ in found]), np.array([r for _, r in found], bool)
    kept = {
        f'{t:.1f}': {
            'right_kept': _share(confidences[right] >= t),
            'wrong_kept': _share(confidences[~right] >= t),
        }
        for t in THRESHOLDS
    }
    return {
        'right': int(right.sum()),
        'wrong': int((~right).sum()),
        'not_found': len(judgements) - len(found),
        'confidence_auc': rank_auc(confidences, right),
        'by_threshold': kept,
    }


def _share(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def judged_line(figures: dict[str, Any]) -> str:
    """The figures as text."""
    kept = ', '.join(
        f'{t} keeps {_percent(part["right_kept"])} of the right, {_percent(part["wrong_kept"])} of the wrong'
        for t, part in figures['by_threshold'].items()
        if t in ('0.3', '0.5', '0.7')
    )
    return (
        f'judged by eye: {figures["right"]} right, {figures["wrong"]} wrong, '
        f'{figures["not_found"]} not found again; '
        f'AUC of the confidence {figures["confidence_auc"]:.2f}; a threshold of {kept}'
    )


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.0f} %'
