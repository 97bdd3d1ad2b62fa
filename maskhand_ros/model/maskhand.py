"""MaskHand as one module: cues of a crop to a hand, through a frozen tokenizer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import POSE_SIZE, MaskHandConfig
from .context import Context
from .sampling import decode_expected
from .synthesizer import Synthesis, Synthesizer, positive_scale
from .tokenizer import FingerTokenizer


class HandParameters(NamedTuple):
    """A right hand in the crop camera's frame: hand_pose (B, 15, 6), global_orient (B, 6), betas (B, 10),
    camera (B, 3)."""

    hand_pose: Tensor
    global_orient: Tensor
    betas: Tensor
    camera: Tensor


class MaskHand(nn.Module):
    """`context` runs once per crop; `synthesizer` once per iteration; `tokenizer` is trained before and
    frozen."""

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = FingerTokenizer(config.tokenizer).requires_grad_(False)
        self.context = Context(config)
        self.synthesizer = Synthesizer(config)

    def train(self, mode: bool = True) -> MaskHand:
        super().train(mode)
        self.tokenizer.eval()
        return self

    @torch.no_grad()
    def forward(self, cues: dict[str, Tensor], iterations: int = 1) -> tuple[HandParameters, Synthesis]:
        """The point estimate for cues (shapes in `config.CUE_SHAPES`), and the last step's outputs."""
        memory, trunk = self.context(cues)
        shape = self.config.tokenizer
        codes, out = decode_expected(
            lambda codes, mask: self.synthesizer(memory, trunk, codes, mask),
            len(trunk),
            shape.tokens,
            len(shape.levels),
            iterations,
            device=trunk.device,
        )
        return HandParameters(self.tokenizer.decode(codes), out.global_orient, out.betas, out.camera), out

    @staticmethod
    def regressed(trunk: Tensor) -> HandParameters:
        """The trunk's own answer (B, 109), without tokens."""
        return HandParameters(
            trunk[:, :POSE_SIZE].unflatten(1, (-1, 6)),
            trunk[:, POSE_SIZE : POSE_SIZE + 6],
            trunk[:, POSE_SIZE + 6 : -3],
            positive_scale(trunk[:, -3:]),
        )
