"""Fine-tune the model on pictures of your own camera.

    maskhand finetune --data pictures --out mine
    ros2 launch maskhand_ros hand.launch.py model:=$PWD/mine

The folder --data holds pictures, and for those with labels an index.json as `maskhand evaluate` reads it:
keypoints_2d with handedness, optionally all of keypoints_3d_mm, and camera_K (without it the field of view is
taken to be 53 degrees). All other pictures teach by the model's own answers: the mean over several crops
where the model is sure, which it has to give for changed copies too.

On renders the answers of the model as it was are kept, and the result is half-way between it and the trained
one (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). Every K-th sequence of the labels, or picture
where they name no sequences, is held out: errors before and after are measured there and on renders, printed
and written to CARD.md. --out is a whole weights folder. Palm detector and landmark network stay as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from ..cli_arguments import number, whole
from ..data_engine.shard_store import ShardStore
from ..errors import CommandError
from ..files import output_folder, write_file
from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.export import copy_networks, export_model
from ..model.from_folder import read_model
from ..model.maskhand import MaskHand
from ..perception.weights import SHIPPED, find_weights
from ..skeleton import KEYPOINT_SETS
from .anchored import AnchoredObjective
from .cue_augmentation import augment
from .finetune_card import SETTINGS, card, table
from .finetune_data import Samples, make_samples
from .finetune_figures import figures_of, pipeline_for
from .loop import TrainingRun
from .start import SHIPPED_NAME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand finetune`."""
    parser.add_argument('--data', type=Path, required=True, help='folder of pictures, with index.json or not')
    parser.add_argument('--out', type=Path, required=True, help='folder for the new weights, empty')
    parser.add_argument(
        '--start-from',
        default=SHIPPED_NAME,
        metavar='MODEL',
        help=f"'{SHIPPED_NAME}' (default) or a weights folder of `maskhand export` or this command",
    )
    parser.add_argument(
        '--anchor',
        type=Path,
        metavar='SHARDS',
        help='shards of renders (`maskhand train data`, splits train and val; default: a few are made)',
    )
    parser.add_argument(
        '--keypoint-set', choices=KEYPOINT_SETS, default='mediapipe', help='of the labels (default mediapipe)'
    )
    parser.add_argument(
        '--hold-out', type=whole(2), default=4, metavar='K', help='measure on every K-th (default 4)'
    )
    parser.add_argument('--steps', type=whole(1), default=300, help='(default 300)')
    parser.add_argument('--batch-size', type=whole(4), default=32, help='crops, and as many renders')
    parser.add_argument('--learning-rate', type=number(1e-9, 1), default=2e-4, help='(default 2e-4)')
    parser.add_argument(
        '--share', type=number(0, 1), default=0.5, help='of the trained weights in the result (default 0.5)'
    )
    parser.add_argument('--name', help="the model's name in HandArray.network (default: that of the folder)")
    parser.add_argument('--version', help="the model's version in HandArray.network (default: today's date)")
    parser.add_argument('--seed', type=whole(0, 10**9), default=0)
    parser.add_argument('--threads', type=whole(1), default=1, help='CPU threads (default 1)')


def run(args: argparse.Namespace) -> int:
    """Make samples of the pictures, train, measure, write the folder."""
    start = _start_folder(args.start_from)
    _check(args)
    torch.set_num_threads(args.threads)
    model, description = read_model(start)
    if model.config.vit is not None:
        raise CommandError(f'{start} holds `paper`, which this command cannot train', 'maskhand train model')
    pipeline = pipeline_for(start, args.keypoint_set)
    samples = make_samples(args, start, pipeline)
    before = figures_of(samples.measured, model, pipeline)
    trained = mixed(read_model(start)[0], train(model, samples, args), args.share)
    copy_networks(start, args.out)
    export_model(
        trained,
        args.out,
        _summary(args, samples, description),
        args.name,
        args.version,
        description.get('calibration'),
    )
    after = figures_of(samples.measured, trained, pipeline_for(args.out, args.keypoint_set))
    figures = table(before, after)
    write_file(args.out / 'CARD.md', card(args, description, samples, figures).encode())
    print(figures)
    print(f'written {args.out}; use it with `model:={args.out.resolve()}` or --weights-dir {args.out}')
    return 0


def _start_folder(name: str) -> Path:
    """The weights folder of --start-from; CommandError for a checkpoint, ModelError where nothing is."""
    path = SHIPPED if name == SHIPPED_NAME else Path(name)
    if path.is_file():
        raise CommandError(
            f'{path} is a file: this command needs a whole weights folder',
            f'maskhand export {path} --out FOLDER, and give that folder',
        )
    return find_weights(path)


def _check(args: argparse.Namespace) -> None:
    """CommandError if --data is no folder, or --out has something in it."""
    if not args.data.is_dir():
        raise CommandError(f'there is no folder {args.data}', 'give the folder of your pictures with --data')
    if any(output_folder(args.out).iterdir()):
        raise CommandError(f'{args.out} is not empty', 'give a new folder with --out')


def _summary(args: argparse.Namespace, samples: Samples, description: dict[str, Any]) -> dict[str, Any]:
    """What model.json says of the training."""
    return {
        'finetuned': {**samples.counts, **{name: getattr(args, name) for name in SETTINGS}},
        'started_from': {name: description.get(name) for name in ('name', 'version', 'training')},
    }


def train(model: MaskHand, samples: Samples, args: argparse.Namespace) -> MaskHand:
    """A copy of `model` with the averaged weights of its training on the samples; CommandError if that was
    interrupted. `model` itself is trained too."""
    with tempfile.TemporaryDirectory() as work:
        settings = argparse.Namespace(**{**vars(args), 'out': Path(work)})
        return _train(model, samples, settings)


def _train(model: MaskHand, samples: Samples, args: argparse.Namespace) -> MaskHand:
    cue_hand = TorchHand(HandModel.load(None, 'mediapipe'))
    fabric = Fabric(accelerator='cpu', devices=1)
    run = TrainingRun(model, AnchoredObjective(model, TorchHand()), args, fabric)

    def batch(store: ShardStore) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        rows = torch.randint(len(store), (args.batch_size,), generator=run.generator)
        cues, truth = store.batch(rows)
        return augment(cues, truth, cue_hand, run.generator), truth

    model.train()
    while run.running():
        loss, kept = run.update(batch(samples.own), batch(samples.renders)[0], run.generator)
        if run.step % 50 == 0:
            run.log(loss=loss.item(), of_renders=kept.item())
    if run.progress < 1:
        raise CommandError(f'stopped after {run.step} of {args.steps} steps', 'run the command again')
    return run.averaged()


def mixed(start: MaskHand, trained: MaskHand, share: float) -> MaskHand:
    """`trained` with the mean of its weights and those of `start`, `share` of its own."""
    before = start.state_dict()
    state = trained.state_dict()
    trained.load_state_dict(
        {name: before[name].double().lerp(state[name].double(), share) for name in before}
    )
    return trained
