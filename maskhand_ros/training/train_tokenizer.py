"""Train the pose tokenizer on poses from the pose sampler (minutes on one core).

    maskhand train tokenizer --out runs/tokenizer --minutes 5

Writes checkpoint.pt (continued if it exists), curve.json and poses.npy (the pool) into --out.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.config import TokenizerConfig
from ..model.rotation import matrix_to_rotation_6d, rotation_6d_to_matrix, rotvec_to_matrix
from ..model.tokenizer import FingerTokenizer
from .loop import TrainingRun, add_loop_arguments

HELD_OUT_SEED = 10_007
UNROUNDED = 0.25
"""Share of each batch whose codes skip the rounding, so that the decoder is smooth between codes (soft
decoding)."""

DISTURBED, DISTURBANCE = 0.4, 0.07
"""Share of each batch whose joints are turned by normal noise (radians), since real hands leave the sampler's
axes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train tokenizer`."""
    add_loop_arguments(parser)
    parser.add_argument('--data', type=Path, help='not needed: the poses come from the sampler')
    parser.add_argument('--poses', type=int, default=200_000, help='size of the pose pool (default 200000)')
    parser.add_argument('--held-out', type=int, default=5_000)
    parser.set_defaults(batch_size=512, learning_rate=1.5e-3)


def pose_pool(path: Path, count: int, seed: int) -> Tensor:
    """`count` sampled poses (count, 15, 6) float32, kept at `path` between runs."""
    from .data.poses import sample_poses

    if not path.exists():
        matrices = sample_poses(HandModel.load(), count, np.random.default_rng(seed))
        np.save(path, np.concatenate([matrices[..., 0], matrices[..., 1]], -1).astype(np.float32))
    return torch.from_numpy(np.load(path))


def disturb(pose: Tensor) -> Tensor:
    """Turn the joints of some rows of a pose (B, 15, 6) a little."""
    count = int(DISTURBED * len(pose))
    turn = rotvec_to_matrix(DISTURBANCE * torch.randn(count, pose.shape[1], 3, device=pose.device))
    turned = matrix_to_rotation_6d(rotation_6d_to_matrix(pose[:count]) @ turn)
    return torch.cat([turned, pose[count:]])


def keypoints_of(hand: TorchHand, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Keypoints (B, 21, 3) at mean shape and rotations (B, 15, 3, 3) of a pose (B, 15, 6)."""
    matrices = rotation_6d_to_matrix(pose)
    betas = pose.new_zeros(len(pose), 10)
    return hand.keypoints(betas, torch.eye(3, device=pose.device).expand(len(pose), 3, 3), matrices), matrices


def tokenizer_loss(model: FingerTokenizer, hand: TorchHand, pose: Tensor) -> Tensor:
    """Reconstruction of poses (B, 15, 6): rotations (squared) and keypoints (L1)."""
    encoded = model.encode(pose)
    codes = model.quantizer(encoded)
    smooth = int(UNROUNDED * len(pose))
    codes = torch.cat([codes[:-smooth], model.quantizer.bound(encoded[-smooth:]).clamp(-1, 1)])
    keypoints, matrices = keypoints_of(hand, model.decode(codes))
    true_keypoints, true_matrices = keypoints_of(hand, pose)
    return 4 * (matrices - true_matrices).square().mean() + 100 * (keypoints - true_keypoints).abs().mean()


@torch.no_grad()
def round_trip(model: FingerTokenizer, hand: TorchHand, pose: Tensor) -> dict[str, float]:
    """MPJPE (mm) of poses (B, 15, 6) through hard tokens; perplexity and use of the codebook."""
    digits = model.digits(pose)
    decoded = model.decode(digits / model.quantizer.steps - 1)
    error = (keypoints_of(hand, decoded)[0] - keypoints_of(hand, pose)[0]).norm(dim=-1)
    size = len(model.quantizer.codebook)
    share = torch.bincount(model.quantizer.indices(digits).flatten(), minlength=size) / digits[..., 0].numel()
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    return {
        'round_trip_mm': 1e3 * error.mean().item(),
        'round_trip_p95_mm': 1e3 * error.mean(1).quantile(0.95).item(),
        'perplexity': entropy.exp().item(),
        'codes_used': int((share > 0).sum()),
    }


def load_tokenizer(path: Path) -> FingerTokenizer:
    """The tokenizer in a checkpoint of this command, with its averaged weights."""
    checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    config = TokenizerConfig(**{**checkpoint['config'], 'levels': tuple(checkpoint['config']['levels'])})
    model = FingerTokenizer(config)
    model.load_state_dict(checkpoint['ema'])
    return model


def run(args: argparse.Namespace) -> int:
    """Train until the budget is spent."""
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    config = TokenizerConfig()
    hand = TorchHand().to(args.device)
    pool = pose_pool(args.out / 'poses.npy', args.poses, args.seed).to(args.device)
    held_out = pose_pool(args.out / 'held_out.npy', args.held_out, HELD_OUT_SEED).to(args.device)
    model = FingerTokenizer(config).to(args.device)
    train = TrainingRun(model, args, {'config': asdict(config)})
    losses = []
    while train.running():
        rows = torch.randint(len(pool), (args.batch_size,), generator=train.generator).to(args.device)
        loss = tokenizer_loss(model, hand, disturb(pool[rows]))
        train.update(loss)
        losses.append(loss.detach())
        if train.step % 500 == 0:
            train.log(loss=torch.stack(losses).mean().item(), **round_trip(train.averaged(), hand, held_out))
            losses.clear()
    train.log(**round_trip(train.averaged(), hand, held_out))
    train.save()
    return 0
