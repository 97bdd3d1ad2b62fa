"""Training files: cues of rendered crops with their truth, as npz shards.

An interrupted run is continued by the same command.

A shard `<split>-<seed>-<index>.npz` holds N samples as `shard_schema.CUE_SHARD` states. It depends on split,
seed and index alone.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskhand_ros.cli_arguments import number, whole
from maskhand_ros.data_engine.scenes import KINDS
from maskhand_ros.errors import CommandError
from maskhand_ros.network_contract import CUES, MAPS
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.shard_schema import CUE_SHARD, check_arrays

if TYPE_CHECKING:
    from maskhand_ros.data_engine.samples import SampleMaker


Shares = Mapping[str, float]
"""Share of each kind of scene (scenes.KINDS), in the order in which they are drawn."""


SPLITS: dict[str, tuple[int, Shares | None]] = {
    'train': (0, None),
    'val': (1, None),
    'test_stress': (2, {'stress': 1.0}),
    'test_camera': (3, {'camera': 1.0}),
    'cal': (4, None),
    'test_everyday': (5, {'everyday': 1.0}),
    'test_objects': (6, {'objects': 1.0}),
    'test_gloves': (7, {'gloves': 1.0}),
    'test_clasped': (8, {'clasped': 1.0}),
    'test_own_view': (9, {'own_view': 1.0}),
}
"""Each split's own part of the seed, and the shares of its kinds where they are fixed."""


def shares_of(split: str, mix: float, kinds: Shares | None) -> Shares:
    """Shares of the kinds in a split: its own, or those chosen by `kinds`, or `mix` of `camera` and else
    `stress`."""
    return SPLITS[split][1] or kinds or {'camera': mix, 'stress': 1 - mix}


def draw_kinds(shares: Shares, count: int, rng: np.random.Generator) -> list[str]:
    """`count` kinds of scenes, each with its share."""
    names, sums = list(shares), np.cumsum(list(shares.values()))
    return [names[i] for i in np.searchsorted(sums[:-1] / sums[-1], rng.random(count), side='right')]


def kind_share(text: str) -> tuple[str, float]:
    """KIND=SHARE of the command line; ArgumentTypeError if it is none."""
    name, _, share = text.partition('=')
    if name not in KINDS:
        raise argparse.ArgumentTypeError(f'{name!r} is none of {", ".join(KINDS)}')
    return name, number(0, 1)(share or '1')


def add_mix_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what the scenes of train, val and cal are."""
    parser.add_argument(
        '--mix', type=number(0, 1), default=0.7, help='share of camera-like samples, the rest is stress'
    )
    parser.add_argument(
        '--kinds',
        type=kind_share,
        nargs='+',
        metavar='KIND=SHARE',
        help=f'in place of --mix: shares of {", ".join(KINDS)}',
    )


_BATCH, _CUE_BATCH = 50, 4
"""Samples posed at once, and crops shown to the cue network at once: more would not fit a core's cache."""


def pack_map(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Feature map (N, C, H, W) as int8 and a scale (N, C) float16: four times smaller, to 1/127 of each
    channel's largest value."""
    scale = (np.abs(values).max((2, 3)) / 127 + 1e-6).astype(np.float16)
    packed = np.rint(values / scale[..., None, None].astype(np.float32))
    return np.clip(packed, -127, 127).astype(np.int8), scale


def packed_cues(cue_network: CueNetwork, crops: np.ndarray) -> dict[str, np.ndarray]:
    """The cues of crops (N, 224, 224, 3) uint8 RGB as a shard holds them."""
    of_crops = [cue_network(crops[i : i + _CUE_BATCH]) for i in range(0, len(crops), _CUE_BATCH)]
    # Without the crops themselves, and without what only some landmark networks give.
    cues = {name: np.concatenate([cue[name] for cue in of_crops]) for name in CUES if name != 'image'}
    cues['global_feature'] = cues['global_feature'].astype(np.float16)
    for name in MAPS:
        cues[name], cues[f'{name}_scale'] = pack_map(cues[name])
    return cues


def make_shard(
    maker: SampleMaker,
    cue_network: CueNetwork,
    split: str,
    seed: int,
    index: int,
    count: int,
    shares: Shares,
) -> dict[str, np.ndarray]:
    """The arrays of one shard (dict) of kinds of scenes in these shares."""
    rng = np.random.default_rng([SPLITS[split][0], seed, index])
    parts = []
    for start in range(0, count, _BATCH):
        kinds = draw_kinds(shares, min(_BATCH, count - start), rng)
        kind = np.array([KINDS.index(name) for name in kinds], np.int8)
        crops, truth = maker.make(kinds, rng)
        parts.append({**packed_cues(cue_network, crops), **truth, 'kind': kind})
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    check_arrays('the new shard', arrays, CUE_SHARD, 'maskhand train data')
    return arrays


def write_shard(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write atomically: a shard that is there is whole."""
    partial = path.with_suffix('.part')
    with open(partial, 'wb') as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
    os.replace(partial, path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train data`."""
    parser.add_argument('--out', type=Path, required=True, help='folder of the shards')
    parser.add_argument('--split', choices=SPLITS, default='train')
    parser.add_argument(
        '--samples', type=whole(1), default=120_000, help='how many samples this process makes'
    )
    parser.add_argument(
        '--seed', type=whole(0, 10**9), default=0, help='another seed for each process of the same split'
    )
    add_mix_arguments(parser)
    parser.add_argument('--shard-size', type=whole(1), default=2000)


def run(args: argparse.Namespace) -> int:
    """Write the shards that are missing; returns an exit status."""
    import cv2

    from maskhand_ros.data_engine.samples import SampleMaker
    from maskhand_ros.hand_model.numpy_hand import HandModel

    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    shares = shares_of(args.split, args.mix, dict(args.kinds or ()))
    if shares.get('no_hand'):
        raise CommandError(
            'no_hand has no hand to learn from in shards of cues', 'leave it out, or `maskhand train images`'
        )
    maker = cue_network = None
    for index in range(-(-args.samples // args.shard_size)):
        path = args.out / f'{args.split}-{args.seed}-{index:04d}.npz'
        if path.exists():
            continue
        if maker is None:
            maker = SampleMaker(HandModel.load())
            cue_network = CueNetwork(SHIPPED / 'landmarks.onnx')
        count = min(args.shard_size, args.samples - index * args.shard_size)
        start = time.monotonic()
        write_shard(path, make_shard(maker, cue_network, args.split, args.seed, index, count, shares))
        print(f'{path}: {count} samples, {count / (time.monotonic() - start):.1f}/s', flush=True)
    return 0


def main() -> int:
    """`python -m maskhand_ros.data_engine.shards`, the same as `maskhand train data`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == '__main__':
    raise SystemExit(main())
