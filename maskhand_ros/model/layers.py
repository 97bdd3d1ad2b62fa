"""Building blocks shared by the tokenizer, the context and the synthesizer. All are pre-norm."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualMLP(nn.Module):
    """x + MLP(norm(x)) over the last dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


class Attention(nn.Module):
    """Multi-head attention of queries (B, N, d) to a memory (B, M, d), or to themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        key, value = self.key_value(x if memory is None else memory).chunk(2, -1)
        # Spelled out: torch's fused attention is slower than this at some ten tokens, above all backwards in
        # bfloat16.
        query = self._split(self.query(x)) * (x.shape[-1] // self.heads) ** -0.5
        weights = (query @ self._split(key).transpose(2, 3)).softmax(-1)
        return self.out((weights.to(value.dtype) @ self._split(value)).transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to a memory, feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x = x + self.self_attention(self.norms[0](x))
        x = x + self.cross_attention(self.norms[1](x), memory)
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
