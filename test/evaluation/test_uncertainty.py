"""Scores of stated uncertainty against closed forms and scipy; calibration against a planted one."""

import json

import model_json
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.data_engine.shards import pack_map
from maskhand_ros.errors import ModelError
from maskhand_ros.evaluation import uncertainty, uncertainty_report
from maskhand_ros.evaluation.placed_shards import PlacedShards
from maskhand_ros.evaluation.uncertainty_predictions import Predictions, shard_batches
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.calibration import (
    CONFIDENCE_BELOW,
    EXCESS_MISFIT,
    TYPICAL,
    TYPICAL_MISFIT,
    Calibration,
    confidence_features,
)
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.reconstructor import HandPrediction, Reconstructor
from maskhand_ros.perception.weights import SHIPPED, verify_weights
from maskhand_ros.shard_schema import CUE_SHARD, SCALES
from maskhand_ros.training import calibrate

stats = pytest.importorskip('scipy.stats')


def test_rank_correlation_likelihood_and_coverage_equal_scipy():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 9, 300)  # many ties
    b = a + rng.integers(0, 9, 300)
    assert uncertainty.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert np.isnan(uncertainty.spearman(a, np.ones(300)))
    keep = rng.random((300, 2)) < 0.7
    each = [stats.spearmanr(a[m], b[m]).statistic for m in keep.T]
    both = uncertainty.within_keypoint_spearman(np.stack([a, a], 1), np.stack([b, b], 1), keep)
    assert both == pytest.approx(np.mean(each))
    error, stddev = rng.standard_normal(300), rng.uniform(0.1, 3, 300)
    assert uncertainty.gaussian_nll(error, stddev) == pytest.approx(-stats.norm.logpdf(error, 0, stddev))
    for half_width, share in ((uncertainty.Z68, 0.68), (uncertainty.Z95, 0.95)):
        assert stats.norm.cdf(half_width) - stats.norm.cdf(-half_width) == pytest.approx(share, abs=1e-6)
        grid = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
        assert uncertainty.coverage(grid, half_width) == pytest.approx(share, abs=1e-3)


def test_gain_over_a_constant_is_that_of_knowing_which_hands_are_hard():
    rng = np.random.default_rng(0)
    stddev = np.tile(rng.choice([1.0, 3.0], (20_000, 1, 1)), (1, 2, 3))
    error = stddev * rng.standard_normal(stddev.shape)
    known = np.log(np.sqrt((1 + 9) / 2)) - np.log(3) / 2
    assert uncertainty.nll_gain(error, stddev) == pytest.approx(known, abs=0.01)
    masked = stddev[..., 0] > 0
    masked[:, 1] = False  # an absurd deviation where nobody looks changes nothing
    absurd = np.where(np.arange(2)[:, None] == 1, 1e-6, stddev)
    assert uncertainty.nll_gain(error, absurd, masked) == pytest.approx(known, abs=0.015)
    assert uncertainty.nll_gain(error, np.full_like(stddev, 5)) < 0


def test_dropping_the_least_certain_leaves_the_rest():
    error = np.array([1.0, 2, 3, 4, 10])
    assert uncertainty.error_without_least_certain(error, error) == 2.5
    assert uncertainty.error_without_least_certain(error, -error) == np.mean([2, 3, 4, 10])


def test_energy_score_is_the_closed_form_of_a_gaussian_and_proper():
    """On a line the energy score is the CRPS (Gneiting and Raftery 2007, eq. 21)."""
    rng = np.random.default_rng(0)
    y, sigma = 0.7, 1.5
    truth = np.zeros((4000, 1, 3))
    truth[..., 0] = y
    samples = np.zeros((8, *truth.shape))
    samples[..., 0] = sigma * rng.standard_normal((8, 4000, 1))
    z = y / sigma
    crps = sigma * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert uncertainty.energy_score(samples, truth).mean() == pytest.approx(crps, rel=0.02)
    truth = rng.standard_normal((4000, 1, 3))
    score = {
        spread: uncertainty.energy_score(spread * rng.standard_normal((8, 4000, 1, 3)), truth).mean()
        for spread in (0.5, 1.0, 2.0)
    }
    assert score[1.0] < min(score[0.5], score[2.0])


