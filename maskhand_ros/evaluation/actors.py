"""Matching of found hands with the actors of a rendered sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from maskhand_ros.geometry import tight_box

NEAR = 0.35
"""Share of a hand's box within which the mean keypoint must lie to be its own."""


class Sighting(Protocol):
    """What `match` needs of a hand."""

    @property
    def id(self) -> int:
        """Number of its track."""

    @property
    def keypoints_px(self) -> np.ndarray:
        """(21, 2)"""


def match(hands: Sequence[Sighting], pixels: list[np.ndarray], ids: list[int]) -> list[int | None]:
    """For each actor's true pixels (A, 21, 2) the index of its Hand, or None, one to one, as CLEAR MOT does
    it (Bernardin and Stiefelhagen 2008): an actor keeps the hand of its last id (`ids`; 0: none) as long as
    that is near enough; the others get the nearest hand that is left."""
    gaps = sorted(
        (hand.id != ids[i], np.linalg.norm(hand.keypoints_px - truth, axis=1).mean() / size, i, j)
        for i, truth in enumerate(pixels)
        for size in [max(tight_box(truth)[2:])]
        for j, hand in enumerate(hands)
    )
    owners: list[int | None] = [None] * len(pixels)
    taken = set()
    for _, gap, i, j in gaps:
        if gap < NEAR and owners[i] is None and j not in taken:
            owners[i] = j
            taken.add(j)
    return owners
