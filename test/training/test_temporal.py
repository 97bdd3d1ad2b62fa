"""The filter of tokens on digits whose truth is known, and the measures on errors that were put in."""

import numpy as np
import pytest

from maskhand_ros.commands.clip import read_clip
from maskhand_ros.training.temporal import lag, measure, watch
from maskhand_ros.training.token_filter import DIFFUSION, FLOOR, TokenFilter

LEVELS = np.arange(8)


def seen(level, spread):
    """Probabilities (1, 1, 8) of a picture that tells a digit to within `spread` steps."""
    weight = np.exp(-(((LEVELS - level) / spread) ** 2) / 2)
    return (weight / weight.sum())[None, None]


def mean(probability):
    return float(probability[0, 0] @ LEVELS)


def test_with_equal_trust_it_is_the_square_root_of_bayes_rule_in_a_chain():
    rng = np.random.default_rng(0)
    frames = rng.dirichlet(np.ones(8), 12)
    # The chain spelled out: every way from a level to a level, then the product, each to the power 1/2.
    step = np.array([[np.exp(-(((i - j) / DIFFUSION) ** 2) / 2) for j in LEVELS] for i in LEVELS])
    step = (1 - FLOOR) * step / step.sum(0) + FLOOR / 8
    expected, keep = frames[0], TokenFilter()
    keep(frames[0][None, None], np.ones(1))
    for frame in frames[1:]:
        expected = np.sqrt(frame * (step @ expected))
        expected /= expected.sum()
        np.testing.assert_allclose(keep(frame[None, None], np.full(1, 0.5))[0, 0], expected, atol=1e-9)


def test_a_trusted_frame_stands_alone_and_a_doubted_one_yields_to_the_past():
    keep = TokenFilter()
    first = seen(2, 0.5)
    np.testing.assert_array_equal(keep(first, np.full(1, 0.01)), first), 'the first frame has no past'
    for _ in range(10):
        held = keep(seen(6, 2.0), np.full(1, 0.01))
    assert mean(held) == pytest.approx(2, abs=0.6)
    np.testing.assert_allclose(keep(seen(6, 0.5), np.ones(1)), seen(6, 0.5), atol=1e-6)


def test_a_wrong_past_is_overcome_within_four_frames():
    keep = TokenFilter()
    keep(seen(0, 0.3), np.ones(1))
    path = [mean(keep(seen(7, 0.5), np.full(1, 0.2))) for _ in range(4)]
    assert path[0] < 4 and path[-1] > 6


def test_measures_tell_the_errors_that_were_put_in():
    rng, seconds = np.random.default_rng(1), np.arange(48) / 30
    truth = np.tile(60 * rng.standard_normal((21, 3)), (48, 1, 1))
    frames = np.arange(48)
    wrong, hidden = truth - truth[:, :1], ((frames >= 20) & (frames < 30)).astype(float)
    wrong[20:30] = 1.1 * wrong[20:30, :, [1, 2, 0]]  # a turn and a growth
    wrong[30:40, 8] += [0, 0, 21.0]
    figures = measure(wrong, truth, seconds, hidden)
    assert figures['PA onset'] == pytest.approx(0, abs=1e-6) and figures['root hidden'] > 20
    assert figures['root after'] == pytest.approx(1) and figures['PA after'] > 0.5
    assert measure(truth, truth, seconds, hidden)['shake'] == 0 < figures['shake']

    wave = np.sin(4 * np.pi * seconds)
    assert lag(seconds, np.sin(4 * np.pi * (seconds - 0.03)), wave) == pytest.approx(0.03, abs=0.003)


def test_the_first_frame_is_decoded_as_from_scratch_and_a_still_picture_stays_what_it_is():
    """Through the shipped networks: what is fused with itself is itself, in the order of the codebook."""
    rgb = next(iter(read_clip().frames()))
    scratch, fused = (watch([0.0, 0.03], [rgb, rgb], 'off', fused) for fused in (False, True))
    assert np.isfinite(scratch).all()
    np.testing.assert_allclose(fused, scratch, atol=0.05)
