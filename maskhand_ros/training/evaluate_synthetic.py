"""Errors, uncertainty and hypotheses of the exported model on held-out synthetic shards: the same ONNX
Runtime path as on the robot.

    maskhand train evaluate --data shards [--splits test_stress test_camera] [--tokenizer checkpoint.pt]
    maskhand train evaluate --images images --splits test_everyday test_objects

Keypoints and meshes are in the crop camera's frame, from the wrist. Coverage is per axis; NLL is against the
best constant Gaussian of each keypoint and axis, nats per axis (three axes a keypoint). `attainable` is the
rank correlation that the stated deviations would have if nothing else told hands apart. [low, high] are 95 %
bootstrap intervals of paired differences.

With --images, shards of `maskhand train images`: visibility of keypoints (mean average precision, F1) and the
variance of landmarks in the crop, as the landmark network states them, px of 224.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from maskhand_ros.cli_arguments import whole
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.uncertainty_predictions import Predictions, collect, shard_batches
from maskhand_ros.evaluation.uncertainty_report import report_on

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.rotation import matrix_to_rotation_6d
from ..network_contract import LANDMARKS
from ..perception.cues import CueNetwork
from ..perception.device import Device
from ..perception.reconstructor import Reconstructor
from .landmark_figures import landmark_figures
from .train_tokenizer import load_tokenizer, round_trip

TOKENIZER_POSES = 2000
"""Poses of each split that go through the tokenizer and back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train evaluate`."""
    parser.add_argument('--data', type=Path, help='folder of shards')
    parser.add_argument(
        '--images', type=Path, help='folder of shards of images: measure the landmark network'
    )
    parser.add_argument('--splits', nargs='+', default=['test_stress', 'test_camera'])
    parser.add_argument('--weights', type=Path, default=Path(__file__).parents[1] / 'weights')
    parser.add_argument(
        '--tokenizer', type=Path, help='checkpoint.pt of the tokenizer, to measure its round trip too'
    )
    parser.add_argument(
        '--iterations',
        type=whole(1),
        nargs='*',
        default=[1, 3, 5],
        help='decoding steps to compare; the first is the point estimate of all other figures (1 3 5)',
    )
    parser.add_argument(
        '--hypotheses', type=whole(0), default=8, help='sampled hands, 0 for none; they take most of the time'
    )
    parser.add_argument('--limit', type=whole(1), default=5000, help='samples of each split (default 5000)')
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda', 'tensorrt'))
    parser.add_argument('--threads', type=whole(1), default=1)
    parser.add_argument('--json', type=Path, help='also write the numbers here')
    parser.add_argument(
        '--sheet', type=Path, metavar='DIR', help='render new hands and write contact sheets of them here'
    )
    parser.add_argument(
        '--sheet-hands', type=whole(1), default=400, help='how many of each kind (default 400)'
    )


def errors_of(hands: Predictions) -> dict[str, float]:
    """Mean errors of a split, and of the crops of which the landmark network is sure (presence over 0.9)."""
    sure = hands.presence > 0.9
    plain = {name: float(values.mean()) for name, values in hands.errors.items() if '@' not in name}
    return {
        **plain,
        'orientation_median_deg': float(np.median(hands.errors['orientation_deg'])),
        'sure_fraction': float(sure.mean()),
        'sure_pa_mpjpe_mm': float(hands.errors['pa_mpjpe_mm'][sure].mean()) if sure.any() else None,
    }


def table(results: dict[str, dict]) -> str:
    """One row a figure, one column a result."""
    lines = [f'{"":44}' + ''.join(f'{split:>26}' for split in results)]
    for name in dict.fromkeys(name for result in results.values() for name in result):
        lines.append(f'{name:44}' + ''.join(f'{_cell(result.get(name)):>26}' for result in results.values()))
    return '\n'.join(lines)


def _cell(value: float | tuple[float, ...] | None) -> str:
    if value is None:
        return '-'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(f'{number:.3f}' for number in value) + ']'
    return f'{value:d}' if isinstance(value, int) else f'{value:.3f}'


def run(args: argparse.Namespace) -> int:
    """Print a table of the figures, one column a split, and one of the uncertainty of all of their hands;
    write them to --json."""
    if not (args.data or args.images):
        raise CommandError('nothing to evaluate', 'give --data, shards of cues, --images, or both')
    torch.set_num_threads(args.threads)
    results = _of_shards(args) if args.data else {}
    if args.images:
        network = CueNetwork(args.weights / LANDMARKS, Device(args.device, args.threads))
        of_images = {
            split: landmark_figures(network, args.images, split, args.limit) for split in args.splits
        }
        results['landmarks'] = of_images
        print(table(of_images))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + '\n')
    return 0


def _of_shards(args: argparse.Namespace) -> dict[str, dict]:
    """The figures of the model on shards of cues, by split; prints them."""
    iterations = args.iterations or [1]
    reconstructor = Reconstructor(
        args.weights,
        HandModel.load(),
        Device(args.device, args.threads),
        iterations[0],
        args.hypotheses,
    )
    compared = tuple(dict.fromkeys((1, *iterations))) if len(iterations) > 1 else ()
    tokenizer = load_tokenizer(args.tokenizer).eval() if args.tokenizer else None
    results, of_splits = {}, []
    for split in args.splits:
        hands = collect(reconstructor, args.data, split, args.limit, compared, vertices=True)
        of_splits.append(hands)
        results[split] = {**errors_of(hands), **report_on(hands, compared)}
        if hands.visible is None:
            print(f'{split}: the shards hold no `visible`: visible and occluded keypoints are not told apart')
        if tokenizer:
            batches = shard_batches(args.data, split, min(args.limit, TOKENIZER_POSES))
            pose = torch.from_numpy(np.concatenate([truth['hand_pose'] for _, truth in batches]))
            measured = round_trip(tokenizer, TorchHand(), matrix_to_rotation_6d(pose))
            results[split].update({f'tokenizer_{name}': value for name, value in measured.items()})
    if len(of_splits) > 1:
        results['together'] = report_on(Predictions.concatenate(of_splits))
    print(table(results))
    if args.sheet:
        from maskhand_ros.evaluation.sheets_synthetic import write_synthetic_sheets

        write_synthetic_sheets(args.sheet, reconstructor, args.sheet_hands)
    return results
