"""6D rotations in torch; `maskhand_ros.geometry` has the same in numpy."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_6d_to_matrix(sixd: Tensor) -> Tensor:
    """(..., 6), the first two columns one after the other, to rotation matrices (..., 3, 3) (Zhou et al.
    2019)."""
    first, second = sixd[..., :3], sixd[..., 3:]
    x = torch.nn.functional.normalize(first, dim=-1)
    y = torch.nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to their first two columns (..., 6)."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], -1)


def matrix_to_rotvec(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to axis-angle (..., 3) in radians; not to be differentiated near 0 and
    pi."""
    skew = (matrix - matrix.transpose(-1, -2))[..., [2, 0, 1], [1, 2, 0]] / 2
    sine = skew.norm(dim=-1, keepdim=True)
    cosine = (matrix.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    return skew * torch.atan2(sine, cosine) / sine.clamp_min(1e-6)


def rotvec_to_matrix(rotvec: Tensor) -> Tensor:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3)."""
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    return torch.matrix_exp(cross)
