"""Train the pose tokenizer on poses from the pose sampler (minutes on one core).

    maskhand train tokenizer --out runs/tokenizer --minutes 5
    maskhand train tokenizer --config paper --data images --hand-model mano.npz --out runs/vq_mano

The second learns the poses of image shards (`maskhand train images`, splits train and val) of your own MANO.

Writes checkpoint.pt (continued if it exists), curve.json, poses.npy (the pool) and held_out.npy into --out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskhand_ros.cli_arguments import whole

from ..hand_model.numpy_hand import HandModel, HandOutput
from ..hand_model.torch_hand import TorchHand
from ..model.config import MaskHandConfig, TokenizerConfig, paper_config
from ..model.quantizers import code_indices
from ..model.rotation import matrix_to_rotation_6d, rotation_6d_to_matrix, rotvec_to_matrix
from ..model.tokenizer import Tokenizer, make_tokenizer
from .loop import TrainingRun, add_loop_arguments, start_processes
from .procrustes import aligned_errors

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
    parser.add_argument(
        '--data', type=Path, help="image shards whose poses to learn (default: the sampler's)"
    )
    parser.add_argument(
        '--hand-model', type=Path, help='npz of the hand that the shards are of (default: the open hand)'
    )
    parser.add_argument(
        '--poses', type=whole(1), default=200_000, help='size of the pose pool (default 200000)'
    )
    parser.add_argument('--held-out', type=whole(1), default=5_000)
    parser.add_argument('--config', choices=('compact', 'paper'), default='compact')
    parser.add_argument('--quantizer', choices=('fsq', 'ema'), help="in place of the configuration's own")
    parser.set_defaults(batch_size=512, learning_rate=1.5e-3)


def pose_pool(path: Path, count: int, sample: Callable[[int], np.ndarray]) -> Tensor:
    """`count` poses (count, 15, 6) float32 of `sample(count)`, kept at `path` between runs."""
    if not path.exists():
        matrices = sample(count)
        np.save(path, np.concatenate([matrices[..., 0], matrices[..., 1]], -1).astype(np.float32))
    return torch.from_numpy(np.load(path))


def _sampler(args: argparse.Namespace, hand: HandModel, split: str, seed: int) -> Callable[[int], np.ndarray]:
    """What gives n poses (n, 15, 3, 3): the shards in --data, else the pose sampler."""
    if args.data:
        from maskhand_ros.data_engine.image_store import ImageShards

        return ImageShards(args.data, split, hand.name).poses

    from maskhand_ros.data_engine.poses import sample_poses

    return lambda count: sample_poses(hand, count, np.random.default_rng(seed))


def disturb(pose: Tensor) -> Tensor:
    """Turn the joints of some rows of a pose (B, 15, 6) a little."""
    count = int(DISTURBED * len(pose))
    turn = rotvec_to_matrix(DISTURBANCE * torch.randn(count, pose.shape[1], 3, device=pose.device))
    turned = matrix_to_rotation_6d(rotation_6d_to_matrix(pose[:count]) @ turn)
    return torch.cat([turned, pose[count:]])


def with_orientation(pose: Tensor, generator: torch.Generator) -> Tensor:
    """A pose (B, 15, 6) with a global orientation drawn evenly from all in front of it (B, 16, 6)."""
    quaternion = torch.randn(len(pose), 4, generator=generator).to(pose.device)
    quaternion = torch.nn.functional.normalize(quaternion, dim=1)
    w, axis = quaternion[:, :1], quaternion[:, 1:]
    sine = axis.norm(dim=1, keepdim=True).clamp_min(1e-6)
    orient = rotvec_to_matrix(2 * torch.atan2(sine, w) * axis / sine)
    return torch.cat([matrix_to_rotation_6d(orient)[:, None], pose], 1)


def skin(hand: TorchHand, pose: Tensor, vertices: bool = True) -> tuple[HandOutput, Tensor]:
    """The hand at mean shape and rotations (B, J, 3, 3) of a pose (B, J, 6), J 15 or 16."""
    matrices = rotation_6d_to_matrix(pose)
    orient = (
        matrices[:, 0] if pose.shape[1] == 16 else torch.eye(3, device=pose.device).expand(len(pose), 3, 3)
    )
    return hand(pose.new_zeros(len(pose), 10), orient, matrices[:, -15:], vertices), matrices


class TokenizerObjective(nn.Module):
    """The training loss of a tokenizer."""

    def __init__(self, model: Tokenizer, hand: TorchHand, bf16: bool = False) -> None:
        super().__init__()
        self.model, self.hand, self.bf16 = model, hand, bf16

    def forward(self, pose: Tensor) -> tuple[Tensor]:
        """Reconstruction of poses (B, J, 6): rotations (squared), keypoints and vertices (L1); and the
        quantizer's loss."""
        with torch.autocast(pose.device.type, torch.bfloat16, enabled=self.bf16):
            encoded = self.model.encode(pose)
        encoded = encoded.float()
        codes, loss = self.model.quantizer(encoded)
        if self.model.config.quantizer == 'fsq':
            smooth = int(UNROUNDED * len(pose))
            codes = torch.cat([codes[:-smooth], self.model.quantizer.bound(encoded[-smooth:]).clamp(-1, 1)])
        with torch.autocast(pose.device.type, torch.bfloat16, enabled=self.bf16):
            decoded = self.model.decode(codes)
        out, matrices = skin(self.hand, decoded.float())
        with torch.no_grad():
            true, true_matrices = skin(self.hand, pose)
        vertices = (out.vertices - true.vertices).abs().mean()
        keypoints = (out.keypoints - true.keypoints).abs().mean()
        loss = loss + 4 * (matrices - true_matrices).square().mean() + 50 * (keypoints + vertices)
        return (loss,)


