"""Train the masked transformer on shards, with a trained tokenizer frozen inside it.

    maskhand train model --data shards --tokenizer runs/tokenizer/checkpoint.pt --out runs/model --minutes 60
    maskhand train model --config paper --data images --tokenizer runs/vq_mano/checkpoint.pt \\
        --out runs/paper --backbone vitpose_h.safetensors --bf16 --device cuda --devices 8

`compact` reads train-*.npz and val-*.npz (`maskhand train data`; new shards are picked up on the way),
`paper` train-*.tar and val-*.tar (`maskhand train images`). --out is continued if it holds a run. Writes
checkpoint.pt (for `maskhand export`) and curve.json. With --devices N, N processes each take batches of their
own. To train on with more or other data, start another run from a model's weights:

    maskhand train model --data shards --start-from shipped --out runs/more --learning-rate 2e-4 --minutes 60

Weights, tokenizer, configuration and statistics of the features are then those of that model; clock and
learning rate are this run's own. model.json of the result says what it started from.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from maskhand_ros.cli_arguments import whole
from maskhand_ros.errors import CommandError

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.config import MaskHandConfig, TokenizerConfig, paper_config
from ..model.image_context import load_backbone
from ..model.maskhand import MaskHand, keypoints_of
from ..model.tokenizer import Tokenizer
from .loop import CHECKPOINT, TrainingRun, add_loop_arguments, start_processes
from .objective import Objective
from .procrustes import aligned_errors
from .sources import Batch, CueSource, ImageSource
from .start import START_HELP, start_from
from .train_tokenizer import load_tokenizer

LOG_EVERY, VALIDATE_EVERY = 200, 600
DEFAULTS = {
    'compact': {'batch_size': 128, 'learning_rate': 7e-4},
    'paper': {'batch_size': 48, 'learning_rate': 1e-4},
}
RATES = {'context.backbone.': 0.1}
"""Learning rate of `paper`'s backbone over that of the rest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train model`."""
    add_loop_arguments(parser)
    add_data_arguments(parser)
    start = parser.add_mutually_exclusive_group(required=True)
    add_tokenizer_argument(start)
    start.add_argument('--start-from', metavar='MODEL', help=START_HELP)
    parser.add_argument('--config', choices=DEFAULTS, help='(default: compact)')
    parser.add_argument(
        '--change',
        nargs='+',
        default=[],
        metavar='NAME=VALUE',
        help='change fields of the configuration, e.g. layers=4 vit.depth=12 (see model/config.py)',
    )
    parser.add_argument(
        '--backbone',
        type=Path,
        help='paper: a ViTPose or HaMeR checkpoint (.safetensors, or a .pth of tensors)',
    )
    parser.add_argument(
        '--workers', type=whole(0), default=0, help='paper: processes that decode images, each'
    )


