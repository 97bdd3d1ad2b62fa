"""Data of fine-tuning, for training and for measuring: samples of own pictures, and renders."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data_engine.shard_store import ShardStore
from ..data_engine.shards import make_shard, write_shard
from ..errors import CommandError
from ..evaluation.labels import Images
from ..hand_model.numpy_hand import HandModel
from ..perception.cues import CueNetwork
from ..perception.pipeline import HandPipeline
from ..progress import progress
from .finetune_figures import Measured
from .pictures import PictureHands, read_pictures
from .teaching import Student, Teacher

COPIES = {'train': 16, 'labelled': 4, 'unlabelled': 4}
"""Crops of each hand: to train on, and of held-out pictures to measure on."""
ROWS = {
    'labelled': 'held-out pictures, network alone',
    'unlabelled': 'held-out pictures without labels, network alone',
    'renders': 'renders, network alone',
}
SHARES = {'camera': 0.7, 'stress': 0.3}
"""Kinds of scenes of the renders, and their shares."""
RENDERS = {'train': 400, 'val': 200}
"""Renders that are made for the anchor, and to measure on."""


@dataclass
class Samples:
    """Crops of own pictures and renders to train on, what is measured on, and how many hands of which kind
    there are; `left_out` {reason: hands or pictures that are not used}."""

    own: ShardStore
    renders: ShardStore
    measured: Measured
    counts: dict[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


def split(images: Images, every: int) -> tuple[Images, Images]:
    """Pictures to train on, and those held out: every `every`-th sequence, or picture that is in none. With
    fewer sequences than that, the last 1 / `every` of the pictures."""
    groups: dict[str, list[str]] = {}
    for name, labels in images.items():
        sequence = next((label.sequence for label in labels if label.sequence is not None), None)
        groups.setdefault(f'picture {name}' if sequence is None else f'sequence {sequence}', []).append(name)
    held = {name for group in list(groups.values())[every - 1 :: every] for name in group}
    if len(groups) < every:
        held = set(list(images)[len(images) - len(images) // every :])
    kept = {name: labels for name, labels in images.items() if name not in held}
    return kept, {name: images[name] for name in images if name in held}


def make_samples(args: argparse.Namespace, start: Path, pipeline: HandPipeline) -> Samples:
    """Samples of the pictures in args.data, by the model in `start` and its pipeline. CommandError if there
    is no hand to train on."""
    listed, others = read_pictures(args.data)
    listed = {name: labels for name, labels in listed.items() if labels}  # the others show no hand
    labelled, held = split(listed, args.hold_out)
    unlabelled, loose = split({name: [] for name in others}, args.hold_out)
    hands, teach = PictureHands(args.data, pipeline), Teacher(start, HandModel.load(None, args.keypoint_set))
    parts = {'train': {**labelled, **unlabelled}, 'labelled': held, 'unlabelled': loose}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        counts = {
            name: _write_own(images, hands, teach, folder / f'{name}-0.npz', COPIES[name], args.seed)
            for name, images in parts.items()
        }
        if not counts['train']:
            reasons = ''.join(f', {reason} ({count})' for reason, count in hands.left_out.items())
            raise CommandError(
                f'no hand to train on in {args.data}: {len(listed) + len(others)} pictures{reasons}',
                'add pictures, or labels in index.json (see `maskhand evaluate --help`)',
            )
        if args.anchor is None:
            _write_renders(folder / 'renders', teach.cue_network, args.seed)
        renders = args.anchor or folder / 'renders'
        crops = {ROWS[name]: ShardStore(folder, name) for name in ROWS if counts.get(name)}
        crops[ROWS['renders']] = ShardStore(renders, 'val', 1000)
        counts = {f'hands of {_KINDS[name]}': count for name, count in counts.items()}
        return Samples(
            ShardStore(folder, 'train'),
            ShardStore(renders, 'train', 20_000),
            Measured(args.data, held, crops),
            {'pictures with labels': len(listed), 'pictures without': len(others), **counts},
            hands.left_out,
        )


_KINDS = {
    'train': 'the pictures to train on',
    'labelled': 'held-out pictures with labels',
    'unlabelled': 'held-out pictures without labels',
}


def _write_own(
    images: Images, hands: PictureHands, teach: Teacher, path: Path, copies: int, seed: int
) -> int:
    """Write a shard of `copies` crops of every hand in the pictures; how many hands. No file without any."""
    rng, learn, parts = np.random.default_rng(seed), Student(teach.cue_network), []
    for name, labels in progress(images.items(), len(images), 'pictures'):
        for hand in hands(name, labels):
            truth = teach(hand, rng)
            if truth is None:
                hands.left_out['the model does not agree with itself'] += 1
            else:
                parts.append(learn(hand, truth, copies, rng))
    if parts:
        write_shard(path, {key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
    return len(parts)


def _write_renders(folder: Path, cue_network: CueNetwork, seed: int) -> None:
    """A few renders as shards of the splits train and val."""
    from ..data_engine.samples import SampleMaker

    folder.mkdir()
    maker = SampleMaker(HandModel.load())
    for name, count in RENDERS.items():
        write_shard(folder / f'{name}-0.npz', make_shard(maker, cue_network, name, seed, 0, count, SHARES))
