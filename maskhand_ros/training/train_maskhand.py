"""Train the masked transformer on shards, with a trained tokenizer frozen inside it.

    maskhand train model --data shards --tokenizer runs/tokenizer/checkpoint.pt --out runs/model --minutes 60

Reads train-*.npz and val-*.npz (new shards are picked up on the way); continues --out if it holds a run.
Writes checkpoint.pt (for `maskhand export`) and curve.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.config import MaskHandConfig
from ..model.context import Context
from ..model.losses import geometry_terms, token_loss, variance_loss, weighted
from ..model.maskhand import MaskHand
from ..model.rotation import matrix_to_rotation_6d, rotation_6d_to_matrix
from ..model.sampling import random_mask
from ..model.synthesizer import Synthesis
from .cue_augmentation import augment
from .loop import TrainingRun, add_loop_arguments, start_processes
from .procrustes import aligned_errors
from .shard_store import ShardStore
from .train_tokenizer import load_tokenizer

WITHHELD_POSE = 0.3
"""Share of samples whose tokens do not see the trunk's pose."""

LOG_EVERY, VALIDATE_EVERY = 200, 600
REFRESH_EVERY = 200
"""Steps between looks for new shards."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand train model`."""
    add_loop_arguments(parser)
    parser.add_argument('--data', type=Path, required=True, help='folder of shards')
    parser.add_argument(
        '--tokenizer', type=Path, required=True, help='checkpoint.pt of `maskhand train tokenizer`'
    )
    parser.add_argument('--max-samples', type=int, default=400_000, help='samples kept in memory, 50 KB each')
    parser.add_argument(
        '--bf16',
        action='store_true',
        help='networks in bfloat16: several times faster on GPUs and on CPUs with avx512_bf16',
    )
    parser.set_defaults(batch_size=128, learning_rate=7e-4)


def mediapipe_hand() -> TorchHand:
    """The open hand with keypoints at MediaPipe's places, or at MANO's where the hand has no such set."""
    try:
        return TorchHand(HandModel.load(keypoint_set='mediapipe'))
    except ValueError:
        return TorchHand()


