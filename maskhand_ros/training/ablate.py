"""Ablation: trains the model without each of its parts in turn, on the same shards, for the same time.

    maskhand train ablate --data shards --tokenizer runs/tokenizer/checkpoint.pt --out runs/ablation \\
        --steps 6000 --seeds 3 --splits test_stress test_camera

Every variant is trained with every seed into a folder of its own; the same command again continues what was
interrupted and skips what is finished. Prints a table and writes ablation.json into --out. Errors are
PA-MPJPE (the table) and root-aligned MPJPE in mm of the point estimate: mean and standard deviation over
seeds, and against `full` the mean difference over seeds, its 95 % bootstrap interval over hands (not over
seeds), and in how many seeds it is worse. `T = 3` and `T = 5` are `full` decoded in more steps, by the same
estimator. A second table compares 8 hypotheses of `full` with 8 draws of `regression` (its deviations
calibrated on `val`) on occluded keypoints: energy score, and mean error of the best.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from maskhand_ros.cli_arguments import whole
from maskhand_ros.data_engine.shard_store import ShardStore
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.uncertainty_report import interval

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.tokenizer import Tokenizer
from .draws import DRAWS, deviations_of, scores_of_draws
from .loop import add_loop_arguments, start_processes
from .sources import CueSource
from .train_maskhand import (
    DEFAULTS,
    add_data_arguments,
    add_tokenizer_argument,
    configuration,
    fit,
    measure,
    new_model,
)
from .train_tokenizer import load_tokenizer

VARIANTS: dict[str, dict] = {
    'full': {},
    'no-2d-pose': {'pose_cues': False},
    'no-multi-scale': {'multi_scale': False},
    'no-refinement': {'refinement_blocks': 0},
    'regression': {'head': 'regression'},
}
"""What each changes in the configuration `compact`."""
ITERATIONS = (1, 3, 5)
MEASURES = ('pa_mm', 'mpjpe_mm')
DRAWN = ('full', 'regression')
"""Variants whose draws are scored on occluded keypoints (see draws.py)."""
DRAWN_MEASURES = {'energy_mm': 'energy score', f'best_of_{DRAWS}_mm': f'best of {DRAWS}'}
RESULT = 'errors.npz'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train ablate`."""
    add_loop_arguments(parser)
    add_data_arguments(parser)
    add_tokenizer_argument(parser, required=True)
    parser.add_argument('--seeds', type=whole(1), default=3, help='runs of each variant (default 3)')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument('--splits', nargs='+', default=['test_stress', 'test_camera'])
    parser.add_argument('--limit', type=whole(1), default=5000, help='samples of each split (default 5000)')
    parser.set_defaults(**DEFAULTS['compact'], steps=6000)


def check_settings(args: argparse.Namespace) -> None:
    """Keep what all cells have in common in --out; CommandError if it holds cells of other settings."""
    path = args.out / 'settings.json'
    names = ('data', 'tokenizer', 'steps', 'batch_size', 'devices', 'learning_rate', 'seed', 'bf16', 'splits')
    settings = {name: getattr(args, name) for name in (*names, 'limit', 'hand_model', 'max_samples')}
    settings = json.loads(json.dumps(settings, default=str))
    if path.is_file() and json.loads(path.read_text()) != settings:
        raise CommandError(f'{args.out} was begun with other settings ({path.name})', 'give another --out')
    args.out.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.write_text(json.dumps(settings, indent=1) + '\n')


def train_cell(
    name: str,
    args: argparse.Namespace,
    fabric: Fabric,
    source: CueSource,
    tokenizer: Tokenizer,
    hand: TorchHand,
    tests: dict[str, ShardStore],
) -> bool:
    """Train one variant with one seed into args.out, and keep the errors of every test hand there; False
    where the run was asked to stop before its end."""
    config = replace(configuration('compact', tokenizer.config), **VARIANTS[name])
    model = new_model(config, tokenizer, args.seed)
    source.prepare(model)
    train = fit(model, hand, source, args, fabric)
    if train.progress < 1:
        return False
    if fabric.is_global_zero:
        model, errors = train.averaged(), {}
        for split, store in tests.items():
            for steps in ITERATIONS if name == 'full' else ITERATIONS[:1]:
                found = measure(model, hand, store.once(256), steps)
                errors.update({f'{split}/{m}@{steps}': found[m].cpu().numpy() for m in MEASURES})
        if name in DRAWN:
            factors = deviations_of(model, hand, source.held_out()) if name == 'regression' else None
            for split, store in tests.items():
                found = scores_of_draws(model, hand, store.once(256), factors)
                errors.update({f'{split}/{m}@1': values for m, values in found.items()})
        part = args.out / f'{RESULT}.part'
        with open(part, 'wb') as file:
            np.savez(file, **errors)
        os.replace(part, args.out / RESULT)
    return True


