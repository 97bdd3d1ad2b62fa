"""Association of hands with tracks in a made-up scene: the detector and the landmark network are replaced by
the truth."""

import dataclasses
import math

import numpy as np
import pytest
from scene_hands import CAMERA, RGB, SceneHand, SceneObserver

from maskhand_ros.perception.association import covers, is_known
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.track import Track
from maskhand_ros.perception.tracker import Tracker
from maskhand_ros.skeleton import LEFT, RIGHT

DT = 0.04


class SceneTracker(Tracker):
    """A Tracker of SceneHands. The detector finds those with `detected` in each frame."""

    def __init__(self, **options):
        super().__init__(SceneObserver(), **options)

    @property
    def crops(self):
        return self._observer.crops

    def show(self, stamp, *hands):
        """{id: Observation} of the frame at `stamp` seconds with these hands."""
        observer = self._observer
        observer.hands, observer.crops = list(hands), 0
        self.begin(stamp)
        followed, fresh = self.follow(RGB, CAMERA), []
        known = [observation for _, observation in followed]
        for hand in hands:
            if hand.detected and len(known) + len(fresh) < self.max_hands:
                roi = roi_from_keypoints(hand.keypoints, None)
                found = observer.hand_at(RGB, CAMERA, roi, [*known, *fresh])
                fresh += [found] if found else []
        return {track.id: view for track, view in self.update(followed, fresh, stamp)}


@pytest.mark.parametrize(
    'before, shown, keeps',
    [
        ((SceneHand(260, LEFT), SceneHand(340)), SceneHand(300), 1),  # its side tells
        ((SceneHand(260, LEFT), SceneHand(340)), SceneHand(300, LEFT), 0),
        ((SceneHand(260), SceneHand(340, LEFT)), SceneHand(300), 0),
        ((SceneHand(260), SceneHand(340)), SceneHand(280), 0),  # its place tells
        ((SceneHand(260), SceneHand(340)), SceneHand(320), 1),
    ],
)
def test_of_two_tracks_that_see_one_hand_the_likelier_keeps_it(before, shown, keeps):
    tracker = SceneTracker()
    for k in range(3):
        views = tracker.show(k * DT, *before)
    ids = {round(view.keypoints_px[0, 0]): id for id, view in views.items()}
    after = tracker.show(3 * DT, shown)
    assert tracker.crops >= 2, 'both tracks see it'
    assert list(after) == [ids[before[keeps].x]]
    other = next(track for track in tracker.tracks if track.id not in after)
    assert (other.hit_streak, other.time_since_update) == (0, 1)


@pytest.mark.parametrize(
    'back, seconds, same',
    [
        (SceneHand(100 + 2.0 * 120), 0.2, True),  # its reach: one hand size, and 6 a second
        (SceneHand(100 + 2.5 * 120), 0.2, False),
        (SceneHand(100 + 4.0 * 120), 0.6, True),
        (SceneHand(100), 1.4, True),
        (SceneHand(100), 2.0, False),
        (SceneHand(100, size=170), 0.3, True),
        (SceneHand(100, size=300), 0.3, False),
        (SceneHand(100, size=60), 0.3, False),
        (SceneHand(100, LEFT), 0.3, False),
    ],
)
def test_a_hand_that_comes_back_keeps_its_id_if_it_can_be_the_same(back, seconds, same):
    tracker = SceneTracker()
    tracker.show(0.0, SceneHand(100))
    for part in (0.2, 0.4, 0.6, 0.8):
        assert tracker.show(part * seconds) == {}
    assert list(tracker.show(seconds, back)) == [1 if same else 2]


def test_hands_that_come_back_get_the_ids_of_the_nearest_lost_ones_each_once():
    tracker = SceneTracker()
    assert list(tracker.show(0.0, SceneHand(150), SceneHand(450))) == [1, 2]
    for k in range(1, 6):
        tracker.show(k * DT)
    views = tracker.show(6 * DT, SceneHand(400))
    assert list(views) == [2]
    one = SceneTracker()
    one.show(0.0, SceneHand(300))
    for k in range(1, 6):
        one.show(k * DT)
    assert list(one.show(6 * DT, SceneHand(250), SceneHand(350))) == [1, 2]


@pytest.mark.parametrize('hidden, found', [(1, True), (2, True), (3, False)])
def test_a_hand_that_the_detector_misses_is_searched_where_it_was_for_three_frames(hidden, found):
    tracker = SceneTracker()
    tracker.show(0.0, SceneHand(300))
    for k in range(hidden):
        tracker.show((1 + k) * DT)
    (track,) = tracker.tracks
    track.length.value = 0.2
    views = tracker.show((1 + hidden) * DT, SceneHand(300, detected=False))
    assert [(id, view.learned_length) for id, view in views.items()] == ([(1, 0.2)] if found else [])
    assert (track.hit_streak, track.time_since_update) == ((1, 0) if found else (0, hidden + 1))


def test_a_lower_limit_ends_lost_tracks_first():
    tracker = SceneTracker()
    tracker.show(0.0, SceneHand(150), SceneHand(450))
    tracker.show(DT, SceneHand(450))
    tracker.limit_hands(1, keep=[1])
    assert [track.id for track in tracker.tracks] == [2] and tracker.take_lost_ids() == [1]


