"""The measures of `evaluate-video --offline` on labels with planted errors."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('moderngl', reason='needs the extra `train`')

from synthetic import K, hand  # noqa: E402

from maskhand_ros.evaluation.offline_table import Comparison, figures, measures  # noqa: E402
from maskhand_ros.geometry import Camera  # noqa: E402
from maskhand_ros.labelling.records import FrameLabels  # noqa: E402

SECONDS = np.arange(90) / 30


def labels(delay=0.0, factor=1.0, noise=0.0):
    """FrameLabels of the waving hand of `synthetic`, seen `delay` seconds late, `factor` times as far and as
    large, and with noise in m."""
    rng, frames = np.random.default_rng(0), []
    for number, second in enumerate(SECONDS):
        one = hand(second - delay)
        one.kp3d = factor * one.kp3d + noise * rng.standard_normal((21, 3))
        frames.append(FrameLabels(number, second, second, K, [one]))
    return frames


def test_planted_errors_are_measured():
    camera = Camera(K, 640, 480)
    shots = [SimpleNamespace(keypoints=hand(s).kp3d[None], second=s, camera=camera) for s in SECONDS]
    late, exact = measures(shots, labels(delay=0.02, noise=0.002), labels())
    assert abs(late.lag_ms - 20) < 1.5 and abs(exact.lag_ms) < 1.5
    assert max(exact.pa_mm, exact.root_mm, exact.wrist_mm, exact.jitter) < 1e-6 < 1 < late.jitter
    assert 2 < late.pa_mm < 3.5 and late.hands == exact.hands == 90
    large, _ = measures(shots, labels(factor=1.1), labels())
    assert large.pa_mm < 1e-6 and large.wrist_to_scale_mm < 1e-6
    _, rescaled = measures(shots, labels(), labels(factor=1.1), np.array([1 / 1.1]))
    assert max(rescaled.wrist_mm, rescaled.root_mm) < 1e-6
    distances = [np.linalg.norm(shot.keypoints[0, 0]) for shot in shots]
    assert abs(large.wrist_mm - 100 * np.mean(distances)) < 0.1

    def held(online, offline):
        return {f.name.partition(':')[0]: f.held for f in figures([Comparison('a', 'b', online, offline)])}

    assert all(held(late, exact).values())
    assert not held(exact, late)['PA error, mm'] and not held(exact, late)['lag offline, largest']
