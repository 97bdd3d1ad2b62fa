"""Stage 1: a hand pose as discrete tokens.

`HandTokenizer` is the paper's VQ-MANO (arXiv 2412.13393, section 3.1; what that leaves open is as in
TokenHMR, Dwivedi et al. 2024, for 16 joints and 64 tokens). `FingerTokenizer` is the compact model's: three
tokens for each finger, so that a finger that is hidden leaves the others' tokens alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import FINGER_JOINTS, FINGERS, TokenizerConfig
from .layers import ResidualMLP
from .quantizers import make_quantizer

IDENTITY_6D = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Tokenizer(nn.Module):
    """Pose (B, J, 6) to tokens and back; J is 15, or 16 with the global orientation first. Subclasses have
    `encode` (B, J, 6) -> (B, L, D), unbounded, and `decode` (B, L, D) -> (B, J, 6)."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.quantizer = make_quantizer(config)
        self.register_buffer('identity', torch.tensor(IDENTITY_6D), persistent=False)

    def digits(self, pose: Tensor) -> Tensor:
        """(B, J, 6) to the digits (B, L, groups) of its tokens. ValueError if J is not the tokenizer's."""
        if pose.shape[1] != self.config.joints:
            raise ValueError(f'a pose of {pose.shape[1]} joints for a tokenizer of {self.config.joints}')
        return self.quantizer.digits(self.encode(pose))

    def forward(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """The round trip (B, J, 6) -> tokens -> (B, J, 6), and the quantizer's own loss."""
        codes, loss = self.quantizer(self.encode(pose))
        return self.decode(codes), loss


class FingerTokenizer(Tokenizer):
    """One encoder and one decoder (MLPs) serve all fingers, told which by a one-hot vector.

    Tokens are in the order of the pose's fingers (MANO: index, middle, little, ring, thumb).
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        finger, code = 6 * FINGER_JOINTS, config.tokens // FINGERS * self.quantizer.dimensions
        self.encoder = self._mlp(finger, code)
        self.decoder = self._mlp(code, finger)
        self.register_buffer('one_hot', torch.eye(FINGERS), persistent=False)

    def _mlp(self, inputs: int, outputs: int) -> nn.Sequential:
        width = self.config.width
        return nn.Sequential(
            nn.Linear(inputs + FINGERS, width),
            *(ResidualMLP(width) for _ in range(self.config.blocks)),
            nn.LayerNorm(width),
            nn.Linear(width, outputs),
        )

    def _with_finger(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.one_hot.expand(x.shape[0], -1, -1)], -1)

    def encode(self, pose: Tensor) -> Tensor:
        fingers = (pose - self.identity).reshape(-1, FINGERS, FINGER_JOINTS * 6)
        codes = self.encoder(self._with_finger(fingers))
        return codes.reshape(-1, self.config.tokens, self.quantizer.dimensions)

    def decode(self, embeddings: Tensor) -> Tensor:
        per_finger = self.config.tokens // FINGERS * self.quantizer.dimensions
        fingers = embeddings.reshape(-1, FINGERS, per_finger)
        return (
            self.decoder(self._with_finger(fingers)).reshape(-1, FINGERS * FINGER_JOINTS, 6) + self.identity
        )


class _DilatedBlock(nn.Module):
    """x + two convolutions along the sequence, the first dilated."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


class _Resample(nn.Module):
    """A sequence (B, C, n) stretched to `length` by its nearest elements, then a convolution."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.convolution = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(nn.functional.interpolate(x, size=self.length)).relu()


class HandTokenizer(Tokenizer):
    """Convolutions along the 16 joints, stretched to twice the tokens and halved; the decoder mirrors it."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        width, tokens, joints = config.width, config.tokens, config.joints
        dilations = [3**k for k in range(config.blocks)]
        self.encoder = nn.Sequential(
            nn.Conv1d(6, width, 3, padding=1),
            nn.ReLU(),
            _Resample(width, tokens // 2),
            _Resample(width, tokens),
            _Resample(width, 2 * tokens),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            *(_DilatedBlock(width, dilation) for dilation in reversed(dilations)),
            nn.Conv1d(width, self.quantizer.dimensions, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(self.quantizer.dimensions, width, 3, padding=1),
            nn.ReLU(),
            *(_Resample(width, round(tokens + (joints - tokens) * k / 3)) for k in (1, 2, 3)),
            *(_DilatedBlock(width, dilation) for dilation in dilations),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, 6, 3, padding=1),
        )

    def encode(self, pose: Tensor) -> Tensor:
        return self.encoder((pose - self.identity).transpose(1, 2)).transpose(1, 2)

    def decode(self, embeddings: Tensor) -> Tensor:
        return self.decoder(embeddings.transpose(1, 2)).transpose(1, 2) + self.identity


def make_tokenizer(config: TokenizerConfig) -> Tokenizer:
    """The tokenizer that a configuration names. Raises ValueError for an unknown name."""
    kinds = {'finger': FingerTokenizer, 'hand': HandTokenizer}
    if config.kind not in kinds:
        raise ValueError(f"tokenizer kind '{config.kind}' is unknown: use {' or '.join(kinds)}")
    return kinds[config.kind](config)