def test_which_observations_are_one_hand():
    view = SceneHand(300).observed()
    assert is_known(view, [SceneHand(300 + 0.15 * 120).observed()])
    assert not is_known(view, [SceneHand(300 + 0.25 * 120).observed()])
    large, small = SceneHand(300, size=240), SceneHand(300, size=120)
    own = roi_from_keypoints(large.keypoints, None)
    for apart, covered in ((0.2, True), (0.35, False)):  # of the smaller square
        roi = roi_from_keypoints(small.keypoints, None)
        roi = dataclasses.replace(roi, center_px=own.center_px + [apart * roi.size_px, 0])
        assert covers(large.observed(), roi) == covered
    broken = SceneHand(300).observed()
    broken.cues['landmarks'][0, 3] = np.nan
    assert view.presence == 1.0 and broken.presence == 0.0


def _side_after(track, right_probability, stamp=0.0):
    """Side of a Track after one frame of this evidence."""
    observation = SceneHand(300).observed()
    observation.right_probability = right_probability
    track.update(observation, stamp)
    return track.side


def frames_until_the_side_turns(track, right_probability):
    """Number of frames of this evidence after which the side of a Track is another."""
    before = track.side
    for frame in range(1, 1000):
        if _side_after(track, right_probability, frame * DT) != before:
            return frame
    return math.inf


@pytest.mark.parametrize('side', (LEFT, RIGHT))
def test_the_longer_a_hand_is_tracked_the_more_evidence_turns_its_side(side):
    """A low pass with a memory of 0.8 for eleven frames, then of 0.98; it turns beyond 0.7 of the other."""
    own, other = (1.0, 0.0) if side == RIGHT else (0.0, 1.0)
    fresh = Track(1, side, own, SceneHand(300).keypoints)
    assert frames_until_the_side_turns(fresh, other) == math.ceil(math.log(0.3) / math.log(0.8)) == 6
    settled = Track(1, side, own, SceneHand(300).keypoints)
    assert frames_until_the_side_turns(settled, own) == math.inf
    assert frames_until_the_side_turns(settled, other) == math.ceil(math.log(0.3) / math.log(0.98)) == 60
    assert frames_until_the_side_turns(settled, 0.5) == math.inf, 'evidence for neither side'
    between = Track(1, side, own, SceneHand(300).keypoints)
    for _ in range(12):
        between.update(SceneHand(300, side).observed(), 0.0)
    assert frames_until_the_side_turns(between, other) > 50, 'settled after eleven frames'
    runs = Track(1, side, own, SceneHand(300).keypoints)
    assert frames_until_the_side_turns(runs, own) == math.inf
    for _ in range(20):  # runs of ten frames that are wrong, as while another hand is in front
        assert all(_side_after(runs, evidence) == side for evidence in [other] * 10 + [own] * 10)


def test_a_resting_hand_is_searched_in_the_same_square():
    track, rng = Track(1, RIGHT, 1.0, SceneHand(300).keypoints), np.random.default_rng(0)
    square = track.search_region()
    for _ in range(20):
        track.keypoints_px = SceneHand(300).keypoints + rng.normal(0, 0.5, (21, 2))
        assert track.search_region() is square
    track.keypoints_px = SceneHand(320).keypoints
    assert track.search_region().center_px[0] == pytest.approx(square.center_px[0] + 20)


def test_a_new_hand_has_the_mean_side_probability_of_its_two_crops():
    said = iter((0.98, 0.80))

    class Said(SceneObserver):
        def __call__(self, *args):
            observations = super().__call__(*args)
            for observation in observations:
                observation.right_probability = next(said)
            return observations

    observer = Said()
    observer.hands = [SceneHand(300)]
    found = observer.hand_at(RGB, CAMERA, roi_from_keypoints(SceneHand(300).keypoints, None), [])
    assert found.right_probability == pytest.approx(0.89)


@pytest.mark.parametrize(
    'presences, certain, best',
    [
        ((0.9, 0.85, 0.85), False, 0),
        ((0.9, 0.8, 0.8), False, None),
        ((0.9, 0.8, 0.8), True, 0),
        ((0.86, 0.8, 0.95), False, 2),
    ],
)
def test_a_new_hand_is_the_best_of_three_crops(presences, certain, best):
    """A knee is present in one crop, and less in rotated ones."""
    crops = [SceneHand(300 + 6 * k).observed(presence=presence) for k, presence in enumerate(presences)]
    observer, rest = SceneObserver(), iter(crops[1:])
    observer._nearest = lambda roi: next(rest)
    found = observer.best_of_three(crops[0], RGB, CAMERA, [], certain)
    if best is None:
        assert found is None
        return
    np.testing.assert_array_equal(found.keypoints_px, crops[best].keypoints_px)
    assert found.disagreement == pytest.approx(4 / 120), 'hands of 120 px, 6 px to the left and to the right'


def test_the_best_crop_is_not_that_of_another_hand():
    hand, other = SceneHand(300).observed(presence=0.9), SceneHand(420).observed(presence=0.99)
    observer = SceneObserver()
    observer._nearest = lambda roi: other
    found = observer.best_of_three(hand, RGB, CAMERA, [SceneHand(424).observed()])
    np.testing.assert_array_equal(found.keypoints_px, hand.keypoints_px)
