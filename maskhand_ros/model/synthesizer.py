"""Stage 2b: the masked transformer that fills in pose tokens, with anatomical refinement before it and heads
after it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import skeleton
from .config import BETAS, FINGER_JOINTS, FINGERS, POSE_SIZE, MaskHandConfig
from .context import skeleton_adjacency
from .layers import DecoderLayer, RefinementBlock

LOG_VARIANCE_START = -9.2
"""(10 mm)^2 in metres, as a logarithm."""

LOG_VARIANCE_RANGE = (-14.0, -4.0)


class Synthesis(NamedTuple):
    """`logits` (B, L, D, levels) of each code dimension; the rest as the heads give them (see
    `Synthesizer`)."""

    logits: Tensor
    global_orient: Tensor
    betas: Tensor
    camera: Tensor
    log_variance: Tensor


def node_adjacency(tokens_per_finger: int) -> Tensor:
    """(N, N) for 21 landmarks, the pose tokens and two head queries: bones, and each finger's tokens with its
    landmarks."""
    tokens = FINGERS * tokens_per_finger
    adjacency = torch.eye(21 + tokens + 2)
    adjacency[:21, :21] = skeleton_adjacency()
    for finger in range(FINGERS):
        name = skeleton.JOINT_NAMES[1 + FINGER_JOINTS * finger].split('_')[0]
        points = [k for k, keypoint in enumerate(skeleton.KEYPOINT_NAMES) if keypoint.startswith(name)]
        own = list(range(21 + finger * tokens_per_finger, 21 + (finger + 1) * tokens_per_finger))
        for token in own:
            adjacency[token, points + own] = 1
            adjacency[points, token] = 1
    adjacency[-2:, :21] = 1
    return adjacency


def positive_scale(camera: Tensor) -> Tensor:
    """(log scale, tx, ty) (B, 3) to (scale, tx, ty)."""
    return torch.cat([camera[:, :1].exp(), camera[:, 1:]], 1)


class Synthesizer(nn.Module):
    """Memory, trunk and partly masked tokens to a distribution for every token, and the continuous
    parameters.

    The queries are [21 landmarks | L tokens | orientation | shape]. The refinement blocks mix all of them;
    then the landmarks go back into the memory and the others through the decoder layers. Outputs:
    global_orient (B, 6), betas (B, 10), camera (B, 3) as scale and offset (see `losses.project`),
    log_variance (B, 21, 2) of wrist-relative keypoints in m^2, across and along the viewing ray.
    """

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__()
        self.config = config
        levels, width, tokens = config.tokenizer.levels, config.width, config.tokenizer.tokens
        if len(set(levels)) != 1:
            raise ValueError(
                f'tokenizer levels {levels}: the factorised head needs the same count in each dimension'
            )
        self.embed = nn.Linear(len(levels), width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.embed_pose = nn.Linear(POSE_SIZE // FINGERS, width)
        self.embed_heads = nn.Linear(6 + BETAS + 3, 2 * width)
        self.position = nn.Parameter(torch.randn(tokens + 2, width) * 0.02)
        adjacency = node_adjacency(config.tokenizer.tokens_per_finger)
        self.refinement = nn.ModuleList(
            RefinementBlock(width, config.heads, adjacency) for _ in range(config.refinement_blocks)
        )
        self.layers = nn.ModuleList(DecoderLayer(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.token_head = nn.Linear(width, sum(levels))
        self.orient_head = nn.Linear(width, 6 + 3)
        self.shape_head = nn.Linear(width, BETAS)
        self.variance_head = nn.Linear(2 * width, 20 * 2)
        for head in (self.orient_head, self.shape_head, self.variance_head):
            nn.init.trunc_normal_(head.weight, std=0.002)
            nn.init.zeros_(head.bias)

    def forward(
        self, memory: Tensor, trunk: Tensor, embeddings: Tensor, mask: Tensor, keep_pose: Tensor | None = None
    ) -> Synthesis:
        """memory (B, C + 21, d), trunk (B, 109), embeddings (B, L, D) codes, mask (B, L) True where hidden.

        `keep_pose` (B,) False where the trunk's pose is withheld (training), so that the tokens cannot just
        copy it.
        """
        count, per_finger = self.config.tokenizer.tokens, self.config.tokenizer.tokens_per_finger
        pose, rest = trunk[:, :POSE_SIZE], trunk[:, POSE_SIZE:]
        pose = self.embed_pose(pose.unflatten(1, (FINGERS, -1)))
        if keep_pose is not None:
            pose = pose * keep_pose[:, None, None]
        tokens = torch.where(mask[..., None], self.mask_token, self.embed(embeddings))
        tokens = tokens + pose.repeat_interleave(per_finger, 1)
        heads = self.embed_heads(rest).unflatten(1, (2, self.config.width))
        x = torch.cat([memory[:, -21:], torch.cat([tokens, heads], 1) + self.position], 1)
        for block in self.refinement:
            x = block(x)
        memory, x = torch.cat([memory[:, :-21], x[:, :21]], 1), x[:, 21:]
        for layer in self.layers:
            x = layer(x, memory)
        x = self.norm(x)
        orient = self.orient_head(x[:, count])
        pooled = torch.cat([x[:, :count].mean(1), x[:, count]], -1)
        spread = (
            (LOG_VARIANCE_START + self.variance_head(pooled)).clamp(*LOG_VARIANCE_RANGE).unflatten(1, (20, 2))
        )
        wrist = 0 * spread[:, :1] + LOG_VARIANCE_RANGE[0]  # full_like would fix the batch in the export
        levels = self.config.tokenizer.levels
        return Synthesis(
            self.token_head(x[:, :count]).unflatten(-1, (len(levels), levels[0])),
            rest[:, :6] + orient[:, :6],
            rest[:, 6 : 6 + BETAS] + self.shape_head(x[:, count + 1]),
            positive_scale(rest[:, 6 + BETAS :] + orient[:, 6:]),
            torch.cat([wrist, spread], 1),
        )
