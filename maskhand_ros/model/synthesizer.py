"""Stage 2b: the masked transformer that fills in pose tokens, with graph-based anatomical refinement before
it and heads after it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import BETAS, FINGERS, POSE_SIZE, MaskHandConfig
from .context import Context
from .graph import query_adjacency, token_keypoints
from .layers import DecoderLayer, RefinementBlock
from .quantizers import make_quantizer
from .tokenizer import IDENTITY_6D

LOG_VARIANCE_START = -9.2
"""(10 mm)^2 in metres, as a logarithm."""

LOG_VARIANCE_RANGE = (-14.0, -4.0)
ORIENT_LOG_VARIANCE_START = -4.0
"""(0.14 rad)^2, as a logarithm."""
ORIENT_LOG_VARIANCE_RANGE = (-10.0, 2.0)


class Synthesis(NamedTuple):
    """`logits` (B, L, groups, size) of the tokens' digits, or with the head 'regression' `pose` (B, J,
    6), the other one None; `global_orient` (B, 6), None where the tokens hold it; `betas` (B, 10);
    `camera` (B, 3) as scale and offset (see `losses.project`); `log_variance` (B, 21, 2) of wrist-
    relative keypoints in m^2, across and along the viewing ray; `orient_log_variance` (B, 3) of the turn
    from `global_orient` to the true one about the camera's axes in rad^2, None where that is None."""

    logits: Tensor | None
    pose: Tensor | None
    global_orient: Tensor | None
    betas: Tensor
    camera: Tensor
    log_variance: Tensor
    orient_log_variance: Tensor | None


def positive_scale(camera: Tensor) -> Tensor:
    """(log scale, tx, ty) (B, 3) to (scale, tx, ty)."""
    return torch.cat([camera[:, :1].exp(), camera[:, 1:]], 1)


