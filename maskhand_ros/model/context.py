"""Stage 2a of `compact`: the cues of one crop as queries and maps for the synthesizer, and a first answer.

A trunk (MLP) sees all cues at once and regresses a hand; a graph network over the skeleton turns the 21
landmarks, each with the image features at its place (the paper's pose-guided sampling), into 21 queries; the
feature maps are what the synthesizer looks at.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import BETAS, CUE_SHAPES, MAP_SHAPES, POSE_SIZE, TRUNK_SIZE, MaskHandConfig
from .graph import LandmarkGraph
from .layers import ResidualMLP, in_two_steps
from .rotation import matrix_to_rotation_6d
from .tokenizer import IDENTITY_6D

WRIST, INDEX, MIDDLE, LITTLE = 0, 5, 9, 17
CAMERA_START = (math.log(3.0), 0.09, 0.0)
"""log scale and offset (m) of a hand that fills the crop, fingers up: where the camera head starts."""
AT_LANDMARKS = ('map_131', 'map_142')
"""Maps that are fine enough to be read at the landmarks."""
LOOKED_AT = ('map_142', 'map_157')
"""Maps for the synthesizer, fine to coarse."""
SQUEEZED = {'map_142': 12, 'map_157': 32}
"""Channels to which the trunk squeezes maps that it reads whole."""


class Context(NamedTuple):
    """What a crop gives the synthesizer, once: `nodes` (B, 21, d); `extra` (B, C, d) further queries;
    `references` (B, 21, 2) places of the nodes, 0..1 of the image; `first` (B, F) a first regression
    (`compact`: hand pose, global orientation, betas, camera; `paper`: betas, camera); `maps` (B, d, H, W)
    each, fine to coarse."""

    nodes: Tensor
    extra: Tensor
    references: Tensor
    first: Tensor
    maps: tuple[Tensor, ...]


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


def at_points(values: Tensor, places: Tensor) -> Tensor:
    """Map (B, C, H, W) read at `places` (B, K, 2) in 0..1 of the image: (B, K, C); outside, its edge."""
    grid = (2 * places - 1)[:, :, None].to(values.dtype)
    sampled = nn.functional.grid_sample(values, grid, padding_mode='border', align_corners=False)
    return sampled.squeeze(-1).transpose(1, 2)


class CueContext(nn.Module):
    """Cues (shapes in `CUE_SHAPES`) to a Context."""

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        for name in ('global_feature', *MAP_SHAPES):
            channels = CUE_SHAPES[name][0]
            self.register_buffer(f'{name}_mean', torch.zeros(channels))
            self.register_buffer(f'{name}_std', torch.ones(channels))
        self.squeeze = nn.ModuleDict(
            {name: nn.Conv2d(MAP_SHAPES[name][0], n, 1) for name, n in SQUEEZED.items()}
        )
        looked_at = LOOKED_AT[-config.map_levels :]
        self.maps = nn.ModuleDict(
            {name: nn.Conv2d(MAP_SHAPES[name][0], config.width, 1) for name in looked_at}
        )
        node = sum(MAP_SHAPES[name][0] for name in AT_LANDMARKS) + 9
        squeezed = sum(n * math.prod(MAP_SHAPES[name][1:]) for name, n in SQUEEZED.items())
        width, rank = config.trunk_width, config.trunk_rank
        self.trunk_in = nn.Sequential(
            *in_two_steps(1152 + 1 + 1 + 7 + 21 * node + squeezed, rank, width), nn.Dropout(config.dropout)
        )
        self.trunk = nn.Sequential(
            *(ResidualMLP(width, rank) for _ in range(config.trunk_blocks)), nn.LayerNorm(width)
        )
        self.regress = nn.Linear(width, TRUNK_SIZE)
        start = torch.tensor(IDENTITY_6D * (POSE_SIZE // 6 + 1) + (0.0,) * BETAS + CAMERA_START)
        nn.init.trunc_normal_(self.regress.weight, std=0.002)
        with torch.no_grad():
            self.regress.bias.copy_(start)
        self.extra = in_two_steps(width, rank, config.context_tokens * config.width)
        self.graph = LandmarkGraph(node, config.width)

    @torch.no_grad()
    def set_statistics(self, cues: dict[str, Tensor]) -> None:
        """Take mean and spread of the image features from a sample of the training data."""
        for name in ('global_feature', *MAP_SHAPES):
            values = cues[name].float().transpose(0, 1).flatten(1)
            getattr(self, f'{name}_mean').copy_(values.mean(1))
            getattr(self, f'{name}_std').copy_(values.std(1).clamp_min(1e-2))

    def _standardised(self, cues: dict[str, Tensor], name: str) -> Tensor:
        mean, std = getattr(self, f'{name}_mean'), getattr(self, f'{name}_std')
        if name in MAP_SHAPES:
            mean, std = mean[:, None, None], std[:, None, None]
        return (cues[name] - mean) / std

    def forward(self, cues: dict[str, Tensor]) -> Context:
        feature = self._standardised(cues, 'global_feature')
        maps = {name: self._standardised(cues, name) for name in MAP_SHAPES}
        landmarks, world = cues['landmarks'], cues['world_landmarks']
        if not self.config.pose_cues:
            landmarks, world = 0 * landmarks, 0 * world
        references = landmarks[..., :2] + 0.5
        canonical, palm, length = palm_canonical(world)
        world = 10 * (world - world.mean(1, keepdim=True))
        seen = [at_points(maps[name], references) for name in AT_LANDMARKS]
        node = torch.cat([*seen, 2 * landmarks, world, canonical], -1)
        squeezed = [layer(maps[name]).flatten(1) for name, layer in self.squeeze.items()]
        flat = [feature, cues['presence'], cues['handedness'], palm, length + 2.3, node.flatten(1), *squeezed]
        hidden = self.trunk(self.trunk_in(torch.cat(flat, -1)))
        return Context(
            self.graph(node),
            self.extra(hidden).reshape(-1, self.config.context_tokens, self.config.width),
            references,
            self.regress(hidden),
            tuple(layer(maps[name]) for name, layer in self.maps.items()),
        )