@torch.no_grad()
def round_trip(model: Tokenizer, hand: TorchHand, pose: Tensor) -> dict[str, float]:
    """Errors (mm) of poses (B, J, 6) through hard tokens: MPJPE, and PA-MPVPE over all vertices; perplexity
    and use of the codebook."""
    digits = torch.cat([model.digits(part) for part in pose.split(500)])
    joints, surface = [], []
    for part, wanted in zip(digits.split(500), pose.split(500), strict=True):
        ours, true = (skin(hand, p)[0] for p in (model.decode(model.quantizer.lookup(part)), wanted))
        joints.append((ours.keypoints - true.keypoints).norm(dim=-1))
        surface.append(aligned_errors(ours.vertices, true.vertices))
    error = torch.cat(joints)
    size = len(model.quantizer.codebook)
    indices = code_indices(model.quantizer, digits)
    share = torch.bincount(indices.flatten(), minlength=size) / indices.numel()
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    return {
        'round_trip_mm': 1e3 * error.mean().item(),
        'round_trip_p95_mm': 1e3 * error.mean(1).quantile(0.95).item(),
        'round_trip_pa_mpvpe_mm': 1e3 * torch.cat(surface).mean().item(),
        'perplexity': entropy.exp().item(),
        'codes_used': int((share > 0).sum()),
    }


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a checkpoint of this command, with its averaged weights."""
    checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    config = TokenizerConfig(**{**checkpoint['config'], 'levels': tuple(checkpoint['config']['levels'])})
    model = make_tokenizer(config)
    model.load_state_dict(checkpoint['ema'])
    return model


def run(args: argparse.Namespace) -> int:
    """Train until the budget is spent."""
    fabric = start_processes(args)
    args.out.mkdir(parents=True, exist_ok=True)
    config = (paper_config() if args.config == 'paper' else MaskHandConfig()).tokenizer
    if args.quantizer:
        config = replace(config, quantizer=args.quantizer)
    hand_model = HandModel.load(args.hand_model)
    hand = TorchHand(hand_model).to(fabric.device)
    with fabric.rank_zero_first():
        pool = pose_pool(args.out / 'poses.npy', args.poses, _sampler(args, hand_model, 'train', args.seed))
        sampler = _sampler(args, hand_model, 'val', HELD_OUT_SEED)
        held_out = pose_pool(args.out / 'held_out.npy', args.held_out, sampler)
    pool, held_out = pool.to(fabric.device), held_out.to(fabric.device)
    if config.kind == 'hand':
        held_out = with_orientation(held_out, torch.Generator().manual_seed(HELD_OUT_SEED))
    torch.manual_seed(args.seed)
    model = make_tokenizer(config)
    train = TrainingRun(
        model, TokenizerObjective(model, hand, args.bf16), args, fabric, {'config': asdict(config)}
    )
    losses = []
    while train.running():
        rows = torch.randint(len(pool), (args.batch_size,), generator=train.generator).to(fabric.device)
        pose = disturb(pool[rows])
        if config.kind == 'hand':
            pose = with_orientation(pose, train.generator)
        (loss,) = train.update(pose)
        losses.append(loss.detach())
        if train.step % 500 == 0:
            train.log(loss=torch.stack(losses).mean().item(), **round_trip(train.averaged(), hand, held_out))
            losses.clear()
    train.log(**round_trip(train.averaged(), hand, held_out))
    train.save()
    return 0
