"""Readers of public hand data sets in the layout in which each is published; none is shipped or downloaded.

`read(name, root, split)` yields LabelledHand; each module's docstring says where the data is from, what its
files hold and under which licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskhand_ros.datasets import dexycb, freihand, hand_graph_cnn, hint, ho3d, interhand
from maskhand_ros.datasets.record import LabelledHand, ManoLabel
from maskhand_ros.errors import CommandError

DATASETS = {
    'freihand': freihand,
    'ho3d': ho3d,
    'dexycb': dexycb,
    'interhand': interhand,
    'hint': hint,
    'hand-graph-cnn': hand_graph_cnn,
}

__all__ = ['DATASETS', 'LabelledHand', 'ManoLabel', 'read']


def read(name: str, root: Path | str, split: str, **options: Any) -> Iterator[LabelledHand]:
    """Yields the LabelledHand of a split of the data set in `root`; CommandError says what is amiss.

    `options` are those of the module's own `read`.
    """
    splits = DATASETS[name].SPLITS
    if split not in splits:
        raise CommandError(f'{name} has no split {split!r}', f'choose one of {", ".join(splits)}')
    return DATASETS[name].read(root, split, **options)
