"""The figures of retargeting, on hands whose figures are known."""

import numpy as np
import pytest

pytest.importorskip('mink', reason="needs pip install 'maskhand_ros[teleop]'")

from hands import posed  # noqa: E402

from maskhand_ros.evaluation import evaluate_teleop  # noqa: E402
from maskhand_ros.teleoperation import measures  # noqa: E402


def test_a_track_is_calibrated_and_scored():
    flat, bent = posed(), posed({'index': 40})
    frames = np.stack([bent] * 10 + [flat] * 30 + [bent] * 20)
    frames[35] = np.nan  # a frame without a hand
    track = evaluate_teleop.Track(frames, np.full(frames.shape[:2], 0.005))
    still = np.arange(60) >= 42
    found = evaluate_teleop.retarget(track, still, rate=30.0)
    assert found['calibrated at frame'] == 10 and found['frames'] == 59
    assert found['rest_stretches'] == 1 and found['rest_noise_degrees']['beside_line_median'] < 2
    assert 0 < found['tip_error_mm']['index'] < 30 and found['joint_speed_rad_s'] <= 7 + 1e-6


def test_a_missed_limit_is_said(capsys):
    track = evaluate_teleop.Track(np.repeat(posed()[None], 40, 0), np.full((40, 21), 0.005))
    found = evaluate_teleop.retarget(track, np.ones(40, bool), rate=30.0)
    found['pinch_gap_mm'] = {'mean': 2.0, 'p50': 1.0, 'p90': 2.5, 'frames': 4}
    found['retargeting_ms'] = {'p50': 1.0, 'p99': 2.0}
    assert evaluate_teleop.report_figures({'ours': found})
    found['pinch_gap_mm']['mean'] = 3.1
    assert not evaluate_teleop.report_figures({'ours': found})
    assert 'MISSED' in capsys.readouterr().out


def test_measures_of_known_motion():
    times = np.arange(300) / 30
    joints = np.deg2rad(np.stack([20 * times, 5 * times**3], 1))
    assert measures.joint_speed(joints[:, :1], times) == pytest.approx(np.deg2rad(20))
    assert measures.joint_jerk(joints[:, 1:], 1 / 30) == pytest.approx(np.deg2rad(30))
    noise = 0.1 * np.random.default_rng(1).standard_normal((300, 16))
    drift = 3 * times[:, None]
    found = measures.rest_noise(np.deg2rad(noise + drift), [slice(0, 100), slice(150, 300)])
    assert all(value == pytest.approx(0.1, rel=0.1) for value in found.values())


def test_stretches_of_rest_are_those_in_which_no_tip_moves():
    keypoints = np.zeros((60, 21, 3))
    keypoints[20:40, 8, 0] = np.linspace(0, 0.2, 20)
    keypoints[40:, 8, 0] = 0.2
    assert measures.still_stretches(keypoints, np.array([4, 8])) == [slice(0, 21), slice(39, 60)]