def test_best_of_is_one_choice_a_hand_over_the_keypoints_that_count():
    rng = np.random.default_rng(0)
    samples, truth, mask = rng.random((4, 6, 5, 3)), rng.random((6, 5, 3)), rng.random((6, 5)) < 0.6
    mask[2] = False
    expected = [
        min(np.linalg.norm(hand[n][mask[n]] - truth[n][mask[n]], axis=1).mean() for hand in samples)
        if mask[n].any()
        else np.nan
        for n in range(6)
    ]
    assert uncertainty.best_of(samples, truth, mask) == pytest.approx(np.array(expected), nan_ok=True)
    drawn = uncertainty.gaussian_samples(truth, np.full((6, 5, 2), [1.0, 4.0]), 5000, rng) - truth
    assert drawn.std((0, 1, 2)) == pytest.approx([1, 1, 4], rel=0.02)


def _made(count=6000, seed=0, informative_samples=False, power=1.0):
    """Predictions whose errors are Gaussian with known factors on a power of the stated deviations, and the
    factors."""
    rng = np.random.default_rng(seed)
    factors = np.exp(0.5 * rng.standard_normal((21, 2)))
    hard = np.exp(0.6 * rng.standard_normal((count, 1, 1)))
    stddev = 0.006 * hard * rng.uniform(0.8, 1.2, (count, 21, 2))
    true = factors * TYPICAL * (stddev / TYPICAL) ** power
    error = uncertainty.axes_stddev(true) * rng.standard_normal((count, 21, 3))
    error[:, 0] = 0
    samples = None
    if informative_samples:  # the head says nothing, the samples all
        samples = uncertainty.axes_stddev(stddev) * rng.standard_normal((16, count, 21, 3))
        stddev = np.full_like(stddev, 1e-4)
    truth = np.zeros((count, 21, 3))
    return Predictions(truth, error, stddev, np.ones(count), rng.uniform(0.2, 1, count), samples), factors


@pytest.mark.parametrize('power', [1.0, 1.3])
def test_calibration_restores_a_known_scale_and_states_true_probabilities(power):
    hands, factors = _made(power=power)
    calibration, results = calibrate.choose(hands)
    assert calibration.power == pytest.approx(power)
    assert calibration.samples == 0 and list(results) == ['head']
    assert calibration.lateral[1:] == pytest.approx(factors[1:, 0], rel=0.05)
    assert calibration.depth[1:] == pytest.approx(factors[1:, 1], rel=0.06)
    other = _made(seed=0, count=9000, power=power)[0].rows(slice(6000, None))
    for measured in (results['head'], calibrate.judge(calibration, other)):
        for axis in ('lateral', 'depth'):
            assert measured[f'{axis}_coverage_68'] == pytest.approx(0.68, abs=0.01)
            assert measured[f'{axis}_coverage_95'] == pytest.approx(0.95, abs=0.01)
        assert measured['confidence_calibration_error'] < 0.03
    confidence = calibration.probability(calibration.stddev(other.stddev), other.presence)
    good = calibrate.hand_errors(other) < CONFIDENCE_BELOW
    assert 0.1 < good.mean() < 0.9 and confidence.mean() == pytest.approx(good.mean(), abs=0.03)
    assert confidence[good].mean() > confidence[~good].mean() + 0.4


