"""What is not given out: broken numbers, hands that cannot be, jumps, old times; and what is, if asked for,
while a hand is away."""

import dataclasses

import numpy as np
import pytest
from placed_hand import placed_hand

from maskhand_ros.clip import read_clip
from maskhand_ros.geometry import Camera, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.gates import (
    BONE_LENGTHS,
    JOINT_LIMITS,
    JUMP,
    JUMP_FRAMES,
    NOT_FINITE,
    PlausibleHand,
)
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.types import (
    PREDICTED,
    TENTATIVE,
    TRACKED,
    Frame,
)
from maskhand_ros.skeleton import LEFT

PERIOD = 33_000_000
STILL = placed_hand(LEFT, (0.1, 0, 0.5))


@pytest.fixture(scope='module')
def shot():
    """A picture of the clip with both hands, and its camera."""
    clip = read_clip()
    rgb = next(rgb for number, rgb in enumerate(clip.frames()) if clip.visible[number].all())
    return rgb, Camera(clip.K, rgb.shape[1], rgb.shape[0])


@pytest.fixture
def watched(shot):
    """A pipeline that has seen both hands for long enough, and a function that shows it the next picture
    (None: an empty one) `later` frames after the last."""
    pipeline = HandPipeline(PipelineConfig(predict=0.2))
    times = [1_000_000_000]

    def show(rgb=shot[0], later=1):
        times[0] += later * PERIOD
        blank = np.full_like(shot[0], 90)
        return pipeline.process(Frame(blank if rgb is None else rgb, times[0], shot[1]))

    for _ in range(5):
        hands = show()
    assert [hand.state for hand in hands] == [TRACKED, TRACKED]
    return pipeline, show, hands


def fisted(angle):
    """STILL, a left hand, with the middle finger's second joint bent by `angle` rad."""
    pose = STILL.pose.copy()
    pose[4] = rotvec_to_matrix(np.array([0, 0, -angle]))
    return dataclasses.replace(STILL, pose=pose)


def test_hands_that_cannot_be_are_told_by_their_reason():
    cannot = dataclasses.replace(STILL, position=np.array([0.1, np.nan, 0.5]))
    hands = [STILL, cannot, fisted(1.4), fisted(3.0), fisted(-1.4)]
    hands += [dataclasses.replace(STILL, size=size) for size in (0.75, 1.3, 0.4, 2.5)]
    expected = [None, NOT_FINITE, None, JOINT_LIMITS, JOINT_LIMITS, None, None, BONE_LENGTHS, BONE_LENGTHS]
    assert PlausibleHand(HandModel.load())(hands) == expected


def test_a_hand_whose_numbers_break_is_absent_and_the_other_stays(watched, monkeypatch):
    pipeline, show, (first, second) = watched
    reconstruct = pipeline._reconstruct

    def broken(cues):
        prediction = reconstruct(cues)
        prediction.betas[0] = np.nan
        return prediction

    monkeypatch.setattr(pipeline, '_reconstruct', broken)
    hands = {hand.id: hand for hand in show()}
    assert hands[second.id].state == TRACKED and hands[first.id].state == PREDICTED
    assert pipeline.rejected[NOT_FINITE] == 1 and pipeline.lost_ids == []
    monkeypatch.undo()
    assert {hand.id: hand.state for hand in show()} == {first.id: TENTATIVE, second.id: TRACKED}
    assert not any(pipeline.rejected.values())


def test_a_jump_is_held_back_and_one_that_stays_is_another_hand(watched, monkeypatch):
    pipeline, show, (first, second) = watched
    place = pipeline._place

    def elsewhere(*args):
        placed = place(*args)
        return [dataclasses.replace(placed[0], position=placed[0].position + [0, 0, 0.8]), *placed[1:]]

    monkeypatch.setattr(pipeline, '_place', elsewhere)
    for _ in range(JUMP_FRAMES - 1):
        states = {hand.id: hand.state for hand in show()}
        assert states == {first.id: PREDICTED, second.id: TRACKED}
        assert pipeline.rejected[JUMP] == 1
    states = {hand.id: hand.state for hand in show()}
    assert first.id in pipeline.lost_ids and first.id not in states
    assert states.pop(second.id) == TRACKED
    assert list(states.values()) == [TENTATIVE] and min(states) > second.id


def test_a_hand_that_is_away_is_predicted_for_a_while_and_only_if_asked_for(watched, shot):
    pipeline, show, hands = watched
    spreads = []
    for _ in range(6):  # 0.2 s
        away = show(None)
        assert {hand.id for hand in away} == {hand.id for hand in hands}
        assert {hand.state for hand in away} == {PREDICTED}
        spreads.append(np.trace(away[0].wrist_covariance[:3, :3]))
    assert (np.diff(spreads) > 0).all()
    assert np.linalg.norm(away[0].wrist_position - hands[0].wrist_position) < 0.02, 'it was at rest'
    assert show(None) == []

    silent = HandPipeline()
    for k in range(5):
        assert len(silent.process(Frame(shot[0], k * PERIOD, shot[1]))) == 2
    assert silent.process(Frame(np.full_like(shot[0], 90), 5 * PERIOD, shot[1])) == []


@pytest.mark.parametrize('later', [-100, 100])
def test_another_time_is_another_hand(watched, later):
    pipeline, show, before = watched
    after = show(later=later)
    assert sorted(pipeline.lost_ids) == sorted(hand.id for hand in before)
    assert not {hand.id for hand in after} & {hand.id for hand in before}
    assert {hand.state for hand in after} == {TENTATIVE}


def test_another_camera_is_no_jump(watched, shot):
    """What a zoom changes is where the hands are, not which."""
    pipeline, show, before = watched
    twice = Camera(shot[1].K * [[2, 1, 1], [1, 2, 1], [1, 1, 1]], shot[1].width, shot[1].height)
    after = pipeline.process(Frame(shot[0], 10**9 + 6 * PERIOD, twice))
    assert [hand.id for hand in after] == [hand.id for hand in before]
    assert {hand.state for hand in after} == {TRACKED}
    for one, two in zip(before, after, strict=True):
        assert two.wrist_position[2] == pytest.approx(2 * one.wrist_position[2], rel=0.1)
