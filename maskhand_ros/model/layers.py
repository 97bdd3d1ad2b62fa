"""Building blocks shared by the tokenizer, the context and the synthesizer. All are pre-norm.

Shapes are written out but for the batch, so that the exported graph reshapes by constants: computing them
took a third of its time on a CPU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


def in_two_steps(inputs: int, rank: int, outputs: int) -> nn.Sequential:
    """A linear layer whose weights have a rank of `rank` at most. For one hand on a CPU the time of a large
    layer is that of reading its weights, and these are fewer."""
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs))


class ResidualMLP(nn.Module):
    """x + MLP(norm(x)) over the last dimension; its layers in two steps where there is a `rank`."""

    def __init__(self, width: int, rank: int | None = None) -> None:
        super().__init__()
        first, second = (
            in_two_steps(width, rank, width) if rank else nn.Linear(width, width) for _ in range(2)
        )
        self.net = nn.Sequential(nn.LayerNorm(width), first, nn.GELU(), second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


class Attention(nn.Module):
    """Multi-head self-attention of (B, N, d)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, width = int(x.shape[1]), int(x.shape[2])
        parts = self.query_key_value(x).reshape(-1, count, 3, self.heads, width // self.heads)
        query, key, value = (parts[:, :, part].transpose(1, 2) for part in range(3))
        # Spelled out: torch's fused attention is slower than this at some ten tokens, above all backwards in
        # bfloat16.
        scale = (width // self.heads) ** -0.5
        weights = (query * scale @ key.transpose(2, 3)).softmax(-1)
        return self.out((weights.to(value.dtype) @ value).transpose(1, 2).reshape(-1, count, width))


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention (Zhu et al. 2021) with grid_sample: queries (B, N, d) look at `points`
    places in each of `levels` maps, around a reference point of their own.

    Each head reads its own channels of the maps (B, d, H, W); places are offsets in pixels of each map.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        # At first the heads look in as many directions, each point a step farther.
        turn = 2 * math.pi * torch.arange(heads) / heads
        direction = torch.stack([turn.cos(), turn.sin()], -1)[:, None, None]
        steps = torch.arange(1, points + 1)[:, None] * direction
        with torch.no_grad():
            self.offsets.bias.copy_(steps.expand(heads, levels, points, 2).flatten())

    def forward(self, x: Tensor, reference: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """`reference` (B, N, 2): x, y in 0..1 of the image."""
        count, width = int(x.shape[1]), int(x.shape[2])
        split = (self.heads, self.levels, self.points)
        sizes = torch.tensor(
            [[[int(values.shape[3]), int(values.shape[2])]] for values in maps], device=x.device
        )
        offsets = self.offsets(x).reshape(-1, count, *split, 2).transpose(1, 2)  # (B, h, N, l, p, 2)
        # In single precision: bfloat16 would round a place to a 256th of the image.
        places = reference.float()[:, None, :, None, None] + offsets.float() / sizes
        places = 2 * places.reshape(-1, count, *split[1:], 2) - 1  # (B h, N, l, p, 2)
        weights = self.weights(x).reshape(-1, count, self.heads, self.levels * self.points).softmax(-1)
        weights = weights.transpose(1, 2).reshape(-1, 1, count, *split[1:]).float()  # (B h, 1, N, l, p)
        total: Any = 0.0
        for level, values in enumerate(maps):
            values = values.reshape(-1, width // self.heads, int(values.shape[2]), int(values.shape[3]))
            sampled = nn.functional.grid_sample(values.float(), places[:, :, level], align_corners=False)
            total = total + (sampled * weights[:, :, :, level]).sum(-1)  # (B h, d / h, N)
        return self.out(total.reshape(-1, width, count).transpose(1, 2).to(x.dtype))


class DecoderLayer(nn.Module):
    """Self-attention, deformable attention to the maps by some queries, feed-forward."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, heads)
        self.map_attention = DeformableAttention(width, heads, levels, points)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, looking: slice, reference: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """x (B, N, d); the queries `looking` look around `reference` (B, M, 2)."""
        x = x + self.self_attention(self.norms[0](x))
        seen = self.map_attention(self.norms[1](x[:, looking]), reference, maps)
        x = x + nn.functional.pad(seen, (0, 0, looking.start, int(x.shape[1]) - looking.stop))
        return x + self.feed_forward(self.norms[2](x))


class RefinementBlock(nn.Module):
    """One block of the paper's graph-based anatomical pose refinement over nodes (B, N, d).

    A graph convolution whose adjacency is learned (from the anatomical one given), then attention beside a
    convolution along the node order, then squeeze-and-excitation; each with a residual.
    """

    def __init__(self, width: int, heads: int, adjacency: Tensor) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.adjacency = nn.Parameter((adjacency + 0.02).log())
        self.graph = nn.Linear(width, width)
        self.attention = Attention(width, heads)
        self.convolution = nn.Conv1d(width, width, 3, padding=1, groups=heads)
        self.gate = nn.Sequential(
            nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.adjacency.softmax(-1) @ self.graph(self.norms[0](x))
        y = self.norms[1](x)
        x = x + self.attention(y) + self.convolution(y.transpose(1, 2)).transpose(1, 2)
        y = self.norms[2](x)
        return x + y * self.gate(y.mean(1, keepdim=True))
