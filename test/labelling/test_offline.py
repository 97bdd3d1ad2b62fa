"""Offline refinement on synthetic hands with truth: errors, delay, gaps, sides, sizes."""

import dataclasses

import numpy as np
import pytest
from synthetic import MODEL, RATE, K, clip, hand

from maskhand_ros.geometry import project
from maskhand_ros.labelling.fixed_interval import smooth
from maskhand_ros.labelling.offline import refine
from maskhand_ros.labelling.skeleton_fit import PREVIOUS_KEYPOINT
from maskhand_ros.perception.smoothing import HandFilter
from maskhand_ros.perception.types import SCALE_DEPTH, SCALE_NONE, SCALE_POPULATION, PlacedHand
from maskhand_ros.skeleton import LEFT, RIGHT


def keypoints(frames):
    """(T, 21, 3) of the first hand of each frame, NaN where there is none."""
    nothing = np.full((21, 3), np.nan)
    return np.stack([frame.hands[0].kp3d if frame.hands else nothing for frame in frames])


def filtered(frames):
    """Keypoints (T, 21, 3) of the filter that the node uses."""
    smoother, found = HandFilter(), []
    for frame in frames:
        (one,) = frame.hands
        zeros, covariance = np.zeros((21, 3)), one.wrist_covariance
        parts = one.wrist_position, one.global_orient, one.hand_pose, one.betas, one.size, zeros, covariance
        placed, _ = smoother(
            PlacedHand(one.side, *parts, one.scale_source), frame.source_time_s, one.kp_stddev[:, 0]
        )
        out = MODEL(placed.betas[None], placed.orient[None], placed.pose[None], vertices=False)
        found.append(placed.size * out.keypoints[0] + placed.position)
    return np.stack(found)


def delay_of(path, true_path):
    """Frames by which the truth must be delayed to be most like `path`, to a tenth."""
    index = np.arange(len(path))
    shifts = np.arange(-3, 3.01, 0.1)
    errors = [np.square(path - np.interp(index - shift, index, true_path))[5:-5].sum() for shift in shifts]
    return shifts[int(np.argmin(errors))]


def test_errors_are_smaller_than_those_of_the_measurements_and_of_the_nodes_filter():
    frames, truth = clip(noise=np.random.default_rng(1))
    true = np.stack([one.kp3d for one in truth])
    refined = keypoints(refine(frames))

    def error(points):
        return np.linalg.norm(points - true, axis=-1)[10:-10].mean()

    def jitter(points):
        return np.linalg.norm(np.diff(points - true, 2, axis=0), axis=-1).mean()

    assert error(refined) < 0.7 * min(error(keypoints(frames)), error(filtered(frames)))
    assert jitter(refined) < 0.3 * min(jitter(keypoints(frames)), jitter(filtered(frames)))
    assert abs(delay_of(refined[:, 0, 0], true[:, 0, 0])) < 0.15
    assert delay_of(filtered(frames)[:, 0, 0], true[:, 0, 0]) > 0.15, 'the filter of the node is late'


