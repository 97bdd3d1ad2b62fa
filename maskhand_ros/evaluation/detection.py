"""Detection figures of one system on labelled images: recall, precision, sides, finger states, by kind and
by size of hand.

Not every hand of an image need be labelled, so that a found hand without a label is `unlabelled`: right or
false, to be judged by eye. `precision_at_least` takes all of them as false. In an image that the index says
shows no hand, they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from maskhand_ros.evaluation.answers import Answer
from maskhand_ros.evaluation.finger_states import straight_fingers
from maskhand_ros.evaluation.labels import Label
from maskhand_ros.evaluation.peer import PeerHand
from maskhand_ros.evaluation.uncertainty import rank_auc
from maskhand_ros.geometry import tight_box
from maskhand_ros.perception.types import Hand

Figures = dict[str, Any]
Found = Hand | PeerHand
Row = tuple[Label, Found | None]
"""A label and the hand that answers it."""

SIZES_PX = (20, 40, 80, 160, 320)
SIZE_SHARES = (0.03, 0.05, 0.1, 0.2, 0.4)
"""Limits of the groups by size: the longer side of the hand's box in pixels, and over the image's width."""


def detection_figures(answers: Sequence[Answer]) -> Figures:
    """Figures over all Answers of one system, and by source, category and size.

    A group by source or category counts the unlabelled hands of the images that have such a label; a group
    by size those of that size.
    """
    rows = [row for answer in answers for row in _rows(answer)]
    extra = [hand for answer in answers for hand in answer.unlabelled]
    return {
        'images': len(answers),
        **tally(rows, len(extra)),
        'without_hands': _without_hands([answer for answer in answers if not answer.labels]),
        'by_source': _by_name(answers, lambda label: (label.source,)),
        'by_category': _by_name(answers, lambda label: label.categories),
        'by_size_px': _by_size(answers, SIZES_PX, lambda width: 1),
        'by_size_share': _by_size(answers, SIZE_SHARES, lambda width: width),
    }


def _rows(answer: Answer) -> Iterable[Row]:
    return zip(answer.labels, answer.matched, strict=True)


def tally(rows: Sequence[Row], unlabelled: int) -> Figures:
    """Counts and shares of labels with their hands, and of `unlabelled` hands beside them."""
    pairs = [(label, hand) for label, hand in rows if hand is not None]
    sided = [(label, hand) for label, hand in pairs if label.side is not None]
    figures: Figures = {
        'hands': len(rows),
        'found': len(pairs),
        'recall': _share(len(pairs), len(rows)),
        'side_known': len(sided),
        'wrong_side': sum(str(hand.side) != label.side for label, hand in sided),
        'unlabelled': unlabelled,
        'precision_at_least': _share(len(pairs), len(pairs) + unlabelled),
    }
    states = [(label, hand) for label, hand in rows if label.fingers is not None]
    if states:
        agree = [straight_fingers(hand) == label.fingers for label, hand in states if hand is not None]
        right = sum(bool(fingers.all()) for fingers in agree)
        figures['fingers'] = {
            'hands': len(states),
            'right': right,
            'right_of_all': _share(right, len(states)),
            'right_of_found': _share(right, len(agree)),
            'each_of_found': np.mean(agree, axis=0).tolist() if agree else None,
            'confidence_auc': rank_auc(
                np.array([confidence_of(hand) for _, hand in states if hand is not None]),
                np.array([fingers.all() for fingers in agree]),
            ),
        }
    return figures


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _without_hands(answers: Sequence[Answer]) -> Figures:
    """False hands in images that show none."""
    false = [len(answer.hands) for answer in answers]
    return {
        'images': len(answers),
        'images_with_false_hands': sum(count > 0 for count in false),
        'false_hands': sum(false),
    }


def _by_name(answers: Sequence[Answer], names_of: Callable[[Label], Sequence[str]]) -> dict[str, Figures]:
    names = dict.fromkeys(name for answer in answers for label in answer.labels for name in names_of(label))
    groups = {}
    for name in names:
        members = [answer for answer in answers if any(name in names_of(label) for label in answer.labels)]
        rows = [row for answer in members for row in _rows(answer) if name in names_of(row[0])]
        groups[name] = tally(rows, sum(len(answer.unlabelled) for answer in members))
    return groups


def _by_size(
    answers: Sequence[Answer], limits: Sequence[float], unit_of: Callable[[int], float]
) -> dict[str, Figures]:
    """Figures by size of the labelled box, of unlabelled hands by that of their keypoints' box; in units of
    `unit_of` the image's width."""
    rows: list[list[Row]] = [[] for _ in range(len(limits) + 1)]
    extra = [0] * len(rows)
    for answer in answers:
        if answer.width is None:
            continue
        unit = unit_of(answer.width)
        for label, hand in _rows(answer):
            if label.hand_box is not None:
                rows[_bin(label.hand_box, unit, limits)].append((label, hand))
        for found in answer.unlabelled:
            extra[_bin(tight_box(found.keypoints_px), unit, limits)] += 1
    names = [f'< {limits[0]:g}', *(f'{a:g} to {b:g}' for a, b in zip(limits, limits[1:], strict=False))]
    names.append(f'{limits[-1]:g} or more')
    return {
        name: tally(part, more) for name, part, more in zip(names, rows, extra, strict=True) if part or more
    }


def _bin(box: np.ndarray, unit: float, limits: Sequence[float]) -> int:
    return int(np.searchsorted(limits, max(box[2:]) / unit, side='right'))


def unlabelled_entries(answers: Sequence[Answer]) -> list[Figures]:
    """The hands of Answers that answer no label, with their box, to be judged by eye."""
    return [
        {
            'image': answer.image,
            'no_hand': not answer.labels,
            'box': np.round(tight_box(hand.keypoints_px), 1).tolist(),
            'side': str(hand.side),
            'confidence': confidence_of(hand),
        }
        for answer in answers
        for hand in answer.unlabelled
    ]


def confidence_of(hand: Found) -> float:
    """`confidence` of a Hand; of a PeerHand the score that its system gives."""
    return float(hand.confidence if isinstance(hand, Hand) else hand.score)
