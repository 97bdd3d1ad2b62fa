"""The metrics against independent implementations and against planted answers."""

import numpy as np
import pytest

from maskhand_ros.evaluation import metrics
from maskhand_ros.geometry import rotvec_to_matrix

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
    aligned = official_align(truth, predicted)
    assert metrics.pa_mpjpe(predicted, truth) == pytest.approx(
        np.linalg.norm(aligned - truth, axis=1).mean(), rel=1e-9
    )
    _, _, disparity = scipy_spatial.procrustes(truth, predicted)
    errors = metrics.keypoint_errors(metrics.procrustes_align(predicted, truth), truth)
    assert (errors**2).sum() / ((truth - truth.mean(0)) ** 2).sum() == pytest.approx(disparity, rel=1e-9)


def test_pa_mpjpe_does_not_mirror(hands):
    """A mirrored hand is the wrong hand: alignment must not turn it into the right one."""
    _, truth = hands
    assert metrics.pa_mpjpe(truth * [-1, 1, 1], truth) > 0.005


def official_align(truth, predicted):
    """FreiHAND's eval.py, step by step."""
    a, b = predicted - predicted.mean(0), truth - truth.mean(0)
    norm_a, norm_b = np.linalg.norm(a), np.linalg.norm(b)
    rotation, scale = scipy_linalg.orthogonal_procrustes(b / norm_b, a / norm_a)
    return (a / norm_a) @ rotation.T * scale * norm_b + truth.mean(0)


def test_freihand_align_equals_the_official_script_even_where_it_mirrors(hands):
    predicted, truth = hands
    for source in (predicted, predicted * [-1, 1, 1]):
        aligned = metrics.freihand_align(source, truth)
        np.testing.assert_allclose(aligned, official_align(truth, source), atol=1e-9)
    mirrored = predicted * [-1, 1, 1]
    ours = metrics.keypoint_errors(metrics.freihand_align(mirrored, truth), truth).mean()
    assert ours < metrics.pa_mpjpe(mirrored, truth) / 2
    assert ours == pytest.approx(metrics.pa_mpjpe(predicted, truth), rel=1e-6)


def test_scale_translation_align(hands):
    _, truth = hands
    np.testing.assert_allclose(
        metrics.scale_translation_align(3 * truth + [1, 2, 3], truth), truth, atol=1e-12
    )
    turned = truth @ rotvec_to_matrix([0, 0, 1.0]).T
    aligned = metrics.scale_translation_align(turned, truth)
    np.testing.assert_allclose(aligned, turned - turned[0] + truth[0], atol=1e-12)


def test_known_root_and_scale_needs_only_pixels_and_relative_depth(hands):
    _, truth = hands
    K = np.array([[500, 0, 320], [0, 510, 240], [0, 0, 1.0]])
    image = truth @ K.T
    bone = np.linalg.norm(truth[10] - truth[9])
    points = metrics.known_root_and_scale(
        2.5 * truth - 1, image[:, :2] / image[:, 2:], K, truth[0, 2], bone_length=bone
    )
    np.testing.assert_allclose(points, truth, atol=1e-9)


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


def test_pck_is_the_mean_of_the_joints_shares():
    """HaMeR's definition, in loops: a joint that is labelled once weighs as much as one labelled always."""
    rng = np.random.default_rng(4)
    truth, predicted = rng.uniform(0, 100, (2, 30, 21, 2))
    valid = rng.random((30, 21)) < np.linspace(0.1, 1, 21)
    boxes = rng.uniform(300, 900, 30)
    errors = [metrics.relative_errors_2d(*row) for row in zip(predicted, truth, valid, boxes, strict=True)]
    for threshold, share in metrics.pck(errors).items():
        shares = []
        for joint in range(21):
            right = [
                np.hypot(*(predicted[i, joint] - truth[i, joint])) <= threshold * boxes[i]
                for i in range(30)
                if valid[i, joint]
            ]
            shares.append(sum(right) / len(right))
        assert share == pytest.approx(sum(shares) / 21)


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


def test_mean_auc_equals_the_official_script():
    """FreiHAND's EvalUtil: trapezoids under each keypoint's curve over the whole, then the mean."""
    errors = np.random.default_rng(1).gamma(2, 0.01, (40, 21)) * np.linspace(0.3, 2, 21)
    errors[:35, 3] = np.nan
    errors[:, 8] = np.nan
    thresholds = np.linspace(0, 0.05, 100)
    steps = np.diff(thresholds)
    areas = []
    for column in errors.T:
        labelled = column[~np.isnan(column)]
        if len(labelled):
            curve = np.array([np.mean(labelled <= threshold) for threshold in thresholds])
            areas.append((steps * (curve[1:] + curve[:-1]) / 2).sum() / steps.sum())
    assert len(areas) == 20
    assert metrics.mean_auc(errors, 0.05) == pytest.approx(np.mean(areas))
    means = [np.nanmean(column) for column in errors.T if not np.isnan(column).all()]
    assert metrics.mean_over_points(errors) == pytest.approx(np.mean(means))
    assert np.isnan(metrics.mean_auc(np.empty((0, 1)), 0.05))
    assert np.isnan(metrics.mean_over_points(np.full((3, 2), np.nan)))


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