def test_bones_have_one_length_and_parameters_give_the_keypoints():
    frames, truth = clip(noise=np.random.default_rng(2))
    refined = refine(frames)
    lengths = np.linalg.norm(np.diff(keypoints(refined)[:, [5, 6, 7, 8]], axis=1), axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-9
    one = refined[50].hands[0]
    model = one.size * MODEL(one.betas[None], one.global_orient[None], one.hand_pose[None]).keypoints[0]
    assert np.abs(model + one.wrist_position - one.kp3d).max() < 0.003
    assert np.abs(one.kp3d_wrist @ one.wrist_rotation.T + one.wrist_position - one.kp3d).max() < 1e-9
    assert np.abs(project(one.kp3d, K) - one.kp2d).max() < 1e-6
    assert len({frame.hands[0].size for frame in refined}) == 1
    assert PREVIOUS_KEYPOINT[[1, 2, 5, 8]].tolist() == [0, 1, 0, 7]


def test_a_short_gap_is_filled_and_says_so_and_a_long_one_stays_empty():
    short, long = range(30, 34), range(60, 90)
    frames, truth = clip(noise=np.random.default_rng(3), absent={*short, *long})
    for frame in frames[90:]:
        frame.hands[0].track_id = 7  # the tracker has lost it
    refined = refine(frames)
    assert [len(frame.hands) for frame in refined] == [k not in long for k in range(120)]
    for k in short:
        one = refined[k].hands[0]
        assert not one.observed and one.kp_visibility is None
        assert np.linalg.norm(one.kp3d - truth[k].kp3d, axis=1).mean() < 0.015
        assert np.trace(one.wrist_covariance) > np.trace(refined[29].hands[0].wrist_covariance)
        assert one.kp_stddev[8, 0] > refined[29].hands[0].kp_stddev[8, 0]
    measured = [frame.hands[0] for k, frame in enumerate(refined) if frame.hands and k not in short]
    assert all(one.observed and one.kp_visibility[0] == 0.7 for one in measured)
    assert {frame.hands[0].track_id for frame in refined if frame.hands} == {1}, 'the tracks are one hand'


def test_frames_of_the_wrong_side_are_left_out():
    frames, truth = clip(noise=np.random.default_rng(4))
    for k in (*range(20, 23), *range(50, 70)):
        frames[k].hands = [dataclasses.replace(hand(k / RATE, side=LEFT), handedness_probability=0.6)]
    refined = refine(frames)
    assert {one.side for frame in refined for one in frame.hands} == {RIGHT}
    assert [len(refined[k].hands) for k in (21, 60)] == [1, 0]


@pytest.mark.parametrize('side', [LEFT, RIGHT])
def test_a_distance_measured_by_a_depth_camera_stays_and_gives_the_size(side):
    """The hand is 15 % larger than the population's; in the first half a depth camera sees it."""
    frames, truth = clip(side=side, source=SCALE_DEPTH, size=1.15, noise=np.random.default_rng(5))
    for k in range(60, 120):  # at the size of the population, hence too near
        one = frames[k].hands[0]
        for name in ('kp3d', 'kp3d_wrist', 'wrist_position', 'size'):
            setattr(one, name, getattr(one, name) / 1.15)
        one.scale_source = SCALE_POPULATION
    refined = refine(frames)
    depth = np.array([frame.hands[0].wrist_position[2] for frame in refined])
    assert abs(depth[:60].mean() - 0.6) < 0.004 and abs(depth[60:].mean() - 0.6) < 0.012
    length = refined[0].hands[0].size * MODEL.length(refined[0].hands[0].betas)
    assert abs(length / (1.15 * MODEL.length(np.zeros(10))) - 1) < 0.02
    assert [str(refined[k].hands[0].scale_source) for k in (10, 100)] == ['depth', 'learned']


def test_what_is_unknown_stays_unknown():
    frames, _ = clip(source=SCALE_NONE, noise=np.random.default_rng(6))
    for frame in frames:
        frame.intrinsics = None
    refined = refine(frames)
    assert all(
        one.kp3d is None and one.wrist_position is None and one.wrist_covariance is None
        for frame in refined
        for one in frame.hands
    )
    assert refine([]) == [] and refine(frames[:3])[1].hands[0].kp3d is None


def test_an_outlier_and_an_uncertain_stretch_count_less():
    seconds = np.arange(100) / RATE
    truth = np.sin(2 * seconds)[:, None]
    noise = np.random.default_rng(7).standard_normal((100, 1))
    sigma = np.where((seconds > 1) & (seconds < 1.4), 0.3, 0.01)
    values = truth + sigma[:, None] * noise
    values[60] += 5.0
    found = smooth(seconds, values, 1e-4 / sigma**2)
    assert np.abs(found.values - truth).max() < 0.1
    assert (
        np.abs(found.at(seconds[:-1] + 0.5 / RATE) - np.sin(2 * seconds[:-1] + 1 / RATE)[:, None]).max() < 0.1
    )


def test_stamps_that_repeat_or_go_back_do_no_harm():
    frames, truth = clip(noise=np.random.default_rng(8))
    frames[40].source_time_s = frames[41].source_time_s = frames[39].source_time_s
    frames[80].source_time_s -= 1.0
    assert np.isfinite(keypoints(refine(frames))).all()
