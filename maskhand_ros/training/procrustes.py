"""Procrustes alignment of batches in torch; `geometry.procrustes_align` is the same for one set of points."""

from __future__ import annotations

import torch
from torch import Tensor


def aligned_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance (B,) of points (B, N, 3) after the best similarity transform: PA-MPJPE or PA-MPVPE."""
    a, b = predicted - predicted.mean(1, keepdim=True), target - target.mean(1, keepdim=True)
    u, s, vt = torch.linalg.svd(a.transpose(1, 2) @ b)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.linalg.det(u @ vt).sign()
    scale = (s * sign).sum(1) / a.square().sum((1, 2)).clamp_min(1e-9)
    return (scale[:, None, None] * a @ (u * sign[:, None]) @ vt - b).norm(dim=-1).mean(1)
