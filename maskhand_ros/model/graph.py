"""The hand as a graph: 21 keypoints joined by bones, and the pose tokens of each finger with its
keypoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import skeleton
from .config import FINGER_JOINTS, FINGERS, TokenizerConfig


def skeleton_adjacency() -> Tensor:
    """(21, 21) 1 where two keypoints share a bone or are the same."""
    adjacency = torch.eye(21)
    first, second = torch.as_tensor(skeleton.KEYPOINT_EDGES).T
    adjacency[first, second] = adjacency[second, first] = 1
    return adjacency


def token_keypoints(config: TokenizerConfig) -> Tensor:
    """(L, 21) 1 where a token speaks of a keypoint: its finger's, or all where tokens are of the whole
    hand."""
    if config.kind == 'hand':
        return torch.ones(config.tokens, 21)
    fingers = [skeleton.JOINT_NAMES[1 + FINGER_JOINTS * finger].split('_')[0] for finger in range(FINGERS)]
    rows = [[float(name.startswith(finger)) for name in skeleton.KEYPOINT_NAMES] for finger in fingers]
    return torch.tensor(rows).repeat_interleave(config.tokens // FINGERS, 0)


def query_adjacency(config: TokenizerConfig, heads: int) -> Tensor:
    """(N, N) for [21 keypoints | L tokens | `heads` further queries]: bones, tokens with their keypoints and
    with the other tokens of the same finger; the further queries see all keypoints."""
    tokens = config.tokens
    speaks = token_keypoints(config)
    adjacency = torch.eye(21 + tokens + heads)
    adjacency[:21, :21] = skeleton_adjacency()
    if config.kind == 'finger':
        adjacency[21 : 21 + tokens, :21] = speaks
        adjacency[:21, 21 : 21 + tokens] = speaks.T
        adjacency[21 : 21 + tokens, 21 : 21 + tokens] = (speaks @ speaks.T > 0).float()
    adjacency[21 + tokens :, :21] = 1
    return adjacency


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
            x = x + nn.functional.gelu(self.adjacency @ graph(norm(x)))
        return x
