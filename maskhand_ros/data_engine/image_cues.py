"""Shards of images to shards of cues, by any landmark network.

    maskhand train cues --images images --out shards --weights-dir runs/landmarks

A model must be trained on the features that it will see: a new landmark network needs new cues, not new
renders. Each `<split>-....tar` gives one `<split>-....npz`; those that are there stay as they are. Crops that
show no hand are left out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.data_engine.image_store import decoded_samples
from maskhand_ros.data_engine.shards import packed_cues, write_shard
from maskhand_ros.errors import CommandError
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.shard_schema import CUE_SHARD, TRUTH, check_arrays

_CUE_BATCH = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train cues`."""
    parser.add_argument('--images', type=Path, required=True, help='folder of shards of images')
    parser.add_argument('--out', type=Path, required=True, help='folder of the shards of cues')
    parser.add_argument(
        '--weights-dir', type=Path, default=SHIPPED, metavar='PATH', help='folder with landmarks.onnx'
    )


def run(args: argparse.Namespace) -> int:
    """Write the shards that are missing; returns an exit status."""
    cv2.setNumThreads(1)
    paths = sorted(args.images.glob('*.tar'))
    if not paths:
        raise CommandError(f'no .tar in {args.images}', f'maskhand train images --out {args.images}')
    args.out.mkdir(parents=True, exist_ok=True)
    network = CueNetwork(args.weights_dir / 'landmarks.onnx')
    for path in paths:
        target = args.out / f'{path.stem}.npz'
        if target.exists():
            continue
        start = time.monotonic()
        arrays = cue_shard(decoded_samples(path), network)
        if arrays is None:
            print(f'{path.name}: no crop shows a hand', flush=True)
            continue
        write_shard(target, arrays)
        count = len(arrays['focal'])
        print(f'{target}: {count} samples, {count / (time.monotonic() - start):.1f}/s', flush=True)
    return 0


def cue_shard(samples: Iterator[dict[str, np.ndarray]], network: CueNetwork) -> dict[str, np.ndarray] | None:
    """Arrays of a shard of cues (shard_schema.CUE_SHARD) from samples of a shard of images; None if no sample
    shows a hand."""
    hands = (sample for sample in samples if sample['visible'].any())
    parts = []
    while batch := list(itertools.islice(hands, _CUE_BATCH)):
        truth = {
            name: np.stack([sample[name] for sample in batch]).astype(CUE_SHARD[name].dtype) for name in TRUTH
        }
        kind = np.zeros(len(batch), np.int8)  # shards of images do not tell it
        parts.append({**packed_cues(network, np.stack([s['image'] for s in batch])), **truth, 'kind': kind})
    if not parts:
        return None
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    check_arrays('the new shard', arrays, CUE_SHARD, 'maskhand train cues')
    return arrays
