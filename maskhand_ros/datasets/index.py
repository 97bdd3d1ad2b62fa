"""A public data set, in its own layout, to the index JSON that `maskhand evaluate` reads.

Images stay where they are; the index names them by their path from its own folder. `sequence` keeps
neighbouring images of a motion together for the intervals.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from maskhand_ros.cli_arguments import whole
from maskhand_ros.datasets import DATASETS, read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train index`."""
    parser.add_argument('--dataset', required=True, choices=DATASETS)
    parser.add_argument('--root', required=True, type=Path, help='its folder, laid out as published')
    splits = '; '.join(f'{name}: {" ".join(module.SPLITS)}' for name, module in DATASETS.items())
    parser.add_argument('--split', required=True, help=splits)
    parser.add_argument('--limit', type=whole(1), help='stop after this many hands')
    parser.add_argument('--out', required=True, type=Path, metavar='INDEX.json')


def run(args: argparse.Namespace) -> None:
    """Writes the index and says how many hands are in it."""
    folder = args.out.resolve().parent
    hands = read(args.dataset, args.root.resolve(), args.split)
    entries = [hand.index_entry(folder) for hand in itertools.islice(hands, args.limit)]
    args.out.write_text(json.dumps(entries) + '\n')
    print(f'written {args.out}: {len(entries)} hands; measure with `maskhand evaluate {args.out}`')
