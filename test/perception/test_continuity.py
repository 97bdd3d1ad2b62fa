"""Continuity of placed hands: which are rejected, when a track starts afresh, and whose length is learned."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from placed_hand import placed_hand
from scene_hands import SceneHand

from maskhand_ros.geometry import Camera, rotvec_to_matrix
from maskhand_ros.perception.continuity import Continuity
from maskhand_ros.perception.gates import JOINT_LIMITS, JUMP, NEW_ORIENTATION, NEW_POSITION, PART, JumpGate
from maskhand_ros.perception.track import Track
from maskhand_ros.skeleton import RIGHT

DT = 1 / 30
PLACED = placed_hand(covariance=1e-4 * np.eye(6))


def changed(metres=0.0, radians=0.0):
    """PLACED, moved and turned."""
    turn = rotvec_to_matrix(np.array([0.0, radians, 0.0]))
    return dataclasses.replace(PLACED, position=PLACED.position + [metres, 0, 0], orient=turn)


@pytest.mark.parametrize(
    'hand, verdict',
    [  # metres: 0.1, and 6 a second; radians: 0.8, and 30 a second
        (changed(0.28), None),
        (changed(0.32), JUMP),
        (changed(0.0, 1.7), None),
        (changed(0.0, 1.9), JUMP),
    ],
)
def test_how_far_a_hand_may_move_from_frame_to_frame(hand, verdict):
    gate = JumpGate()
    assert gate(PLACED, 0.0) is None
    assert gate(hand, DT) == verdict


def test_a_jump_that_stays_is_told_apart_from_a_turn_and_from_single_errors():
    for hand, verdict in ((changed(2.0), NEW_POSITION), (changed(0.0, 3.1), NEW_ORIENTATION)):
        gate = JumpGate()
        gate(PLACED, 0.0)
        # 3.1 rad are allowed after 77 ms, so the frames come faster.
        assert [gate(hand, k * 0.02) for k in (1, 2, 3, 4)] == [JUMP, JUMP, verdict, None]
    gate = JumpGate()
    gate(PLACED, 0.0)
    for k in range(1, 13, 2):
        assert gate(PLACED, k * DT) is None
        assert gate(changed(2.0), (k + 1) * DT) == JUMP, 'single errors do not add up'


class Always:
    """A gate of one verdict."""

    def __init__(self, verdict):
        self._verdict = verdict

    def __call__(self, hand, stamp):
        return self._verdict


def admitted(reason=None, jump=None, confidence=1.0):
    """A Track with five hits after one hand of 0.2 m, its filter before, and how many hands were admitted."""
    track = Track(1, RIGHT, 1.0, np.zeros((21, 2)), hit_streak=5)
    track.jump = Always(jump)
    before, lengths = track.filter, []
    track.length = SimpleNamespace(add=lengths.append)
    continuity = Continuity(SimpleNamespace(tracks=[track]), lambda placed: [reason])
    output = SimpleNamespace(rows=lambda rows: output)
    hand = dataclasses.replace(PLACED, measured_length=0.2, confidence=confidence)
    pairs, placed, _ = continuity.admit([(track, None)], [hand], output, 0.0)
    assert len(pairs) == len(placed)
    return track, before, len(pairs), lengths, continuity.rejected


def test_a_rejected_hand_is_counted_and_its_track_confirmed_anew():
    for given in ({'reason': JOINT_LIMITS}, {'jump': JUMP}):
        track, before, hands, lengths, rejected = admitted(**given)
        (reason,) = given.values()
        assert (hands, track.hit_streak, lengths, track.filter is before) == (0, 0, [], True)
        assert {name: count for name, count in rejected.items() if count} == {reason: 1}


@pytest.mark.parametrize(
    'beside, confidences, reason, single_images, rejected',
    [
        (0, (0.9, 0.3), None, True, PART),
        (15, (0.9, 0.3), None, True, PART),
        (40, (0.9, 0.3), None, True, None),  # a hand that another touches
        (0, (0.9, 0.6), None, True, None),  # nearly as likely
        (0, (0.3, 0.9), None, True, None),  # the other is not in it
        (0, (0.9, 0.3), None, False, None),
        (0, (0.9, 0.3), JOINT_LIMITS, True, JOINT_LIMITS),  # the other is no hand
    ],
)
def test_a_part_of_another_hand_is_no_hand_in_single_images(
    beside, confidences, reason, single_images, rejected
):
    """A hand of 120 px, and one of 60 px `beside` px to the side of its wrist."""
    seen = [SceneHand(300, size=120), SceneHand(300 + beside, size=60)]
    pairs = [(Track(k, RIGHT, 0.0, hand.keypoints), hand.observed()) for k, hand in enumerate(seen)]
    continuity = Continuity(
        SimpleNamespace(tracks=[track for track, _ in pairs]),
        lambda placed: [reason, None],
        single_images=single_images,
    )
    output = SimpleNamespace(rows=lambda rows: output)
    hands = [dataclasses.replace(PLACED, confidence=confidence) for confidence in confidences]
    kept, _, _ = continuity.admit(pairs, hands, output, 0.0)
    assert len(kept) == (1 if rejected else 2)
    assert {name: count for name, count in continuity.rejected.items() if count} == (
        {rejected: 1} if rejected else {}
    )


def test_a_hand_that_turned_over_is_not_smoothed_from_its_old_orientation():
    track, before, hands, _, rejected = admitted(jump=NEW_ORIENTATION)
    assert hands == 1 and track.filter is not before and not any(rejected.values())


@pytest.mark.parametrize('confidence, learned', [(0.9, [0.2]), (0.3, [])])
def test_a_length_is_learned_from_confident_hands_only(confidence, learned):
    assert admitted(confidence=confidence)[3] == learned


def test_smoothing_off_leaves_hands_as_measured():
    rng = np.random.default_rng(0)
    hands = [changed(0.001 * rng.normal()) for _ in range(5)]
    output = SimpleNamespace(keypoint_stddev=np.full((1, 21, 2), 0.005))
    for smoothing in ('off', 'adaptive'):
        track = Track(1, RIGHT, 1.0, np.zeros((21, 2)))
        continuity = Continuity(SimpleNamespace(tracks=[track]), lambda placed: [None], smoothing)
        smoothed = [
            continuity.smooth([(track, None)], [hand], output, k * DT)[0][0] for k, hand in enumerate(hands)
        ]
        same = [np.array_equal(one.position, two.position) for one, two in zip(smoothed, hands, strict=True)]
        assert all(same) if smoothing == 'off' else not any(same[1:])


@pytest.mark.parametrize('factor, forgets', [(1.0, False), (1.01, False), (1.05, True)])
def test_positions_are_kept_through_autofocus_and_forgotten_with_another_camera(factor, forgets):
    camera = Camera.default(640, 480)
    track = Track(1, RIGHT, 1.0, np.zeros((21, 2)))
    continuity = Continuity(SimpleNamespace(tracks=[track]), lambda placed: [])
    continuity.begin(camera)
    before = track.filter, track.jump, track.motion
    continuity.begin(Camera(camera.K * [[factor, 1, 1], [1, factor, 1], [1, 1, 1]], 640, 480))
    after = track.filter, track.jump, track.motion
    assert [one is not two for one, two in zip(before, after, strict=True)] == [forgets] * 3