class Synthesizer(nn.Module):
    """A Context and partly masked tokens to a distribution for every token, and the continuous parameters.

    The queries are [21 nodes | L tokens | orientation, shape | extra]; the two in the middle only where the
    first regression has an orientation. Refinement blocks mix them; decoder layers let the tokens and those
    two look at the maps too, around the mean of the landmarks that they speak of plus a learned step.
    """

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        tokenizer, width = config.tokenizer, config.width
        quantizer = make_quantizer(tokenizer)
        self.groups, self.group_size = quantizer.groups, quantizer.group_size
        self.has_heads = tokenizer.kind == 'finger'
        further = 2 * self.has_heads + (config.context_tokens if config.vit is None else 0)
        self.embed = nn.Linear(quantizer.dimensions, width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.position = nn.Parameter(torch.randn(tokenizer.tokens + further, width) * 0.02)
        speaks = torch.cat([token_keypoints(tokenizer), torch.ones(2 * self.has_heads, 21)])
        self.looking = slice(21, 21 + len(speaks))
        self.register_buffer('speaks', speaks / speaks.sum(1, keepdim=True), persistent=False)
        self.step = nn.Linear(width, 2)
        nn.init.zeros_(self.step.weight)
        nn.init.zeros_(self.step.bias)
        adjacency = query_adjacency(tokenizer, further)
        self.refinement = nn.ModuleList(
            RefinementBlock(width, config.heads, adjacency) for _ in range(config.refinement_blocks)
        )
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.heads, config.map_levels, config.points) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        if config.head == 'tokens':
            self.token_head = nn.Linear(width, self.groups * self.group_size)
        elif config.head == 'regression':
            self.pose_head = nn.Linear(width * tokenizer.tokens // tokenizer.joints, 6)
            self.register_buffer('identity', torch.tensor(IDENTITY_6D), persistent=False)
        else:
            raise ValueError(f"head '{config.head}' is unknown: use 'tokens' or 'regression'")
        self.variance_head = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 2))
        small = [self.variance_head[-1], *([self.pose_head] if config.head == 'regression' else ())]
        if self.has_heads:
            self.embed_pose = nn.Linear(POSE_SIZE // FINGERS, width)
            self.embed_heads = nn.Linear(6 + BETAS + 3, 2 * width)
            self.orient_head, self.shape_head = nn.Linear(width, 6 + 3), nn.Linear(width, BETAS)
            self.orient_variance_head = nn.Sequential(
                nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 3)
            )
            small += [self.orient_head, self.shape_head, self.orient_variance_head[-1]]
        for head in small:
            nn.init.trunc_normal_(head.weight, std=0.002)
            nn.init.zeros_(head.bias)

    def forward(
        self, context: Context, codes: Tensor, mask: Tensor, keep_pose: Tensor | None = None
    ) -> Synthesis:
        """`codes` (B, L, D); `mask` (B, L) True where hidden. `keep_pose` (B,) False where the first
        regression's pose is withheld (training), so that the tokens cannot just copy it."""
        count = self.config.tokenizer.tokens
        tokens = torch.where(mask[..., None], self.mask_token, self.embed(codes))
        further = [context.extra]
        if self.has_heads:
            pose = self.embed_pose(context.first[:, :POSE_SIZE].reshape(-1, FINGERS, POSE_SIZE // FINGERS))
            if keep_pose is not None:
                pose = pose * keep_pose[:, None, None]
            tokens = tokens + pose.repeat_interleave(count // FINGERS, 1)
            further.insert(
                0, self.embed_heads(context.first[:, POSE_SIZE:]).reshape(-1, 2, self.config.width)
            )
        x = torch.cat([context.nodes, torch.cat([tokens, *further], 1) + self.position], 1)
        for block in self.refinement:
            x = block(x)
        with torch.autocast(x.device.type, enabled=False):
            references = self.speaks @ context.references.float().clamp(0, 1)
        references = references + 0.5 * self.step(x[:, self.looking]).float().tanh()
        for layer in self.layers:
            x = layer(x, self.looking, references, context.maps)
        x = self.norm(x)
        return Synthesis(
            *self._articulation(x[:, 21 : 21 + count]),
            *self._continuous(context.first, x[:, 21 + count :]),
            self._log_variance(x),
            self._orient_log_variance(x, 21 + count) if self.has_heads else None,
        )

    def _articulation(self, queries: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Logits, or the pose, from the token queries (B, L, d); each joint has L / J of them."""
        if self.config.head == 'tokens':
            logits = self.token_head(queries)
            return logits.reshape(-1, queries.shape[1], self.groups, self.group_size), None
        joints = queries.reshape(len(queries), self.config.tokenizer.joints, -1)
        return None, self.identity + self.pose_head(joints)

    def _continuous(self, first: Tensor, heads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Global orientation, betas and camera: the first regression's, changed by the head queries (B, 2+,
        d)."""
        if not self.has_heads:
            return None, first[:, :BETAS], positive_scale(first[:, BETAS:])
        first, orient = first[:, POSE_SIZE:], self.orient_head(heads[:, 0])
        return (
            first[:, :6] + orient[:, :6],
            first[:, 6 : 6 + BETAS] + self.shape_head(heads[:, 1]),
            positive_scale(first[:, 6 + BETAS :] + orient[:, 6:]),
        )

    def _log_variance(self, x: Tensor) -> Tensor:
        """From each keypoint's query and the mean of the others; the wrist is the origin and has none."""
        others = x[:, 21:].mean(1, keepdim=True).expand(-1, 20, -1)
        spread = LOG_VARIANCE_START + self.variance_head(torch.cat([x[:, 1:21], others], -1))
        spread = spread.clamp(*LOG_VARIANCE_RANGE)
        wrist = 0 * spread[:, :1] + LOG_VARIANCE_RANGE[0]  # full_like would fix the batch in the export
        return torch.cat([wrist, spread], 1)

    def _orient_log_variance(self, x: Tensor, query: int) -> Tensor:
        """From the orientation's query and the mean of all."""
        spread = self.orient_variance_head(torch.cat([x[:, query], x.mean(1)], -1))
        return (ORIENT_LOG_VARIANCE_START + spread).clamp(*ORIENT_LOG_VARIANCE_RANGE)