def test_a_misfit_that_tells_of_errors_lowers_the_confidence():
    rng = np.random.default_rng(3)
    hands, _ = _made(8000)
    hands.misfit = 0.05 * np.exp(0.5 * rng.standard_normal(8000))
    # The published hand is wrong where it misses its landmarks, whatever the network states.
    odds = (TYPICAL_MISFIT / hands.misfit) * (EXCESS_MISFIT / np.maximum(hands.misfit, EXCESS_MISFIT)) ** 5
    good = rng.random(8000) < odds / (1 + odds)
    hands.published_error = np.where(good, 0.01, 0.03)[:, None, None] * np.ones((8000, 21, 3)) / np.sqrt(3)
    calibration, results = calibrate.choose(hands)
    assert calibration.misfit == pytest.approx([-1, -5], rel=0.25)
    assert results['head']['confidence_calibration_error'] < 0.03
    assert results['head']['confidence_auc'] == pytest.approx(
        uncertainty.rank_auc(-hands.misfit[1::2], good[1::2]), abs=0.02
    )
    again = Calibration.of({'calibration': json.loads(json.dumps(calibration.to_json()))})
    assert again.misfit == pytest.approx(calibration.misfit, abs=1e-4)
    stated = again.after_fit(np.full(8000, 0.5), hands.misfit)
    assert stated == pytest.approx(odds / (1 + odds), abs=0.1)


def test_auc_and_deciles_are_what_sorting_by_hand_gives():
    score, good = np.array([0.1, 0.4, 0.4, 0.8, 0.9]), np.array([False, True, False, True, True])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[good] for b in score[~good]]
    assert uncertainty.rank_auc(score, good) == pytest.approx(np.mean(pairs))
    assert np.isnan(uncertainty.rank_auc(score, np.ones(5, bool)))
    error = np.arange(20.0)
    assert uncertainty.error_by_decile(-error, error) == [
        18.5,
        16.5,
        14.5,
        12.5,
        10.5,
        8.5,
        6.5,
        4.5,
        2.5,
        0.5,
    ]
    assert len(uncertainty.error_by_decile(error[:4], error[:4])) == 4


def test_placed_shards_are_the_published_hands():
    """Exact cues of a bent hand give its true keypoints back, and hardly any misfit."""
    hand, rng = HandModel.load(), np.random.default_rng(0)
    pose = rotvec_to_matrix(rng.normal(0, 0.2, (1, 15, 3)))
    orient, focal, wrist = rotvec_to_matrix(np.array([[0.3, 1.5, 0.2]])), 700.0, np.array([0.02, 0.05, 0.6])
    truth = hand(np.zeros((1, 10)), orient, pose).keypoints
    points = truth[0] - truth[0, 0] + wrist
    pixels = focal * points[:, :2] / points[:, 2:] + 111.5
    cues = {
        'landmarks': np.concatenate([pixels / 224 - 0.5, np.zeros((21, 1))], 1)[None],
        'world_landmarks': truth,
        'presence': np.ones((1, 1)),
    }
    prediction = HandPrediction(
        *(orient, pose, np.zeros((1, 10)), np.zeros((1, 3)), truth - truth[:, :1]),
        *(np.ones((1, 16)), np.ones(1), np.full((1, 21, 2), 0.005)),
    )
    keypoints, misfit = PlacedShards(hand, hand)(prediction, cues, np.array([focal]))
    assert keypoints[0] == pytest.approx(truth[0] - truth[0, 0], abs=1e-3) and misfit[0] < 0.01
    prediction.hand_pose = np.tile(np.eye(3), (1, 15, 1, 1))
    assert PlacedShards(hand, hand)(prediction, cues, np.array([focal]))[1][0] > misfit[0]


def test_attainable_is_what_true_deviations_reach_and_wrong_ones_do_not():
    hands, _ = _made()

    def both(hands):
        report = uncertainty_report.report_on(hands)
        return [
            [report[name], report[f'{name}_attainable']]
            for name in ('hand_spearman', 'all_within_keypoint_spearman')
        ]

    for reached, attainable in both(hands):
        assert 0.3 < reached == pytest.approx(attainable, abs=0.02)
    hands.stddev = np.random.default_rng(1).permutation(hands.stddev)
    for reached, attainable in both(hands):
        assert reached < 0.05 and attainable > 0.3


