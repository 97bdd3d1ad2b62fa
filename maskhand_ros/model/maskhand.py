"""MaskHand as one module: the cues or image of a crop to a hand, through a frozen tokenizer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from maskhand_ros.hand_model.torch_hand import TorchHand

from .config import CUE_SHAPES, POSE_SIZE, MaskHandConfig
from .context import Context, CueContext
from .image_context import IMAGE_SHAPES, ImageContext
from .rotation import matrix_to_rotation_6d, rotation_6d_to_matrix, rotvec_to_matrix
from .sampling import decode
from .synthesizer import Synthesis, Synthesizer, positive_scale
from .tokenizer import make_tokenizer


class HandParameters(NamedTuple):
    """A right hand in the crop camera's frame: hand_pose (B, 15, 6), global_orient (B, 6), betas (B, 10),
    camera (B, 3)."""

    hand_pose: Tensor
    global_orient: Tensor
    betas: Tensor
    camera: Tensor


def keypoints_of(hand: TorchHand, parameters: HandParameters) -> Tensor:
    """(B, 21, 3) metres, from the wrist, of HandParameters skinned by `hand`, a TorchHand."""
    matrices = (rotation_6d_to_matrix(parameters.global_orient), rotation_6d_to_matrix(parameters.hand_pose))
    return hand.keypoints(parameters.betas, *matrices)


class MaskHand(nn.Module):
    """`context` runs once per crop; `synthesizer` once per iteration; `tokenizer` is trained before and
    frozen. `input_shapes` names what `context` reads."""

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = make_tokenizer(config.tokenizer).requires_grad_(False)
        self.context = CueContext(config) if config.vit is None else ImageContext(config)
        self.input_shapes = CUE_SHAPES if config.vit is None else IMAGE_SHAPES
        self.synthesizer = Synthesizer(config)
        self.regresses_hand = self.synthesizer.has_heads

    def train(self, mode: bool = True) -> MaskHand:
        super().train(mode)
        self.tokenizer.eval()
        return self

    def parameters_of(self, codes: Tensor | None, out: Synthesis) -> HandParameters:
        """The hand that codes (B, L, D) and a Synthesis describe; with the head 'regression', the Synthesis
        alone."""
        pose, orient = self.tokenizer.decode(codes) if out.pose is None else out.pose, out.global_orient
        if orient is None:
            orient, pose = pose[:, 0], pose[:, 1:]
        return HandParameters(pose, orient, out.betas, out.camera)

    @torch.no_grad()
    def forward(self, cues: dict[str, Tensor], iterations: int = 1) -> tuple[HandParameters, Synthesis]:
        """The point estimate for cues (shapes in `input_shapes`), and the last step's outputs."""
        context = self.context(cues)
        if self.config.head == 'regression':
            out = self.synthesizer(context, *self.nothing_shown(context))
            return self.parameters_of(None, out), out
        codes, out = self._decode(context, iterations)
        return self.parameters_of(codes, out), out

    @torch.no_grad()
    def draw(
        self,
        context: Context,
        iterations: int = 3,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> HandParameters:
        """One hypothesis for each row of a Context: tokens drawn as they are shown, and where they do not
        hold the global orientation, that drawn from its spread."""
        codes, out = self._decode(context, iterations, temperature, generator)
        hand = self.parameters_of(codes, out)
        if out.orient_log_variance is None:
            return hand
        spread = (out.orient_log_variance / 2).exp() * temperature**0.5
        noise = torch.randn(spread.shape, generator=generator).to(spread.device)
        orient = rotvec_to_matrix(spread * noise) @ rotation_6d_to_matrix(hand.global_orient)
        return hand._replace(global_orient=matrix_to_rotation_6d(orient))

    def _decode(
        self,
        context: Context,
        iterations: int,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Synthesis]:
        return decode(
            lambda codes, mask: self.synthesizer(context, codes, mask),
            self.tokenizer.quantizer,
            len(context.nodes),
            self.config.tokenizer.tokens,
            iterations,
            temperature=temperature,
            generator=generator,
            device=context.nodes.device,
        )

    def nothing_shown(self, context: Context) -> tuple[Tensor, Tensor]:
        """Codes (B, L, D) and mask (B, L) of which every token is hidden."""
        shape = len(context.nodes), self.config.tokenizer.tokens
        codes = context.nodes.new_zeros(*shape, self.tokenizer.quantizer.dimensions).float()
        return codes, codes.new_ones(shape, dtype=torch.bool)

    @staticmethod
    def regressed(first: Tensor) -> HandParameters:
        """The first regression of `compact` (B, 109) alone, without tokens."""
        return HandParameters(
            first[:, :POSE_SIZE].unflatten(1, (-1, 6)),
            first[:, POSE_SIZE : POSE_SIZE + 6],
            first[:, POSE_SIZE + 6 : -3],
            positive_scale(first[:, -3:]),
        )
