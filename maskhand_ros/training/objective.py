"""The training loss of a MaskHand: masked tokens, geometry through their expectation, and the spread."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..hand_model.torch_hand import TorchHand
from ..model.context import Context
from ..model.losses import geometry_terms, orient_variance_loss, token_loss, variance_loss, weighted
from ..model.maskhand import MaskHand
from ..model.rotation import matrix_to_rotation_6d
from ..model.sampling import random_mask
from ..model.synthesizer import Synthesis

WITHHELD_POSE = 0.3
"""Share of samples whose tokens do not see the trunk's pose."""


class Objective(nn.Module):
    """The training loss of a MaskHand on one batch of cues and truth."""

    def __init__(self, model: MaskHand, hand: TorchHand, bf16: bool = False) -> None:
        super().__init__()
        self.model, self.hand, self.bf16 = model, hand, bf16

    def forward(
        self, cues: dict[str, Tensor], truth: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and what to log: terms of it in their own units."""
        model, device = self.model, truth['focal'].device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            context = model.context(cues)
        context = context._replace(first=context.first.float())
        keep = (torch.rand(len(truth['focal']), generator=generator) >= WITHHELD_POSE).to(device)
        of_head = self._of_tokens if model.config.head == 'tokens' else self._of_regression
        terms = of_head(context, truth, keep, generator)
        log = {
            'keypoints_mm': 1e3 * terms['keypoints'].detach(),
            'pixels': 224 * terms['pixels'].detach(),
        }
        if 'tokens' in terms:
            log['tokens'] = terms['tokens'].detach()
        loss = weighted(terms)
        if model.regresses_hand:
            loss = loss + weighted(geometry_terms(self.hand, model.regressed(context.first), truth)[0])
        return loss, log

    def _of_tokens(
        self, context: Context, truth: dict[str, Tensor], keep: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the loss of masked tokens.

        The first quarter of the batch hides every token. The middle half shows tokens that the model itself
        proposed, as it will at run time, and is asked for all of them. The last quarter shows true tokens and
        is asked for the rest.
        """
        model, quantizer = self.model, self.model.tokenizer.quantizer
        count, tokens, device = len(keep), model.config.tokenizer.tokens, keep.device
        quarter = count // 4
        own, true = slice(quarter, count - quarter), slice(count - quarter, count)
        digits = model.tokenizer.digits(self._tokenised_pose(truth))
        codes = quantizer.lookup(digits)
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
        self._add_spread(terms, out, keypoints, truth, blind)
        return terms

    def _of_regression(
        self, context: Context, truth: dict[str, Tensor], keep: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the loss of a pose that is regressed: no token is ever shown."""
        out = self._synthesize(context, *self.model.nothing_shown(context), keep)
        terms, keypoints = geometry_terms(self.hand, self.model.parameters_of(None, out), truth)
        every = torch.ones(len(keep), device=keep.device)
        self._add_spread(terms, out, keypoints, truth, every)
        return terms

    @staticmethod
    def _add_spread(
        terms: dict[str, Tensor], out: Synthesis, keypoints: Tensor, truth: dict[str, Tensor], counted: Tensor
    ) -> None:
        terms['variance'] = variance_loss(out.log_variance, keypoints, truth['keypoints'], counted)
        if out.orient_log_variance is not None:
            terms['orient_variance'] = orient_variance_loss(
                out.orient_log_variance, out.global_orient, truth['global_orient'], counted
            )

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
        logits = self._synthesize(context, *self.model.nothing_shown(context), keep).logits
        half = len(keep) // 2
        return torch.cat([quantizer.sample(logits[:half], generator), quantizer.expected(logits[half:])])


def rows_of(context: Context, rows: slice) -> Context:
    """The Context of some rows of a batch, without gradient."""
    maps = tuple(values[rows].detach() for values in context.maps)
    return Context._make((*(part[rows].detach() for part in context[:-1]), maps))