def test_samples_are_taken_only_where_they_tell_something():
    telling, _ = _made(2000, informative_samples=True)
    calibration, results = calibrate.choose(telling)
    assert calibration.samples == 16 and len(results) == 2
    silent, _ = _made(2000)
    silent.samples = 1e-3 * np.random.default_rng(1).standard_normal((4, 2000, 21, 3))
    assert calibrate.choose(silent)[0].samples == 0


@pytest.fixture(scope='module')
def cues():
    """Cues of three crops without a hand."""
    crops = np.random.default_rng(0).integers(0, 255, (3, 224, 224, 3), np.uint8)
    return CueNetwork(SHIPPED / 'landmarks.onnx')(crops)


def write(weights, calibration):
    """Writes a calibration, or None, into model.json."""
    model_json.edit(weights, lambda description: description.update(calibration=calibration))


def test_reconstructor_applies_what_model_json_says(weights, cues):
    write(weights, None)
    plain = Reconstructor(weights, HandModel.load(), hypotheses=2)(cues)
    rng = np.random.default_rng(0)
    calibration = Calibration(*rng.uniform(0.5, 2, (2, 21)), 0, np.array([-18.0, -2, -2.3, 0.1]), 1.2)
    write(weights, calibration.to_json())
    scaled = Reconstructor(weights, HandModel.load(), hypotheses=2)(cues)
    factors = np.stack([calibration.lateral, calibration.depth], 1)
    stated = factors * TYPICAL * (plain.keypoint_stddev / TYPICAL) ** 1.2
    assert scaled.keypoint_stddev == pytest.approx(stated, rel=1e-3)
    assert scaled.hypotheses[1].keypoint_stddev.shape == (3, 21, 2)
    odds = confidence_features(scaled.keypoint_stddev, cues['presence']) @ calibration.confidence
    assert scaled.confidence == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-3)
    assert scaled.keypoints == pytest.approx(plain.keypoints)
    assert scaled.hypotheses[0].confidence == pytest.approx(plain.hypotheses[0].confidence)
    write(weights, {**calibration.to_json(), 'samples': 4})
    sampled = Reconstructor(weights, HandModel.load())(cues)
    assert (
        sampled.keypoint_stddev[:, 1:] > scaled.keypoint_stddev[:, 1:]
    ).all() and sampled.hypotheses is None
    for broken in (
        {'lateral': [1] * 21},
        {'lateral': [1] * 20, 'depth': [1] * 21},
        {'lateral': [0] * 21, 'depth': [1] * 21},
        {'lateral': [1] * 21, 'depth': [1] * 21, 'power': -1},
    ):
        write(weights, broken)
        with pytest.raises(ModelError, match='maskhand train calibrate'):
            Reconstructor(weights, HandModel.load())


def _write_shard(path, cues, count, seed, visible):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 3, count)
    pose = rotvec_to_matrix(rng.uniform(0, 1, (count, 15, 1)) * np.array([0, 0, 1.0]))
    orient, betas = rotvec_to_matrix(rng.standard_normal((count, 3))), rng.standard_normal((count, 10))
    truth = {
        'global_orient': orient,
        'hand_pose': pose,
        'betas': betas,
        'keypoints': HandModel.load()(betas, orient, pose, vertices=False).keypoints,
        'keypoints_px': rng.uniform(0, 224, (count, 21, 2)),
        'wrist': np.tile([0, 0, 0.5], (count, 1)),
        'focal': np.full(count, 600.0),
    }
    if visible:
        truth['visible'] = rng.random((count, 21)) < 0.7
    stored = {**{name: value[rows] for name, value in cues.items() if name in CUE_SHARD}, **truth}
    for name, scale in SCALES.items():
        stored[name], stored[scale] = pack_map(stored[name])
    np.savez(path, **{name: np.asarray(value, CUE_SHARD[name].dtype) for name, value in stored.items()})


