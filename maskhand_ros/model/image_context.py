"""Stage 2a of `paper`: an image and 2D pose cues as queries and maps for the synthesizer (arXiv 2412.13393,
section 3.2: ViT-H/16, a simple feature pyramid, a cross-attention head for shape and camera, a GCN on the 2D
pose).

Parameter names of the ViT are those of ViTPose and HaMeR, so that their backbones load as they are.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..network_contract import CUES
from .config import BETAS, MaskHandConfig, ViTConfig
from .context import CAMERA_START, Context
from .graph import LandmarkGraph

IMAGE_SHAPES = {name: CUES[name] for name in ('image', 'landmarks', 'presence')}
"""What `paper` reads of a crop: RGB 0..255, 2D landmarks px / 224 - 0.5, and whether there is a hand. In
training `presence` may be (21,), of each landmark."""

MISSING = 0.1
"""Presence under which the 2D pose, or a landmark of it, counts as not found."""
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet, which the backbones were trained with."""


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp, self.drop_path = _SelfAttention(width, heads), _Mlp(width), drop_path

    def _kept(self, x: Tensor) -> Tensor:
        """Stochastic depth: a branch is left out for some samples, and scaled up for the others."""
        if not self.training or self.drop_path == 0:
            return x
        kept = torch.rand(len(x), 1, 1, device=x.device) >= self.drop_path
        return x * kept / (1 - self.drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))


class ViT(nn.Module):
    """Images (B, 3, height, width), normalised, to a map (B, C, height / 16, width / 16)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.grid = config.height // config.patch, config.width // config.patch
        # ViTPose pads its patches by two pixels; the grid stays the same.
        self.patch_embed = nn.ModuleDict(
            {'proj': nn.Conv2d(3, config.dimensions, config.patch, config.patch, padding=2)}
        )
        self.pos_embed = nn.Parameter(
            torch.randn(1, 1 + self.grid[0] * self.grid[1], config.dimensions) * 0.02
        )
        drops = torch.linspace(0, config.drop_path, config.depth).tolist()
        self.blocks = nn.ModuleList(_Block(config.dimensions, config.heads, drop) for drop in drops)
        self.last_norm = nn.LayerNorm(config.dimensions, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed['proj'](images).flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            x = block(x)
        return self.last_norm(x).transpose(1, 2).unflatten(2, self.grid)


class Pyramid(nn.Module):
    """ViTDet's simple feature pyramid: one map (B, C, h, w) to maps (B, d, .., ..) four times, twice and once
    as fine; to the last alone without `multi_scale`."""

    def __init__(self, channels: int, width: int, multi_scale: bool = True) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(channels, width, 1)
        self.multi_scale = multi_scale
        if not multi_scale:
            return
        half, quarter = channels // 2, channels // 4
        self.fine = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, 2),
            nn.GroupNorm(1, half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, 2),
            nn.Conv2d(quarter, width, 1),
        )
        self.middle = nn.Sequential(nn.ConvTranspose2d(channels, half, 2, 2), nn.Conv2d(half, width, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if not self.multi_scale:
            return (self.coarse(x),)
        return self.fine(x), self.middle(x), self.coarse(x)


class _CrossLayer(nn.Module):
    """One query (B, 1, d) attends to a memory (B, M, d); then feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        parts = self.query(self.norms[0](x)), *self.key_value(memory).chunk(2, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.feed_forward(self.norms[1](x))


class ShapeHead(nn.Module):
    """Betas and camera (B, 13) by one query that attends to the coarse map (B, C, h, w)."""

    def __init__(self, channels: int, layers: int, width: int = 1024, heads: int = 8) -> None:
        super().__init__()
        self.memory = nn.Linear(channels, width)
        self.layers = nn.ModuleList(_CrossLayer(width, heads) for _ in range(layers))
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, BETAS + 3)
        nn.init.trunc_normal_(self.out.weight, std=0.002)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor((0.0,) * BETAS + CAMERA_START))

    def forward(self, x: Tensor) -> Tensor:
        memory = self.memory(x.flatten(2).transpose(1, 2))
        query = self.query + 0 * memory[:, :1]  # expand would fix the batch in the export
        for layer in self.layers:
            query = layer(query, memory)
        return self.out(self.norm(query[:, 0]))


class ImageContext(nn.Module):
    """A crop (shapes in `IMAGE_SHAPES`) to a Context."""

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        vit = config.vit
        self.backbone = ViT(vit)
        self.pyramid = Pyramid(vit.dimensions, config.width, config.multi_scale)
        self.shape_head = ShapeHead(vit.dimensions, config.shape_layers)
        self.graph = LandmarkGraph(3, config.width)
        self.missing = nn.Parameter(torch.randn(21, config.width) * 0.02)
        self.register_buffer('mean', torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer('std', torch.tensor(_STD)[:, None, None], persistent=False)

    def forward(self, cues: dict[str, Tensor]) -> Context:
        vit = self.config.vit
        image = cues['image'].float().permute(0, 3, 1, 2)
        image = F.interpolate(image, (vit.height, vit.height), mode='bilinear', align_corners=False)
        margin = (vit.height - vit.width) // 2
        image = image[..., margin : vit.height - margin]
        features = self.backbone((image - self.mean) / self.std)
        places = cues['landmarks'][..., :2] + 0.5
        x = (places[..., :1] * vit.height - margin) / vit.width
        found = cues['presence'][..., None]
        lost = (found < MISSING).to(x.dtype)
        if not self.config.pose_cues:
            lost = torch.ones_like(lost)
        # A landmark that was not found is nowhere: its place must not reach its neighbours in the graph.
        references = torch.cat([x, places[..., 1:]], -1) * (1 - lost) + 0.5 * lost
        nodes = self.graph(torch.cat([2 * references - 1, (found * (1 - lost)).expand(-1, 21, -1)], -1))
        nodes = nodes * (1 - lost) + self.missing * lost
        extra = nodes[:, :0]
        return Context(nodes, extra, references, self.shape_head(features), self.pyramid(features))


def load_backbone(model: ImageContext, path: Path) -> tuple[list[str], list[str]]:
    """Fill the ViT from a user's ViTPose or HaMeR checkpoint (.safetensors, or a .pth of tensors only).

    Returns the names that the file lacks and those that it has beyond. Raises ValueError where no name fits
    or a shape differs."""
    path = Path(path)
    if path.suffix == '.safetensors':
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location='cpu', weights_only=True)
        state = state.get('state_dict', state)
    prefix = 'backbone.' if any(name.startswith('backbone.') for name in state) else ''
    state = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    own = model.backbone.state_dict()
    if not own.keys() & state.keys():
        raise ValueError(f'{path} holds no ViT of ViTPose or HaMeR; its names are like {sorted(state)[:3]}')
    for name in own.keys() & state.keys():
        if own[name].shape != state[name].shape:
            raise ValueError(f'{path}: {name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}')
    missing, unexpected = model.backbone.load_state_dict(state, strict=False)
    return list(missing), list(unexpected)
