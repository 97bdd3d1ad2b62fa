"""The metrics against independent implementations and against planted answers."""

import numpy as np
import pytest

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.training import metrics

scipy_linalg = pytest.importorskip('scipy.linalg')
scipy_spatial = pytest.importorskip('scipy.spatial')


@pytest.fixture
def hands():
    rng = np.random.default_rng(3)
    truth = rng.normal(scale=0.05, size=(21, 3)) + [0, 0, 0.4]
    moved = 1.7 * (truth + rng.normal(scale=0.004, size=truth.shape)) @ rotvec_to_matrix(
        [0.4, -1.0, 2.0]
    ).T + [1, 2, 3]
    return moved, truth


def test_pa_mpjpe_equals_freihand_script_way(hands):
    """The official script's way: centre, norm to one, orthogonal Procrustes, scale back."""
    predicted, truth = hands
    a, b = predicted - predicted.mean(0), truth - truth.mean(0)
    norm_a, norm_b = np.linalg.norm(a), np.linalg.norm(b)
    rotation, scale = scipy_linalg.orthogonal_procrustes(b / norm_b, a / norm_a)
    aligned = (a / norm_a) @ rotation.T * scale * norm_b + truth.mean(0)
    assert metrics.pa_mpjpe(predicted, truth) == pytest.approx(
        np.linalg.norm(aligned - truth, axis=1).mean(), rel=1e-9
    )
    _, _, disparity = scipy_spatial.procrustes(truth, predicted)
    errors = metrics.keypoint_errors(metrics.procrustes_align(predicted, truth), truth)
    assert (errors**2).sum() / norm_b**2 == pytest.approx(disparity, rel=1e-9)


def test_pa_mpjpe_does_not_mirror(hands):
    """A mirrored hand is the wrong hand: alignment must not turn it into the right one."""
    _, truth = hands
    assert metrics.pa_mpjpe(truth * [-1, 1, 1], truth) > 0.005


def test_mpjpe_takes_out_the_root_only(hands):
    _, truth = hands
    assert metrics.mpjpe(truth + [0.1, 0, 0.3], truth) == pytest.approx(0, abs=1e-12)
    shifted = truth.copy()
    shifted[1:] += [0.01, 0, 0]
    assert metrics.mpjpe(shifted, truth) == pytest.approx(0.01 * 20 / 21)


def test_relative_errors_and_pck_count_a_miss():
    truth = np.stack([np.linspace(0, 200, 21), np.linspace(0, 100, 21)], 1)
    valid = np.arange(21) < 20
    errors = metrics.relative_errors_2d(truth + [12, 0], truth, valid)
    assert errors[:20] == pytest.approx(12 / 190) and np.isnan(errors[20])
    missed = np.where(valid, np.inf, np.nan)
    assert metrics.pck([errors]) == {0.05: 0, 0.10: 1, 0.15: 1}
    assert metrics.pck([errors, missed]) == {0.05: 0, 0.10: 0.5, 0.15: 0.5}


def test_f_score_equals_kd_tree(hands):
    rng = np.random.default_rng(0)
    truth = rng.normal(scale=0.05, size=(500, 3)) + 5
    predicted = truth[:400] + rng.normal(scale=0.01, size=(400, 3))
    for distance in (0.005, 0.015):
        near = [
            (scipy_spatial.cKDTree(b).query(a)[0] < distance).mean()
            for a, b in ((predicted, truth), (truth, predicted))
        ]
        assert metrics.f_score(predicted, truth, distance) == pytest.approx(2 * near[0] * near[1] / sum(near))
    assert metrics.f_score(truth, truth + 1, 0.005) == 0


def test_auc_of_known_errors():
    assert metrics.auc(np.zeros(10), 0.05) == 1
    assert metrics.auc(np.full(10, 0.06), 0.05) == 0
    assert metrics.auc(np.random.default_rng(0).uniform(0, 0.05, 100_000), 0.05) == pytest.approx(
        0.5, abs=0.005
    )


def test_block_bootstrap_covers_and_is_wider_for_a_motion():
    """On an autoregressive motion the naive interval misses the mean too often; the block one does not."""
    rng = np.random.default_rng(5)
    covered = {1: 0, None: 0}
    for _ in range(100):
        noise = rng.normal(size=2 * 150)
        motion = np.zeros(len(noise))
        for i in range(1, len(noise)):
            motion[i] = 0.8 * motion[i - 1] + noise[i]
        for block in covered:
            low, high = metrics.block_bootstrap(motion, ['a'] * 150 + ['b'] * 150, block, rounds=300)
            covered[block] += low <= 0 <= high
    assert covered[1] < 65 and covered[None] > 78
    assert metrics.block_bootstrap([1.0], ['a']) is None