def test_commands_calibrate_and_evaluate_on_shards(weights, cues, tmp_path, capsys):
    pytest.importorskip('torch')
    write(weights, None)
    for number in range(2):  # two shards a split
        _write_shard(tmp_path / f'cal-0-{number:04d}.npz', cues, 30, number, False)
        _write_shard(tmp_path / f'test_stress-0-{number:04d}.npz', cues, 30, 5 + number, True)
        _write_shard(tmp_path / f'test_camera-0-{number:04d}.npz', cues, 30, 9 + number, False)
    words = ['--data', str(tmp_path), '--weights', str(weights)]
    assert cli.main(['train', 'calibrate', *words, '--limit', '50', '--samples', '2']) == 0
    stored = verify_weights(weights)['calibration']
    assert stored['hands'] == 50 and len(stored['lateral']) == len(stored['depth']) == 21
    out = tmp_path / 'out.json'
    evaluate = [
        'train',
        'evaluate',
        *words,
        '--hypotheses',
        '3',
        '--iterations',
        '1',
        '3',
        '--json',
        str(out),
    ]
    assert cli.main(evaluate) == 0
    report = json.loads(out.read_text())
    stress, camera = report['test_stress'], report['test_camera']
    assert stress['samples'] == 60 and stress['visible_keypoints'] + stress['occluded_keypoints'] == 60 * 20
    assert not any(name.startswith('occluded') for name in camera)
    together = report['together']
    assert together['samples'] == 120 and not any(name.startswith('occluded') for name in together)
    assert together['error_mm'] == pytest.approx((stress['error_mm'] + camera['error_mm']) / 2)
    assert 'test_camera: the shards hold no `visible`' in capsys.readouterr().out
    assert stress['pa_mpjpe_mm@1'] == pytest.approx(stress['pa_mpjpe_mm'])
    low, high = stress['pa_mpjpe_mm@3_less_@1_interval95']
    assert low <= stress['pa_mpjpe_mm@3_less_@1'] <= high
    assert 0 < stress['pa_mpvpe_mm'] and 0 <= stress['occluded_depth_coverage_95'] <= 1
    low, high = stress['occluded_energy_score_hands_gain_interval95']
    assert low <= stress['occluded_energy_score_hands_gain'] <= high
    assert cli.main(['train', 'evaluate', *words, '--splits', 'nothing']) == 1
    assert 'Fix: maskhand train data' in capsys.readouterr().err
    read = np.concatenate(
        [part['global_feature'] for part, _ in shard_batches(tmp_path, 'cal', 45, batch=20)]
    )
    rows = np.concatenate([np.random.default_rng(seed).integers(0, 3, 30) for seed in range(2)])[:45]
    expected = cues['global_feature'][rows]
    assert read == pytest.approx(expected, abs=float(np.abs(expected).max()) / 127)


def test_the_energy_score_of_hands_sees_whether_keypoints_go_together():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.normal(size=(3000, 1, 3)), 20, 1)  # all keypoints of a hand err alike
    together = np.repeat(rng.normal(size=(8, 3000, 1, 3)), 20, 2)
    apart = rng.normal(size=(8, 3000, 20, 3))
    mask = np.ones((3000, 20), bool)
    mask[0] = False
    each = [uncertainty.hand_energy_score(draws, truth, mask) for draws in (together, apart)]
    assert np.isnan(each[0][0]) and np.isfinite(each[0][1:]).all()
    assert np.nanmean(each[0]) < 0.98 * np.nanmean(each[1])
    one = mask & (np.arange(20) == 3)  # of one keypoint it is the keypoint's own
    assert np.allclose(
        uncertainty.hand_energy_score(apart, truth, one)[1:], uncertainty.energy_score(apart, truth)[1:, 3]
    )
