"""Training images for the landmark network and for the configuration `paper`: hand crops with their truth, as
WebDataset shards. An interrupted run is continued by the same command.

    maskhand train images --out DIR --split train --samples 100000
    maskhand train images --out DIR --split train --dataset freihand --root FreiHAND --hand-model mano.npz

The first renders the package's own hand model; the second takes any public data set whose reader gives MANO
labels, by your own MANO. Hand models do not mix in one folder: a pose is told from the model's own rest pose.

A shard `<split>-<source>-<seed>-<index>.tar` (source: render, or DATASET_SPLIT) holds for each sample
`KEY.jpg`, the 224 x 224 crop of a right hand (a left one mirrored) by the run time's rule with the errors of
a tracker, and `KEY.npz`, as `shard_schema.IMAGE_SHARD` states. Keypoints are skinned from the parameters. A
shard depends on its name and on --mix, --kinds and --shard-size, which are to stay; another seed gives other
crops of the same images.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskhand_ros.cli_arguments import whole
from maskhand_ros.data_engine.shards import SPLITS, Shares, add_mix_arguments, draw_kinds, shares_of
from maskhand_ros.datasets import DATASETS, read
from maskhand_ros.errors import CommandError
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.shard_schema import IMAGE_CUES, TRUTH

if TYPE_CHECKING:
    from maskhand_ros.data_engine.samples import Sample, SampleMaker
    from maskhand_ros.perception.cues import CueNetwork


JPEG_QUALITY = 95
_BATCH, _CUE_BATCH = 50, 4


def rendered_samples(
    maker: SampleMaker, rng: np.random.Generator, count: int, shares: Shares
) -> Iterator[Sample]:
    """Yields `count` crops (224, 224, 3) RGB of a SampleMaker with their truth, of kinds of scenes in these
    shares. Those of the kind `no_hand` have no visible keypoint."""
    for start in range(0, count, _BATCH):
        crops, truth = maker.make(draw_kinds(shares, min(_BATCH, count - start), rng), rng)
        for i, crop in enumerate(crops):
            yield crop, {name: values[i] for name, values in truth.items()}


def write_image_shard(path: Path, samples: Iterator[Sample], cue_network: CueNetwork, hand_name: str) -> int:
    """Write (crop, truth) pairs whole or not at all; the number of samples.

    `cue_network` is the CueNetwork that looks at the crops; `hand_name` is the hand model's.
    """
    import webdataset

    count, partial = 0, path.with_suffix('.part')
    with open(partial, 'wb') as file, webdataset.TarWriter(file, encoder=False, mtime=0) as tar:
        while batch := list(itertools.islice(samples, _CUE_BATCH)):
            cues = cue_network(np.stack([crop for crop, _ in batch]))
            for i, (crop, truth) in enumerate(batch):
                seen = {name: cues[name][i] for name in IMAGE_CUES}
                tar.write({'__key__': f'{path.stem}-{count:05d}', **_encoded(crop, truth, seen, hand_name)})
                count += 1
    os.replace(partial, path)
    return count


def _encoded(
    crop: np.ndarray, truth: dict[str, np.ndarray], seen: dict[str, np.ndarray], hand_name: str
) -> dict[str, bytes]:
    import cv2

    _, jpeg = cv2.imencode('.jpg', crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    arrays = io.BytesIO()
    values = {name: np.float32(truth[name]) for name in TRUTH if name != 'visible'}
    values |= {'visible': truth['visible'], **seen, 'hand': np.array(hand_name)}
    np.savez(arrays, **values)  # type: ignore[arg-type]  # no array is called allow_pickle
    return {'jpg': jpeg.tobytes(), 'npz': arrays.getvalue()}


def _is_for(purpose: str, split: str) -> bool:
    """Whether a data set's own split is by its name for 'train', 'val' or 'test...'."""
    words = split.lower().split('_')
    return purpose in words or (purpose == 'train' and 'training' in words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train images`."""
    parser.add_argument('--out', type=Path, required=True, help='folder of the shards')
    parser.add_argument('--split', choices=SPLITS, default='train', help='what the shards are for')
    parser.add_argument(
        '--samples', type=whole(1), help='how many (default: 100000 renders; all of a data set)'
    )
    parser.add_argument(
        '--seed', type=whole(0, 10**9), default=0, help='another seed for each process of the same split'
    )
    add_mix_arguments(parser)
    parser.add_argument('--shard-size', type=whole(1), default=1000)
    group = parser.add_argument_group('a public data set in place of renders')
    group.add_argument('--dataset', choices=DATASETS)
    group.add_argument('--root', type=Path, help='its folder, laid out as published')
    group.add_argument('--source-split', help='its own split (default: the one of the same name)')
    group.add_argument('--hand-model', type=Path, help='your MANO, from `maskhand convert-mano`')


def run(args: argparse.Namespace) -> int:
    """Write the shards that are missing; returns an exit status."""
    import cv2

    from maskhand_ros.perception.cues import CueNetwork

    cv2.setNumThreads(1)
    source = _LabelledSource(args) if args.dataset else _RenderSource(args)
    args.out.mkdir(parents=True, exist_ok=True)
    cue_network = CueNetwork(SHIPPED / 'landmarks.onnx')
    for index in itertools.count():
        path = args.out / f'{args.split}-{source.name}-{args.seed}-{index:05d}.tar'
        rng = np.random.default_rng([SPLITS[args.split][0], args.seed, index])
        samples, offered = source.shard(index, rng, skip=path.exists())
        if not offered:
            break
        if path.exists():
            continue
        start = time.monotonic()
        count = write_image_shard(path, samples, cue_network, source.hand_name)
        if not count:
            path.unlink()
            print(f'{path.name}: none of {offered} samples is usable: {source.left_out}', flush=True)
            continue
        rate = count / (time.monotonic() - start)
        print(f'{path}: {count} samples of {offered}, {rate:.1f}/s {source.left_out or ""}', flush=True)
    if not any(args.out.glob(f'{args.split}-{source.name}-{args.seed}-*.tar')):
        raise CommandError(f'{source.name} gave no sample: {source.left_out}', source.fix)
    return 0


class _RenderSource:
    """Crops of the data engine."""

    name, left_out, fix = 'render', None, 'render more'

    def __init__(self, args: argparse.Namespace) -> None:
        from maskhand_ros.hand_model.numpy_hand import HandModel

        if args.root or args.hand_model or args.source_split:
            raise CommandError(
                '--root, --hand-model and --source-split need --dataset',
                f'choose one of {", ".join(DATASETS)}, or leave them out: renders show the open hand',
            )
        self._args, self._hand = args, HandModel.load()
        self._maker: SampleMaker | None = None
        self.hand_name = self._hand.name

    def shard(self, index: int, rng: np.random.Generator, skip: bool) -> tuple[Iterator[Sample], int]:
        """An iterator of samples and how many there are; none is made if `skip`."""
        from maskhand_ros.data_engine.samples import SampleMaker

        args = self._args
        shares = shares_of(args.split, args.mix, dict(args.kinds or ()))
        wanted = 100_000 if args.samples is None else args.samples
        count = min(args.shard_size, wanted - index * args.shard_size)
        if skip or count <= 0:
            return iter(()), max(count, 0)
        self._maker = self._maker or SampleMaker(self._hand)
        return rendered_samples(self._maker, rng, count, shares), count


class _LabelledSource:
    """Crops of a public data set, in the reader's order."""

    fix = 'check --hand-model and --root: the labels do not agree with each other'

    def __init__(self, args: argparse.Namespace) -> None:
        from maskhand_ros.data_engine.labelled_crops import LabelledCrops

        if not args.root or not args.hand_model:
            raise CommandError(
                f'--dataset {args.dataset} lacks --root or --hand-model',
                'give its folder, and the file that `maskhand convert-mano` makes of your MANO_RIGHT.pkl',
            )
        splits = DATASETS[args.dataset].SPLITS
        split = args.source_split or next((name for name in splits if _is_for(args.split, name)), None)
        if split is None:
            raise CommandError(
                f'{args.dataset} has no split for {args.split!r}',
                f'take another data set for it, or say which of {", ".join(splits)} with --source-split',
            )
        print(f'{args.dataset}: its split {split}', flush=True)
        hands = read(args.dataset, args.root, split)
        self._crops, self._size = LabelledCrops(args.hand_model), args.shard_size
        self._hands = itertools.islice(hands, args.samples)
        self.hand_name, self.name = self._crops.hand_name, f'{args.dataset}_{split}'

    @property
    def left_out(self) -> dict[str, int] | None:
        """{why: how many} so far; None if nothing was."""
        return dict(self._crops.left_out) or None

    def shard(self, index: int, rng: np.random.Generator, skip: bool) -> tuple[Iterator[Sample], int]:
        """An iterator of samples and how many labels there are; no image is read if `skip`."""
        hands = list(itertools.islice(self._hands, self._size))
        return iter(()) if skip else self._crops(hands, rng), len(hands)