class Objective(nn.Module):
    """The training loss of a MaskHand on one batch of cues and truth."""

    def __init__(self, model: MaskHand, hand: TorchHand, bf16: bool = False) -> None:
        super().__init__()
        self.model, self.hand, self.bf16 = model, hand, bf16

    def forward(
        self, cues: dict[str, Tensor], truth: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and what to log.

        The first quarter of the batch hides every token. The middle half shows tokens that the model itself
        proposed, as it will at run time, and is asked for all of them. The last quarter shows true tokens and
        is asked for the rest.
        """
        model, quantizer = self.model, self.model.tokenizer.quantizer
        count, tokens = len(truth['focal']), model.config.tokenizer.tokens
        device = truth['focal'].device
        quarter = count // 4
        own, true = slice(quarter, count - quarter), slice(count - quarter, count)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            context = model.context(cues)
        context = context._replace(first=context.first.float())
        digits = model.tokenizer.digits(self._tokenised_pose(truth))
        codes = quantizer.lookup(digits)
        keep = (torch.rand(count, generator=generator) >= WITHHELD_POSE).to(device)
        mask = random_mask(count, tokens, quarter, generator).to(device)
        shown = codes.clone()
        shown[own] = self._proposals(rows_of(context, own), keep[own], generator)
        out = self._synthesize(context, shown, mask, keep)
        asked = mask.clone()
        asked[own] = True
        expected = torch.where(asked[..., None], quantizer.expected(out.logits), codes)
        terms, keypoints = geometry_terms(self.hand, model.parameters_of(expected, out), truth)
        terms['tokens'] = token_loss(out.logits, digits, asked.float())
        blind = torch.ones(count, device=device)
        blind[true] = 0
        terms['variance'] = variance_loss(out.log_variance, keypoints, truth['keypoints'], blind)
        log = {
            'tokens': terms['tokens'].detach(),
            'keypoints_mm': 1e3 * terms['keypoints'].detach(),
            'pixels': 224 * terms['pixels'].detach(),
        }
        loss = weighted(terms)
        if model.regresses_hand:
            loss = loss + weighted(geometry_terms(self.hand, model.regressed(context.first), truth)[0])
        return loss, log

    def _tokenised_pose(self, truth: dict[str, Tensor]) -> Tensor:
        """What the tokens describe (B, J, 6)."""
        pose = truth['hand_pose']
        if self.model.config.tokenizer.kind == 'hand':
            pose = torch.cat([truth['global_orient'][:, None], pose], 1)
        return matrix_to_rotation_6d(pose)

    def _synthesize(self, context: Context, *inputs: Tensor) -> Synthesis:
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=self.bf16):
            out = self.model.synthesizer(context, *inputs)
        return Synthesis(*(value if value is None else value.float() for value in out))

    @torch.no_grad()
    def _proposals(self, context: Context, keep: Tensor, generator: torch.Generator) -> Tensor:
        """Tokens (B, L, D) as the model gives them from nothing: drawn in one half of the rows, expected in
        the other."""
        quantizer = self.model.tokenizer.quantizer
        blank = keep.new_zeros(len(keep), self.model.config.tokenizer.tokens, quantizer.dimensions).float()
        logits = self._synthesize(context, blank, blank[..., 0] == 0, keep).logits
        half = len(keep) // 2
        return torch.cat([quantizer.sample(logits[:half], generator), quantizer.expected(logits[half:])])


def rows_of(context: Context, rows: slice) -> Context:
    """The Context of some rows of a batch, without gradient."""
    maps = tuple(values[rows].detach() for values in context.maps)
    return Context(*(part[rows].detach() for part in context[:-1]), maps)


@torch.no_grad()
def validate(model: MaskHand, hand: TorchHand, store: ShardStore) -> dict[str, float]:
    """Errors in mm on `store`: of the point estimate (T = 1) and of the first regression alone."""
    sums: dict[str, list[Tensor]] = {}
    for rows in torch.arange(len(store)).split(256):
        cues, truth = store.batch(rows)
        answers = {'val': model(cues)[0]}
        if model.regresses_hand:
            answers['val_first'] = model.regressed(model.context(cues).first)
        for name, parameters in answers.items():
            keypoints = hand.keypoints(
                parameters.betas,
                rotation_6d_to_matrix(parameters.global_orient),
                rotation_6d_to_matrix(parameters.hand_pose),
            )
            sums.setdefault(f'{name}_pa_mm', []).append(aligned_errors(keypoints, truth['keypoints']))
            sums.setdefault(f'{name}_mpjpe_mm', []).append(
                (keypoints - truth['keypoints']).norm(dim=-1).mean(1)
            )
    return {name: 1e3 * torch.cat(values).mean().item() for name, values in sums.items()}


def run(args: argparse.Namespace) -> int:
    """Train until the budget is spent."""
    fabric = start_processes(args)
    part = fabric.global_rank, fabric.world_size
    store = ShardStore(args.data, 'train', args.max_samples, fabric.device, part)
    validation = None
    if fabric.is_global_zero and list(args.data.glob('val-*.npz')):
        validation = ShardStore(args.data, 'val', 1024, fabric.device)
    hand, cue_hand = TorchHand(), mediapipe_hand().to(fabric.device)
    torch.manual_seed(args.seed)
    tokenizer = load_tokenizer(args.tokenizer)
    model = MaskHand(MaskHandConfig(tokenizer=tokenizer.config))
    model.tokenizer.load_state_dict(tokenizer.state_dict())
    model.context.set_statistics(store.batch(torch.arange(len(store))[:: max(1, len(store) // 4000)])[0])
    summary = {}
    extra = {'config': model.config.to_dict(), 'summary': summary}
    train = TrainingRun(model, Objective(model, hand, args.bf16), args, fabric, extra)
    model.train()
    logs: list[dict[str, Tensor]] = []
    while train.running():
        if train.step % REFRESH_EVERY == 0 and store.refresh() and fabric.is_global_zero:
            print(f'{len(store)} training samples in each process', flush=True)
        rows = torch.randint(len(store), (args.batch_size,), generator=train.generator)
        cues, truth = store.batch(rows)
        cues = augment(cues, truth, cue_hand, train.generator)
        loss, log = train.update(cues, truth, train.generator)
        logs.append({'loss': loss.detach(), **log})
        if train.step % LOG_EVERY == 0:
            values = {name: torch.stack([entry[name] for entry in logs]).mean().item() for name in logs[0]}
            if validation and train.step % VALIDATE_EVERY == 0:
                values.update(validate(train.averaged(), hand, validation))
            train.log(**values)
            logs.clear()
    final = validate(train.averaged(), hand, validation) if validation else {}
    train.log(**final)
    summary.update(
        samples=len(store) * fabric.world_size,
        steps=train.step,
        batch_size=args.batch_size * fabric.world_size,
        device=args.device,
        devices=args.devices,
        minutes=round(train.seconds / 60, 1),
        seed=args.seed,
        **final,
    )
    train.save()
    return 0