def add_tokenizer_argument(parser: argparse._ActionsContainer, **settings: Any) -> None:
    """The argument --tokenizer of all who train a MaskHand from random weights."""
    parser.add_argument(
        '--tokenizer', type=Path, help='checkpoint.pt of `maskhand train tokenizer`', **settings
    )


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of all who train a MaskHand."""
    parser.add_argument('--data', type=Path, required=True, help='folder of shards')
    parser.add_argument(
        '--hand-model', type=Path, help='npz of the hand that the shards are of (default: the open hand)'
    )
    parser.add_argument(
        '--max-samples', type=whole(1), default=400_000, help='samples kept in memory, 50 KB each'
    )


def configuration(name: str, tokenizer: TokenizerConfig, changes: Iterable[str] = ()) -> MaskHandConfig:
    """The configuration `name` around a tokenizer, with `changes` like 'vit.depth=2'. CommandError with the
    fix if they do not fit."""
    config = paper_config(tokenizer=tokenizer) if name == 'paper' else MaskHandConfig(tokenizer=tokenizer)
    kind = 'finger' if config.vit is None else 'hand'
    if tokenizer.kind != kind:
        raise CommandError(
            f"{name} needs a tokenizer of the kind '{kind}', this one is '{tokenizer.kind}'",
            f'maskhand train tokenizer --config {name}',
        )
    values = config.to_dict()
    for change in changes:
        path, _, value = change.partition('=')
        *parents, last = path.split('.')
        node = values
        for parent in parents:
            node = node.get(parent) or {}
        if last not in node or parents == ['tokenizer']:
            raise CommandError(
                f'--change {change}: {name} has no such field', f'choose of {", ".join(values)}'
            )
        try:
            node[last] = value if isinstance(node[last], str) else json.loads(value)
        except ValueError:
            raise CommandError(
                f'--change {change}: {value!r} is no value', 'write it as JSON: 2, 0.5, true'
            ) from None
    return MaskHandConfig.from_dict(values)


def new_model(config: MaskHandConfig, tokenizer: Tokenizer, seed: int) -> MaskHand:
    """A MaskHand with fresh weights around a trained tokenizer."""
    torch.manual_seed(seed)
    model = MaskHand(config)
    model.tokenizer.load_state_dict(tokenizer.state_dict())
    return model


@torch.no_grad()
def measure(
    model: MaskHand, hand: TorchHand, batches: Iterable[Batch], iterations: int = 1
) -> dict[str, Tensor]:
    """Errors (N,) in mm: of the point estimate, and (`first_`) of the first regression alone; {} without
    batches."""
    found: dict[str, list[Tensor]] = {}
    for cues, truth in batches:
        answers = {'': model(cues, iterations)[0]}
        if model.regresses_hand:
            answers['first_'] = model.regressed(model.context(cues).first)
        for name, parameters in answers.items():
            keypoints = keypoints_of(hand, parameters)
            found.setdefault(f'{name}pa_mm', []).append(aligned_errors(keypoints, truth['keypoints']))
            found.setdefault(f'{name}mpjpe_mm', []).append(
                (keypoints - truth['keypoints']).norm(dim=-1).mean(1)
            )
    return {name: 1e3 * torch.cat(values) for name, values in found.items()}


def fit(
    model: MaskHand,
    hand: TorchHand,
    source: CueSource | ImageSource,
    args: argparse.Namespace,
    fabric: Fabric,
    started_from: dict | None = None,
) -> TrainingRun:
    """Train `model` until the budget is spent, or the run is asked to stop. `started_from`: what is known of
    the model that its weights are of."""
    summary: dict = {'started_from': started_from} if started_from else {}
    extra = {'config': model.config.to_dict(), 'summary': summary}
    train = TrainingRun(model, Objective(model, hand, args.bf16), args, fabric, extra, RATES)

    def held_out() -> dict[str, float]:
        errors = measure(train.averaged(), hand, source.held_out())
        return {f'val_{name}': values.mean().item() for name, values in errors.items()}

    if started_from and not train.step:
        train.log(**held_out())
    model.train()
    logs: list[dict[str, Tensor]] = []
    while train.running():
        loss, log = train.update(*source.batch(train), train.generator)
        logs.append({'loss': loss.detach(), **log})
        if train.step % LOG_EVERY == 0:
            values = {name: torch.stack([entry[name] for entry in logs]).mean().item() for name in logs[0]}
            train.log(**values, **(held_out() if train.step % VALIDATE_EVERY == 0 else {}))
            logs.clear()
    final = held_out()
    if fabric.world_size > 1:
        final['disagreement'] = train.disagreement()
    train.log(**final)
    summary.update(
        **source.summary(),
        steps=train.step,
        batch_size=args.batch_size * fabric.world_size,
        device=args.device,
        devices=args.devices,
        minutes=round(train.seconds / 60, 1),
        seed=args.seed,
        **final,
    )
    train.save()
    return train


def _check_start(args: argparse.Namespace) -> None:
    """CommandError for an option that the model of --start-from decides."""
    for name in ('config', 'change', 'backbone'):
        if args.start_from and getattr(args, name):
            raise CommandError(
                f'--{name} does not go with --start-from, which brings a whole model', f'leave out --{name}'
            )


def _model_to_train(args: argparse.Namespace) -> tuple[MaskHand, dict | None]:
    """The model before its first step, and what is known of the one that it starts from."""
    if args.start_from:
        return start_from(args.start_from)
    tokenizer = load_tokenizer(args.tokenizer)
    config = configuration(args.config or 'compact', tokenizer.config, args.change)
    if args.backbone and config.vit is None:
        raise CommandError('compact has no backbone to fill', 'give --config paper, or leave out --backbone')
    return new_model(config, tokenizer, args.seed), None


def run(args: argparse.Namespace) -> int:
    """Train until the budget is spent."""
    _check_start(args)
    model, started_from = _model_to_train(args)
    for name, value in DEFAULTS['compact' if model.config.vit is None else 'paper'].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    hand = TorchHand(HandModel.load(args.hand_model))
    fabric = start_processes(args)
    source = (CueSource if model.config.vit is None else ImageSource)(args, fabric)
    if started_from is None:
        source.prepare(model)
    if args.backbone and not (args.out / CHECKPOINT).exists():
        missing, unexpected = load_backbone(model.context, args.backbone)
        if fabric.is_global_zero:
            print(
                f'{args.backbone}: missing {missing or "none"}, unexpected {unexpected or "none"}', flush=True
            )
    fit(model, hand, source, args, fabric, started_from)
    return 0
