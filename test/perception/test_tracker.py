"""Association of hands with tracks in a made-up scene: the detector and the landmark network are replaced by
the truth."""

import dataclasses
import math

import numpy as np
import pytest

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import covers, is_known
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.track import Observation, Track
from maskhand_ros.perception.tracker import Tracker
from maskhand_ros.skeleton import LEFT, RIGHT

CAMERA = Camera.default(640, 480)
RGB = np.zeros((480, 640, 3), np.uint8)
DT = 0.04
WRIST_UP = np.array([[0.0, 0.0]] + [
    [reach * math.sin(turn), -reach * math.cos(turn)]
    for turn in (-0.7, -0.3, 0.0, 0.3, 0.6)
    for reach in (0.5, 0.65, 0.8, 0.95)
])  # fmt: skip
WRIST_UP /= np.ptp(WRIST_UP, axis=0).max()


@dataclasses.dataclass
class SceneHand:
    """A hand of `size` px with its wrist at `x`, 300 px."""

    x: float
    side: int = RIGHT
    size: float = 120.0
    detected_at: tuple[float, ...] = (1.0, 0.5)
    """Image scales at which the detector finds it."""

    @property
    def keypoints(self):
        return WRIST_UP * self.size + [self.x, 300]

    def observed(self, side=None, presence=1.0):
        cues = {name: np.zeros((1, 21, 3)) for name in ('landmarks', 'world_landmarks')}
        cues['presence'] = np.array([[presence]])
        right = 0.97 if self.side == RIGHT else 0.03
        return Observation(side or self.side, None, cues, self.keypoints, right)


class SceneTracker(Tracker):
    """A Tracker that sees SceneHands. `scales`: of the detector's runs in the last frame; `crops`: their
    number."""

    def __init__(self, **options):
        super().__init__(self._palms, None, None, **options)
        self.hands, self.scales, self.crops = [], [], 0

    def _palms(self, rgb, scale):
        self.scales.append(scale)
        return [roi_from_keypoints(hand.keypoints, None) for hand in self.hands if scale in hand.detected_at]

    def _observe(self, rgb, camera, rois):
        self.crops += len(rois)
        return [self._nearest(roi) for roi in rois]

    def _nearest(self, roi):
        def apart(hand):
            return np.linalg.norm(roi_from_keypoints(hand.keypoints, None).center_px - roi.center_px)

        near = [hand for hand in self.hands if apart(hand) < 0.6 * roi.size_px]
        if not near:
            return SceneHand(0).observed(roi.side, presence=0.0)
        return min(near, key=apart).observed(roi.side)

    def show(self, stamp, *hands):
        """{id: Observation} of the frame at `stamp` seconds with these hands."""
        self.hands, self.scales, self.crops = list(hands), [], 0
        self.begin(stamp)
        followed = self.follow(RGB, CAMERA)
        known = [observation for _, observation in followed]
        fresh = self.detect(RGB, CAMERA, known) if self.wants_detection(len(known)) else []
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
    views = tracker.show((1 + hidden) * DT, SceneHand(300, detected_at=()))
    assert [(id, view.learned_length) for id, view in views.items()] == ([(1, 0.2)] if found else [])
    assert (track.hit_streak, track.time_since_update) == ((1, 0) if found else (0, hidden + 1))


def test_the_detector_runs_when_a_hand_may_be_missing_and_rarely_otherwise():
    tracker = SceneTracker(detect_interval=5)
    both, one = (SceneHand(150), SceneHand(450)), (SceneHand(150),)
    times = iter(range(10**6))

    def runs(frames, *hands):
        scales = []
        for _ in range(frames):
            tracker.show(next(times) * DT, *hands)
            scales.append(tracker.scales)
        return scales

    assert runs(1, *both) == [[1.0]]
    assert runs(12, *both) == [[]] * 12, 'no hand is missing'
    lost = runs(20, *one)
    assert lost[:3] == [[1.0]] * 3, 'the other may be back'
    assert [len(scales) for scales in lost[4:]].count(1) == pytest.approx(16 / 5, abs=1)
    nothing = runs(20)
    assert all(nothing), 'without hands in each frame'
    assert [len(scales) for scales in nothing].count(2) == 4, 'on both scales each fifth time'
    alone = SceneTracker()
    assert list(alone.show(0.0, SceneHand(300, detected_at=(0.5,)))) == [1], 'it fills the image'


def test_a_detection_on_a_followed_hand_costs_no_crop_and_the_limit_of_hands_holds():
    tracker = SceneTracker(max_hands=2, detect_interval=1)
    tracker.show(0.0, SceneHand(150))
    tracker.show(DT, SceneHand(150))
    assert tracker.scales and tracker.crops == 1
    assert len(SceneTracker(max_hands=2).show(0.0, *map(SceneHand, (100, 300, 500)))) == 2


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


def test_a_new_hand_has_the_mean_side_probability_of_its_two_crops(monkeypatch):
    tracker, said = SceneTracker(), iter((0.98, 0.80))
    tracker.hands = [SceneHand(300)]
    observe = tracker._observe

    def observe_as_said(*args):
        (observation,) = observe(*args)
        observation.right_probability = next(said)
        return [observation]

    monkeypatch.setattr(tracker, '_observe', observe_as_said)
    (found,) = tracker.detect(RGB, CAMERA, [])
    assert found.right_probability == pytest.approx(0.89)
