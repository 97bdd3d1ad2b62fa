"""Train the landmark network on rendered crops: whole, with photographs as an anchor, or its new heads only.

    maskhand train images --out images --split train --samples 50000
    maskhand train landmarks --data images --photographs FOLDER --out runs/landmarks --minutes 90 --bf16
    maskhand train landmarks --data images --only heads --out runs/heads --batch-size 64 --steps 700

Starts from landmarks.onnx of --weights-dir; all layers train, with --only heads just those that give the
visibility and variance of each landmark (model/landmark_heads.py): the other outputs stay as they are, bit
by bit. Writes checkpoint.pt, curve.json and landmarks.onnx: the averaged (EMA) weights, mixed half-way with
those it started from (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903): a network trained on renders
forgets photographs. --out is continued if it holds a run. With a C compiler and --bf16 a step of all layers
on a CPU is 2.5 times faster (model/depthwise.py); heads see the run time's features without --bf16.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskhand_ros.cli_arguments import number, whole
from maskhand_ros.data_engine.image_store import ImageShards
from maskhand_ros.errors import CommandError
from maskhand_ros.network_contract import LANDMARK_HEADS
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.weights import SHIPPED

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.depthwise import kernels
from ..model.landmark_network import LandmarkNetwork
from .landmark_batches import Labels, PhotographBatches, render_labels, training_batches
from .landmark_objective import LandmarkObjective, landmark_terms
from .loop import TrainingRun, add_loop_arguments, start_processes
from .photographs import Photographs, label_photographs

LOG_EVERY, VALIDATE_EVERY, HELD_OUT = 50, 500, 512
HEAD_RATE = 20.0
"""Learning rate of the new heads over that of the rest: they start at zero."""
RATES = {
    f'weights.{kind}_{head}': HEAD_RATE for head in LANDMARK_HEADS for kind in ('weight', 'bias', 'local')
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train landmarks`."""
    add_loop_arguments(parser)
    parser.add_argument('--data', type=Path, required=True, help='folder of shards of images')
    parser.add_argument(
        '--weights-dir', type=Path, default=SHIPPED, metavar='PATH', help='start from its landmarks.onnx'
    )
    parser.add_argument('--photographs', type=Path, metavar='FOLDER', help='photographs of one hand each')
    parser.add_argument(
        '--of-photographs', type=whole(0), default=8, help='photographs in each batch (default 8)'
    )
    parser.add_argument(
        '--hard',
        type=number(0, 1),
        default=0.0,
        help='share of the photographs with gloves, objects, other hands or little light drawn into them; '
        'their labels stay (default 0)',
    )
    parser.add_argument(
        '--mix',
        type=number(0, 1),
        default=0.5,
        help='share of the trained weights in landmarks.onnx, the rest is what it started from (default 0.5)',
    )
    parser.add_argument('--only', choices=('heads',), help='train these, and keep all else as it is')
    parser.set_defaults(batch_size=24, learning_rate=1e-4)


def run(args: argparse.Namespace) -> int:
    """Train until the budget is spent, or the run is asked to stop."""
    start = args.weights_dir / 'landmarks.onnx'
    fabric = start_processes(args)
    network = LandmarkNetwork(start).to(memory_format=torch.channels_last)
    network.add_heads()
    for name, weight in network.weights.items():
        weight.requires_grad_(weight.requires_grad and (not args.only or name.endswith(LANDMARK_HEADS)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    hand_model = HandModel.load(None, 'mediapipe')
    hand = TorchHand(hand_model)
    photographs = _photographs(args, start)
    if args.bf16 and args.device == 'cpu' and kernels() is None and fabric.is_global_zero:
        print('no C compiler: each step takes 2.5 times as long. Fix: install gcc or set CC', flush=True)
    train = TrainingRun(network, LandmarkObjective(network, args.bf16), args, fabric, rates=RATES)
    part = fabric.global_rank, fabric.world_size
    shards = ImageShards(args.data, 'train', hand_model.name, part=part)
    seed = 1_000_003 * args.seed + train.step
    rng = np.random.default_rng([seed, fabric.global_rank])
    batches = training_batches(
        shards.batches(args.batch_size, seed), photographs, args.of_photographs, hand, rng
    )
    _fit(train, batches, _HeldOut(args.data, hand_model.name, hand))
    if fabric.is_global_zero:
        path = args.out / 'landmarks.onnx'
        network.save(path, mixed(before, train.ema, args.mix))
        print(f'{path}: {"new heads" if args.only else f"{args.mix:g} of the trained weights"}', flush=True)
    return 0


def mixed(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights between two networks: `share` of `after`; the heads, which `before` lacks, are those of `after`
    whole."""
    return {
        name: value if name.endswith(LANDMARK_HEADS) else torch.lerp(before[name], value.float(), share)
        for name, value in after.items()
    }


def _photographs(args: argparse.Namespace, start: Path) -> PhotographBatches | None:
    """The labelled photographs, which are kept beside the run: labelling takes a minute."""
    if args.photographs is None:
        return None
    path = args.out / 'photographs.npz'
    if not path.exists():
        args.out.mkdir(parents=True, exist_ok=True)
        label_photographs(args.photographs, CueNetwork(start)).save(path)
    photographs = Photographs.load(path)
    print(f'{len(photographs.images)} photographs', flush=True)
    return PhotographBatches(photographs, args.hard)


class _HeldOut:
    """Terms of the loss on renders of the split `val`, without degradation."""

    def __init__(self, data: Path, hand_name: str, hand: TorchHand) -> None:
        try:
            self._shards: ImageShards | None = ImageShards(data, 'val', hand_name)
        except CommandError:
            self._shards = None
        self._hand = hand

    @torch.no_grad()
    def __call__(self, network: LandmarkNetwork) -> dict[str, float]:
        """{term: mean}; {} without a split `val`."""
        terms: list[dict[str, Tensor]] = []
        for cues, truth in self._shards.once(32, HELD_OUT) if self._shards else ():
            images = cues['image'].permute(0, 3, 1, 2).float() / 255
            terms.append(landmark_terms(network(images), render_labels(truth, self._hand)))
        names = terms[0] if terms else ()
        return {f'val_{name}': torch.stack([term[name] for term in terms]).mean().item() for name in names}


def _fit(train: TrainingRun, batches: Iterator[tuple[Tensor, Labels]], held_out: _HeldOut) -> None:
    logs: list[dict[str, Tensor]] = []
    while train.running():
        images, labels = next(batches)
        device = train.fabric.device
        loss, log = train.update(images.to(device), {name: v.to(device) for name, v in labels.items()})
        logs.append({'loss': loss.detach(), **log})
        if train.step % LOG_EVERY == 0:
            values = {name: torch.stack([entry[name] for entry in logs]).mean().item() for name in logs[0]}
            due = train.step % VALIDATE_EVERY == 0 and train.fabric.is_global_zero
            train.log(**values, **(held_out(train.averaged()) if due else {}))
            logs.clear()
    train.log(**(held_out(train.averaged()) if train.fabric.is_global_zero else {}))
