"""The loss of fine-tuning: own pictures are learned, and on renders the answers of the model as it was are
kept."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..hand_model.torch_hand import TorchHand
from ..model.context import Context
from ..model.losses import WEIGHTS, geometry_terms, project, weighted
from ..model.maskhand import HandParameters, MaskHand, keypoints_of
from ..model.rotation import rotation_6d_to_matrix
from ..model.synthesizer import Synthesis
from .objective import Objective

SPREAD_WEIGHT = 0.1
"""Weight of a change of the log variances by 1."""


class _PictureObjective(Objective):
    """The training loss without that of the spread: few pictures cannot say how often the model is wrong."""

    @staticmethod
    def _add_spread(*_: object) -> None:
        pass


class AnchoredObjective(nn.Module):
    """The loss on a batch of own pictures and a batch of renders; `model` is trained, a copy of it as it is
    now is the anchor."""

    def __init__(self, model: MaskHand, hand: TorchHand, bf16: bool = False) -> None:
        super().__init__()
        self.pictures, self._hand = _PictureObjective(model, hand, bf16), hand
        self._anchor = copy.deepcopy(model).eval().requires_grad_(False)

    def forward(
        self,
        own: tuple[dict[str, Tensor], dict[str, Tensor]],
        rendered: dict[str, Tensor],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """The loss of `own` (cues and truth) and cues of renders; the part of the renders in it."""
        loss, _ = self.pictures(*own, generator)
        kept = self._kept(rendered)
        return loss + kept, kept.detach()

    def _kept(self, cues: dict[str, Tensor]) -> Tensor:
        """How far the answers to cues are from those of the anchor: hand, tokens and spread."""
        with torch.no_grad():
            before, told = _answer(self._anchor, cues)
        context, out = _answer(self.pictures.model, cues)
        loss = self._distance(self._estimate(out), self._estimate(told))
        loss = loss + self._distance(MaskHand.regressed(context.first), MaskHand.regressed(before.first))
        divergence = F.kl_div(
            out.logits.log_softmax(-1), told.logits.log_softmax(-1), reduction='none', log_target=True
        )
        loss = loss + WEIGHTS['tokens'] * divergence.sum((-1, -2)).mean()
        for ours, theirs in zip(out[-2:], told[-2:], strict=True):
            loss = loss + SPREAD_WEIGHT * (ours - theirs).abs().mean()
        return loss

    def _estimate(self, out: Synthesis) -> HandParameters:
        model = self.pictures.model
        return model.parameters_of(model.tokenizer.quantizer.expected(out.logits), out)

    def _distance(self, ours: HandParameters, theirs: HandParameters) -> Tensor:
        keypoints = keypoints_of(self._hand, theirs)
        truth = {
            'global_orient': rotation_6d_to_matrix(theirs.global_orient),
            'hand_pose': rotation_6d_to_matrix(theirs.hand_pose),
            'betas': theirs.betas,
            'keypoints': keypoints,
            'keypoints_px': 224 * (project(keypoints, theirs.camera) + 0.5),
        }
        return weighted(geometry_terms(self._hand, ours, {k: v.detach() for k, v in truth.items()})[0])


def _answer(model: MaskHand, cues: dict[str, Tensor]) -> tuple[Context, Synthesis]:
    """What a model gives for cues when no token is shown."""
    context = model.context(cues)
    return context, model.synthesizer(context, *model.nothing_shown(context))
