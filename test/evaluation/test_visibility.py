"""Figures of visibility and of the variance of landmarks, against counting and against known noise."""

from __future__ import annotations

import numpy as np
import pytest

from maskhand_ros.evaluation.visibility import (
    average_precision,
    f1_score,
    variance_figures,
    visibility_figures,
)


def by_counting(score: np.ndarray, positive: np.ndarray) -> float:
    """Average precision as its definition says: at each threshold, precision times the gain in recall."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        said = score >= threshold
        hits = (said & positive).sum()
        total += hits / said.sum() * (hits / positive.sum() - recall)
        recall = hits / positive.sum()
    return total


def test_average_precision_is_that_of_its_definition_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        score, positive = rng.integers(0, 6, 30) / 5, rng.random(30) < 0.4
        assert average_precision(score, positive) == pytest.approx(by_counting(score, positive))
    assert average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])) == 1
    assert np.isnan(average_precision(np.ones(3), np.zeros(3, bool)))


def test_visibility_figures_tell_visible_from_hidden() -> None:
    visible = np.random.default_rng(1).random((400, 21)) < 0.8
    perfect = visibility_figures(visible.astype(float), visible)
    assert (
        perfect['visible_map'] == perfect['hidden_map'] == perfect['visible_f1'] == perfect['hidden_f1'] == 1
    )
    blind = visibility_figures(np.full((400, 21), 0.7), visible)  # says nothing
    assert blind['visible_map'] == pytest.approx(blind['visible_share'], abs=0.02)
    assert blind['hidden_map'] == pytest.approx(1 - blind['visible_share'], abs=0.02)
    assert blind['hidden_f1'] == 0 and blind['visible_f1'] == pytest.approx(2 * 0.8 / 1.8, abs=0.02)
    assert f1_score(np.array([True, True, False, False]), np.array([True, False, True, False])) == 0.5


def test_variance_figures_of_noise_with_the_stated_variance_hold() -> None:
    rng = np.random.default_rng(2)
    stddev = np.exp(rng.normal(1, 0.7, (3000, 21)))
    off = stddev[..., None] * rng.standard_normal((3000, 21, 2))
    visible = rng.random((3000, 21)) < 0.7
    figures = variance_figures(off, stddev, visible)
    for name in ('all', 'visible', 'hidden'):
        assert figures[f'{name}_coverage_68'] == pytest.approx(0.68, abs=0.01)
        assert figures[f'{name}_coverage_95'] == pytest.approx(0.95, abs=0.005)
        assert figures[f'{name}_nll_gain_nats_per_axis'] > 0.2
    half = variance_figures(off, stddev / 2, visible)
    assert half['all_coverage_95'] == pytest.approx(0.673, abs=0.01)  # within 0.98 standard deviations
    assert 'hidden_coverage_68' not in variance_figures(off, stddev, np.ones_like(visible))
