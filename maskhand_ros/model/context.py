"""Stage 2a: the cues of one crop as a memory for the synthesizer, and a first regressed answer.

A trunk (MLP) sees all cues at once; a graph network over the hand's skeleton turns the 21 landmarks, each
with the image features sampled at its place (the paper's pose-guided sampling, with the sampling done in
advance), into 21 tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .. import skeleton
from .config import BETAS, CUE_SHAPES, FEATURES, POSE_SIZE, TRUNK_SIZE, MaskHandConfig
from .layers import ResidualMLP
from .rotation import matrix_to_rotation_6d
from .tokenizer import IDENTITY_6D

WRIST, INDEX, MIDDLE, LITTLE = 0, 5, 9, 17
CAMERA_START = (math.log(3.0), 0.09, 0.0)
"""log scale and offset (m) of a hand that fills the crop, fingers up: where the camera head starts."""


def skeleton_adjacency() -> Tensor:
    """(21, 21) 1 where two keypoints share a bone or are the same."""
    adjacency = torch.eye(21)
    first, second = torch.as_tensor(skeleton.KEYPOINT_EDGES).T
    adjacency[first, second] = adjacency[second, first] = 1
    return adjacency


def palm_canonical(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """3D landmarks (B, 21, 3) as the palm sees them: (B, 21, 3) in palm lengths, palm rotation (B, 6), log
    length (B, 1).

    With turn and size taken out, the articulation that MediaPipe's own 3D sees is nearly linear in these
    numbers.
    """
    centred = points - points[:, WRIST : WRIST + 1]
    forward = centred[:, MIDDLE]
    length = forward.norm(dim=-1, keepdim=True).clamp_min(1e-3)
    x = forward / length
    side = centred[:, INDEX] - centred[:, LITTLE]
    y = nn.functional.normalize(side - (side * x).sum(-1, keepdim=True) * x, dim=-1)
    rotation = torch.stack([x, y, torch.linalg.cross(x, y)], -1)
    return centred @ rotation / length[..., None], matrix_to_rotation_6d(rotation), length.log()


class LandmarkGraph(nn.Module):
    """Node features (B, 21, F) to tokens (B, 21, d): two graph convolutions on the fixed skeleton."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        adjacency = skeleton_adjacency()
        degree = adjacency.sum(1).rsqrt()
        self.register_buffer('adjacency', adjacency * degree[:, None] * degree, persistent=False)
        self.embed = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, width))
        self.position = nn.Parameter(torch.randn(21, width) * 0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.graphs = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        x = self.embed(features) + self.position
        for norm, graph in zip(self.norms, self.graphs, strict=True):
            x = x + torch.nn.functional.gelu(self.adjacency @ graph(norm(x)))
        return x


class Context(nn.Module):
    """Cues (shapes in `CUE_SHAPES`) to memory (B, C + 21, d) and trunk (B, 109).

    The memory's last 21 tokens are the landmarks; the trunk holds hand pose, global orientation, betas,
    camera.
    """

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        for name in FEATURES:
            size = CUE_SHAPES[name][-1]
            self.register_buffer(f'{name}_mean', torch.zeros(size))
            self.register_buffer(f'{name}_std', torch.ones(size))
        inputs = sum(math.prod(shape) for shape in CUE_SHAPES.values()) + 63 + 6 + 1
        width = config.trunk_width
        self.trunk_in = nn.Sequential(nn.Linear(inputs, width), nn.Dropout(config.dropout))
        self.trunk = nn.Sequential(
            *(ResidualMLP(width) for _ in range(config.trunk_blocks)), nn.LayerNorm(width)
        )
        self.regress = nn.Linear(width, TRUNK_SIZE)
        start = torch.tensor(IDENTITY_6D * (POSE_SIZE // 6 + 1) + (0.0,) * BETAS + CAMERA_START)
        nn.init.trunc_normal_(self.regress.weight, std=0.002)
        with torch.no_grad():
            self.regress.bias.copy_(start)
        self.tokens = nn.Linear(width, config.context_tokens * config.width)
        self.graph = LandmarkGraph(112 + 80 + 9, config.width)
        self.norm = nn.LayerNorm(config.width)

    @torch.no_grad()
    def set_statistics(self, cues: dict[str, Tensor]) -> None:
        """Take mean and spread of the image features from a sample of the training data."""
        for name in FEATURES:
            values = cues[name].float().flatten(0, -2)
            getattr(self, f'{name}_mean').copy_(values.mean(0))
            getattr(self, f'{name}_std').copy_(values.std(0).clamp_min(1e-2))

    def forward(self, cues: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        feature, f142, f131 = (
            (cues[name] - getattr(self, f'{name}_mean')) / getattr(self, f'{name}_std') for name in FEATURES
        )
        world = cues['world_landmarks']
        canonical, palm, length = palm_canonical(world)
        world = 10 * (world - world.mean(1, keepdim=True))
        landmarks = 2 * cues['landmarks']
        flat = [
            feature,
            cues['presence'],
            cues['handedness'],
            palm,
            length + 2.3,
            *(x.flatten(1) for x in (landmarks, world, canonical, f142, f131)),
        ]
        hidden = self.trunk(self.trunk_in(torch.cat(flat, -1)))
        tokens = self.tokens(hidden).unflatten(1, (self.config.context_tokens, self.config.width))
        nodes = self.graph(torch.cat([f142, f131, landmarks, world, canonical], -1))
        return self.norm(torch.cat([tokens, nodes], 1)), self.regress(hidden)