def collect(folder: Path, variants: list[str], seeds: int) -> dict[str, list[dict[str, np.ndarray]]]:
    """Row of the table -> for each finished seed {split/measure: errors (N,)}; `full` gives a row for each
    number of steps."""
    rows: dict[str, list[dict[str, np.ndarray]]] = {}
    for name in variants:
        for steps in ITERATIONS if name == 'full' else ITERATIONS[:1]:
            row = name if steps == 1 else f'{name}, T = {steps}'
            for seed in range(seeds):
                path = cell(folder, name, seed) / RESULT
                if not path.is_file():
                    continue
                with np.load(path, allow_pickle=False) as errors:
                    chosen = {k.split('@')[0]: errors[k] for k in errors.files if k.endswith(f'@{steps}')}
                rows.setdefault(row, []).append(chosen)
    return rows


def cell(folder: Path, name: str, seed: int) -> Path:
    """The folder of one variant and seed."""
    return folder / f'{name}-{seed}'


def compare(rows: dict[str, list[dict[str, np.ndarray]]]) -> dict[str, dict[str, dict]]:
    """Row -> split/measure -> mean, stddev over seeds, and where `full` has the same seeds: difference, its
    95 % interval over hands, and in how many seeds the row is worse."""
    results: dict[str, dict[str, dict]] = {}
    for row, cells in rows.items():
        for key in cells[0]:
            errors = np.stack([errors[key] for errors in cells])
            per_seed = errors.mean(1)
            figures: dict = {
                'mean': float(per_seed.mean()),
                'stddev': float(per_seed.std(ddof=1)) if len(cells) > 1 else None,
                'seeds': len(cells),
            }
            if row != 'full' and len(rows.get('full', ())) == len(cells):
                gap = errors - np.stack([errors[key] for errors in rows['full']])
                figures['difference'] = float(gap.mean())
                figures['interval95'] = interval(gap.mean(0))
                figures['worse_in'] = int((gap.mean(1) > 0).sum())
            results.setdefault(row, {})[key] = figures
    return results


def table(results: dict[str, dict[str, dict]]) -> str:
    """One row a variant; for each split PA-MPJPE, and its difference from `full`."""
    splits = [key.split('/')[0] for key in next(iter(results.values())) if key.endswith('/pa_mm')]
    lines = [
        f'{"PA-MPJPE, mm":24}' + ''.join(f'{split:>16} {"against full, worse in":>28}' for split in splits)
    ]
    for row, figures in results.items():
        line = f'{row:24}'
        for split in splits:
            found = figures[f'{split}/pa_mm']
            spread = '' if found['stddev'] is None else f' ± {found["stddev"]:.2f}'
            line += f'{found["mean"]:.2f}{spread}'.rjust(16) + ' ' + _difference(found).rjust(28)
        lines.append(line)
    return '\n'.join(lines)


def drawn_table(results: dict[str, dict[str, dict]]) -> str:
    """Hypotheses against the regressor's draws: figures of both, and the share by which ours are better."""
    ours, theirs = (results.get(name, {}) for name in DRAWN)
    lines = [f'{"occluded keypoints, mm":34}{"full":>10}{"regression":>12}{"better by":>12}  95 %']
    for key, found in theirs.items():
        split, measure = key.split('/')
        if measure in DRAWN_MEASURES and 'difference' in found:
            mean = found['mean']
            gain = [f'{100 * value / mean:+.1f} %' for value in (found['difference'], *found['interval95'])]
            row = f'{split}, {DRAWN_MEASURES[measure]}'
            lines.append(
                f'{row:34}{ours[key]["mean"]:10.2f}{mean:12.2f}{gain[0]:>12}  [{gain[1]}, {gain[2]}]'
            )
    return '\n'.join(lines)


def _difference(found: dict) -> str:
    if found.get('interval95') is None:
        return '-'
    low, high = found['interval95']
    worse = f'{found["worse_in"]}/{found["seeds"]}'
    return f'{found["difference"]:+.2f} [{low:+.2f}, {high:+.2f}] {worse}'


def run(args: argparse.Namespace) -> int:
    """Train what is missing, then compare."""
    check_settings(args)
    tokenizer = load_tokenizer(args.tokenizer)
    hand = TorchHand(HandModel.load(args.hand_model))
    fabric = start_processes(args)
    cells = [(name, seed) for seed in range(args.seeds) for name in args.variants]
    waiting = [(name, seed) for name, seed in cells if not (cell(args.out, name, seed) / RESULT).is_file()]
    if waiting:
        source = CueSource(args, fabric, refresh=False)
        if not any(args.data.glob('val-*.npz')):
            raise CommandError(
                f'no val-*.npz in {args.data}: the deviations of the regressor are calibrated on them',
                f'maskhand train data --out {args.data} --split val --samples 2000',
            )
        tests = {split: ShardStore(args.data, split, args.limit, fabric.device) for split in args.splits}
    for name, seed in waiting:
        cell_args = copy.copy(args)
        cell_args.out, cell_args.seed = cell(args.out, name, seed), args.seed + seed
        if fabric.is_global_zero:
            print(f'{name}, seed {cell_args.seed}', flush=True)
        if not train_cell(name, cell_args, fabric, source, tokenizer, hand, tests):
            return 1
    if fabric.is_global_zero:
        results = compare(collect(args.out, args.variants, args.seeds))
        (args.out / 'ablation.json').write_text(json.dumps(results, indent=1) + '\n')
        print(table(results))
        if all(name in args.variants for name in DRAWN):
            print(drawn_table(results))
    return 0
