"""Comparison of hypotheses drawn as tokens with as many draws of a regressor with a variance head, on
occluded keypoints."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from maskhand_ros.evaluation.uncertainty import axes_stddev, best_of, hand_energy_score

from ..hand_model.torch_hand import TorchHand
from ..model.maskhand import MaskHand, keypoints_of
from .calibrate import fit_factors
from .sources import Batch

DRAWS = 8


@torch.no_grad()
def deviations_of(model: MaskHand, hand: TorchHand, batches: Iterable[Batch]) -> np.ndarray:
    """Factors (21, 2) that calibrate the standard deviations of a model's variance head on `batches`."""
    errors, stddev = [], []
    for cues, truth in batches:
        parameters, out = model(cues)
        errors.append((keypoints_of(hand, parameters) - truth['keypoints']).cpu().double().numpy())
        stddev.append((out.log_variance / 2).exp().cpu().double().numpy())
    return fit_factors(np.concatenate(errors), np.concatenate(stddev))


@torch.no_grad()
def draw(
    model: MaskHand,
    hand: TorchHand,
    cues: dict[str, Tensor],
    factors: np.ndarray | None,
    generator: torch.Generator,
) -> np.ndarray:
    """DRAWS sets of keypoints (S, B, 21, 3), metres: hypotheses, or with the head 'regression' normal around
    its answer, every keypoint on its own, with its deviations times `factors`."""
    if model.config.head == 'tokens':
        context = model.context(cues)
        drawn = [keypoints_of(hand, model.draw(context, generator=generator)) for _ in range(DRAWS)]
        return torch.stack(drawn).cpu().double().numpy()
    parameters, out = model(cues)
    mean = keypoints_of(hand, parameters).cpu().double().numpy()
    stddev = axes_stddev((out.log_variance / 2).exp().cpu().double().numpy() * factors)
    return mean + stddev * torch.randn((DRAWS, *mean.shape), generator=generator).double().numpy()


def scores_of_draws(
    model: MaskHand,
    hand: TorchHand,
    batches: Iterable[Batch],
    factors: np.ndarray | None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """{'energy_mm', 'best_of_8_mm'} (N,) over the occluded keypoints of the hands that have some, the wrist
    left out: the energy score of the hand as a whole, and the mean error of the best draw."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[np.ndarray]] = {'energy_mm': [], f'best_of_{DRAWS}_mm': []}
    for cues, truth in batches:
        samples = 1e3 * draw(model, hand, cues, factors, generator)[:, :, 1:]
        target = 1e3 * truth['keypoints'].cpu().double().numpy()[:, 1:]
        hidden = truth['visible'].cpu().numpy()[:, 1:] == 0
        some = hidden.any(1)
        scores = hand_energy_score(samples, target, hidden), best_of(samples, target, hidden)
        for values, kept in zip(scores, found.values(), strict=True):
            kept.append(values[some])
    return {name: np.concatenate(values) for name, values in found.items()}
