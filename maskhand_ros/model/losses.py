"""Training losses. Geometry flows through the expected codes and the frozen tokenizer decoder; lengths in
metres."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskhand_ros.hand_model.torch_hand import TorchHand

from .maskhand import HandParameters
from .rotation import matrix_to_rotvec, rotation_6d_to_matrix

WEIGHTS = {
    'keypoints': 20.0,
    'articulation': 10.0,
    'pose': 0.5,
    'orient': 0.5,
    'betas': 0.02,
    'pixels': 3.0,
    'tokens': 0.15,
    'variance': 0.02,
    'orient_variance': 0.02,
}
"""Weight of each term; lengths are around 0.01, so theirs are large."""

LABEL_SMOOTHING = 0.02
VARIANCE_UNIT, ORIENT_VARIANCE_UNIT = 1e-4, 1e-2
"""(10 mm)^2 and (0.1 rad)^2: spreads of this size weigh as much as in an ordinary NLL."""


def project(keypoints: Tensor, camera: Tensor) -> Tensor:
    """Keypoints (B, 21, 3) through weak perspective (scale, tx, ty) (B, 3) to crop px / 224 - 0.5 (B, 21,
    2)."""
    return camera[:, None, :1] * (keypoints[..., :2] + camera[:, None, 1:])


def geometry_terms(
    hand: TorchHand, parameters: HandParameters, truth: dict[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """L1 terms (means over the batch) between parameters and truth, and the keypoints (B, 21, 3).

    `hand` is a TorchHand; `truth` has global_orient, hand_pose (matrices), betas, keypoints, keypoints_px (B,
    21, 2).
    """
    orient, pose = (
        rotation_6d_to_matrix(parameters.global_orient),
        rotation_6d_to_matrix(parameters.hand_pose),
    )
    keypoints = hand.keypoints(parameters.betas, orient, pose)
    in_wrist, true_in_wrist = keypoints @ orient, truth['keypoints'] @ truth['global_orient']
    pixels = project(keypoints, parameters.camera)
    return {
        'keypoints': F.l1_loss(keypoints, truth['keypoints']),
        'articulation': F.l1_loss(in_wrist, true_in_wrist),
        'pose': F.l1_loss(pose, truth['hand_pose']),
        'orient': F.l1_loss(orient, truth['global_orient']),
        'betas': F.l1_loss(parameters.betas, truth['betas']),
        # A landmark far outside the crop is a guess: its error is cut.
        'pixels': (pixels - truth['keypoints_px'] / 224 + 0.5).abs().clamp_max(0.5).mean(),
    }, keypoints


def token_loss(logits: Tensor, digits: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of tokens, the sum over code dimensions, where `counted` (B, L).

    logits (B, L, D, levels); digits (B, L, D) int64.
    """
    entropy = (
        F.cross_entropy(
            logits.flatten(0, 2), digits.flatten(), reduction='none', label_smoothing=LABEL_SMOOTHING
        )
        .view(digits.shape)
        .sum(-1)
    )
    return (entropy * counted).sum() / counted.sum().clamp_min(1)


def variance_loss(log_variance: Tensor, keypoints: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """beta-NLL with beta 0.5 (Seitzer et al. 2022) of wrist-relative keypoints; no gradient to the keypoints.

    log_variance (B, 21, 2) per axis across the viewing ray and along it, m^2; `counted` (B,) rows that count.
    """
    square = (keypoints - target).detach()[:, 1:].square()
    error = torch.stack([square[..., :2].mean(-1), square[..., 2]], -1)
    return _beta_nll(log_variance[:, 1:], error, VARIANCE_UNIT, counted)


def orient_variance_loss(log_variance: Tensor, orient: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """beta-NLL of the turn about the camera's axes from `orient` (B, 6) to the matrices `target` (B, 3, 3);
    no gradient to the orientation.

    log_variance (B, 3), rad^2; `counted` (B,) rows that count.
    """
    turn = matrix_to_rotvec(target @ rotation_6d_to_matrix(orient).detach().transpose(1, 2))
    return _beta_nll(log_variance, turn.square(), ORIENT_VARIANCE_UNIT, counted)


def _beta_nll(log_variance: Tensor, square: Tensor, unit: float, counted: Tensor) -> Tensor:
    """Mean over `counted` rows (B,) of squared errors (B, ...) under their log variances, beta 0.5."""
    variance = log_variance.exp()
    loss = 0.5 * (log_variance + square / variance) * (variance.detach() / unit).sqrt()
    return (loss.flatten(1).mean(1) * counted).sum() / counted.sum().clamp_min(1)


def weighted(terms: dict[str, Tensor]) -> Tensor:
    """The sum of the terms with their WEIGHTS."""
    return sum(WEIGHTS[name] * value for name, value in terms.items())
