"""Errors of the exported model on held-out synthetic shards: the same ONNX Runtime path as on the robot.

maskhand train evaluate --data shards [--splits test_stress test_camera] [--tokenizer checkpoint.pt]
[--json out.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.rotation import matrix_to_rotation_6d
from ..perception.providers import providers_for
from ..perception.reconstructor import HandPrediction, Reconstructor
from .metrics import mpjpe, pa_mpjpe
from .shard_store import ShardStore
from .train_tokenizer import load_tokenizer, round_trip

BATCH = 250


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train evaluate`."""
    parser.add_argument('--data', type=Path, required=True, help='folder of shards')
    parser.add_argument('--splits', nargs='+', default=['test_stress', 'test_camera'])
    parser.add_argument('--weights', type=Path, default=Path(__file__).parents[1] / 'weights')
    parser.add_argument(
        '--tokenizer', type=Path, help='checkpoint.pt of the tokenizer, to measure its round trip too'
    )
    parser.add_argument('--iterations', type=int, default=1)
    parser.add_argument('--limit', type=int, default=5000, help='samples of each split (default 5000)')
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda', 'tensorrt'))
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--json', type=Path, help='also write the numbers here')


def sample_errors(
    prediction: HandPrediction, truth: dict[str, np.ndarray], cues: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Errors (N,) of each of N hands; the last two are squared errors over predicted variance."""
    keypoints, rows = truth['keypoints'], range(len(truth['keypoints']))
    camera = prediction.camera[:, None]
    pixels = 224 * (camera[..., :1] * (prediction.keypoints[..., :2] + camera[..., 1:]) + 0.5)
    trace = np.einsum('nij,nij->n', prediction.global_orient, truth['global_orient'])
    error, stddev = (prediction.keypoints - keypoints)[:, 1:], prediction.keypoint_stddev[:, 1:]
    return {
        'pa_mpjpe_mm': 1e3 * np.array([pa_mpjpe(prediction.keypoints[i], keypoints[i]) for i in rows]),
        'mpjpe_mm': 1e3 * np.array([mpjpe(prediction.keypoints[i], keypoints[i]) for i in rows]),
        'err2d_px': np.linalg.norm(pixels - truth['keypoints_px'], axis=-1).mean(1),
        'orientation_deg': np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))),
        'mediapipe_pa_mm': 1e3 * np.array([pa_mpjpe(cues['world_landmarks'][i], keypoints[i]) for i in rows]),
        'lateral_chi2': ((error[..., :2] / stddev[..., :1]) ** 2).mean((1, 2)),
        'depth_chi2': ((error[..., 2] / stddev[..., 1]) ** 2).mean(1),
    }


def evaluate_split(reconstructor: Reconstructor, store: ShardStore) -> dict[str, float]:
    """Means over a split, and over the crops of which the landmark network is sure (presence over 0.9)."""
    parts, sure = [], []
    for rows in torch.arange(len(store)).split(BATCH):
        cues, truth = ({name: value.numpy() for name, value in part.items()} for part in store.batch(rows))
        parts.append(sample_errors(reconstructor(cues), truth, cues))
        sure.append(cues['presence'][:, 0] > 0.9)
    errors = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    result = {'samples': len(store), **{name: float(values.mean()) for name, values in errors.items()}}
    result['orientation_median_deg'] = float(np.median(errors['orientation_deg']))
    result['sure_fraction'] = float(np.concatenate(sure).mean())
    result['sure_pa_mpjpe_mm'] = float(errors['pa_mpjpe_mm'][np.concatenate(sure)].mean())
    return result


def run(args: argparse.Namespace) -> int:
    """Print a table of the errors, one column a split; write them to --json."""
    torch.set_num_threads(args.threads)
    reconstructor = Reconstructor(
        args.weights, HandModel.load(), providers_for(args.device), args.threads, args.iterations
    )
    tokenizer = load_tokenizer(args.tokenizer).eval() if args.tokenizer else None
    results = {}
    for split in args.splits:
        store = ShardStore(args.data, split, args.limit)
        results[split] = evaluate_split(reconstructor, store)
        if tokenizer:
            pose = matrix_to_rotation_6d(store.tensors['hand_pose'])
            results[split].update(
                {
                    f'tokenizer_{name}': value
                    for name, value in round_trip(tokenizer, TorchHand(), pose).items()
                }
            )
    print(f'{"":28}' + ''.join(f'{split:>14}' for split in results))
    for name in next(iter(results.values())):
        print(f'{name:28}' + ''.join(f'{result[name]:14.2f}' for result in results.values()))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + '\n')
    return 0
