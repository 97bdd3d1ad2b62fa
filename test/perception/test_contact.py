"""Tracks of hands that touch or hide each other, in drawn images: the landmark network is replaced by one
that takes the hand of which a crop shows most."""

import cv2
import numpy as np
import pytest
from scene_hands import CAMERA, SceneHand

from maskhand_ros.perception.association import is_known, match_score
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.observer import Observer
from maskhand_ros.perception.occlusion import hides, is_visible, painted_over
from maskhand_ros.perception.track import Track
from maskhand_ros.perception.tracker import Tracker
from maskhand_ros.skeleton import KEYPOINT_EDGES, LEFT, RIGHT

DT = 0.04
BACKGROUND, SEEN = 230, 0.3
"""Grey level, and share of a hand's pixels that the network needs."""


def silhouette(hand):
    """Mask (480, 640) of a SceneHand."""
    mask, pixels = np.zeros((480, 640), np.uint8), hand.keypoints.astype(np.int32)
    cv2.polylines(mask, list(pixels[KEYPOINT_EDGES]), False, 1, round(0.1 * hand.size))
    cv2.fillConvexPoly(mask, cv2.convexHull(pixels[[0, 1, 5, 9, 13, 17]]), 1)
    return mask > 0


def grey(k):
    """Grey level of the hand number k of a scene."""
    return 40 + 60 * k


def drawn(hands):
    """Image (480, 640, 3) of SceneHands, the first one in front."""
    image = np.full((480, 640, 3), BACKGROUND, np.uint8)
    for k in reversed(range(len(hands))):
        image[silhouette(hands[k])] = grey(k)
    return image


class ContactObserver(Observer):
    """An Observer of drawn images. `told` {hand number: probability of a right hand}."""

    def __init__(self):
        super().__init__(None, None)
        self.hands, self.told = [], {}

    def visible(self, rgb):
        """Share of each hand's pixels that an image (480, 640, 3) shows."""
        return [
            float((abs(rgb[silhouette(hand)][:, 0].astype(int) - grey(k)) < 15).mean())
            for k, hand in enumerate(self.hands)
        ]

    def __call__(self, rgb, camera, rois):
        visible = self.visible(rgb)
        return [self._clearest(roi, visible) for roi in rois]

    def _clearest(self, roi, visible):
        def apart(hand):
            own = roi_from_keypoints(hand.keypoints, None)
            return np.linalg.norm(own.center_px - roi.center_px) / roi.size_px

        seen = [k for k, hand in enumerate(self.hands) if apart(hand) < 0.35 and visible[k] >= SEEN]
        if not seen:
            return SceneHand(0).observed(roi.side, presence=0.0)
        best = max(seen, key=lambda k: visible[k] - apart(self.hands[k]))
        view = self.hands[best].observed(roi.side, presence=0.3 + 0.65 * visible[best])
        view.right_probability = self.told.get(best, view.right_probability)
        return view


class ContactTracker(Tracker):
    """A Tracker in drawn images."""

    def __init__(self):
        super().__init__(ContactObserver(), max_hands=4)

    def visible(self, rgb):
        """ContactObserver.visible."""
        return self._observer.visible(rgb)

    def show(self, stamp, *hands):
        """{id: x of the wrist} of the frame at `stamp` seconds with these hands, the first one in front."""
        image = drawn(hands)
        self._observer.hands = list(hands)
        self.begin(stamp)
        followed = self.follow(image, CAMERA)
        known = {view.keypoints_px[0, 0] for _, view in followed}
        fresh = [
            hand.observed()
            for hand, visible in zip(hands, self.visible(image), strict=True)
            if hand.detected and visible > 0.6 and hand.x not in known
        ]
        pairs = self.update(followed, fresh, stamp)
        return {track.id: round(view.keypoints_px[0, 0]) for track, view in pairs}


@pytest.mark.parametrize('sides', [(RIGHT, LEFT), (RIGHT, RIGHT)])
def test_a_hand_that_passes_behind_another_is_followed_and_keeps_its_id(sides):
    tracker, part_hidden = ContactTracker(), 0
    tracker._observer.told = {0: 0.8}
    for k in range(41):
        hands = SceneHand(300, sides[0]), SceneHand(180 + 6 * k, sides[1], detected=not k)
        views = tracker.show(k * DT, *hands)
        assert views[1] == 300
        assert views.get(2, hands[1].x) == hands[1].x, 'it is not seen where the hand in front is'
        visible = tracker.visible(drawn(hands))[1]
        assert visible < 0.6 or 2 in views
        part_hidden += 2 in views and visible < 0.8
    assert part_hidden >= 8 and len(tracker.tracks) == 2


def test_a_hidden_hand_keeps_its_id_for_its_time_and_the_other_one_does_not_take_it():
    tracker = ContactTracker()
    for k in range(10):
        assert tracker.show(k * DT, SceneHand(300), SceneHand(400 - 10 * k, LEFT))[1] == 300
    for k in range(10, 40):
        assert tracker.show(k * DT, SceneHand(300), SceneHand(300, LEFT)) == {1: 300}
    for k in range(40, 60):
        views = tracker.show(k * DT, SceneHand(300), SceneHand(300 + 10 * (k - 40), LEFT))
    assert views == {1: 300, 2: 490}


def test_a_track_does_not_go_over_to_the_hand_of_the_other_side_that_it_touched():
    """As in a clap: both look like one hand, first of the one side, then of the other."""
    tracker = ContactTracker()
    for k in range(10):
        assert tracker.show(k * DT, SceneHand(258), SceneHand(328, LEFT)) == {1: 258, 2: 328}
    for k in range(10, 16):
        assert tracker.show(k * DT, SceneHand(328, LEFT)) == {2: 328}
    for k in range(16, 20):
        assert tracker.show(k * DT, SceneHand(326)) == {1: 326}
    assert tracker.show(20 * DT, SceneHand(250), SceneHand(370, LEFT)) == {1: 250, 2: 370}


def test_a_hand_that_was_hidden_gets_no_second_id_while_its_track_is_in_doubt():
    """The track of the right hand comes back on something between the hands, while the hand is elsewhere."""
    tracker, left = ContactTracker(), SceneHand(340, LEFT)
    for k in range(10):
        assert tracker.show(k * DT, SceneHand(300), left) == {1: 300, 2: 340}
    for k in range(10, 13):
        assert tracker.show(k * DT, left) == {2: 340}
    for k in range(13, 17):
        assert tracker.show(k * DT, SceneHand(220), left, SceneHand(300)) == {1: 300, 2: 340}
    assert tracker.show(17 * DT, SceneHand(220), left) == {1: 220, 2: 340}
    for k in range(18, 40):
        views = tracker.show(k * DT, SceneHand(220), left, SceneHand(300))
    assert views == {1: 220, 2: 340, 3: 300}, 'one more hand is found once the tracks have settled'


@pytest.mark.parametrize(
    'own, other, hidden, new, found',
    [
        (300, 340, 3, 240, False),  # it may be the hand that was hidden
        (300, 340, 0, 240, True),  # none was hidden
        (300, 340, 3, 560, True),  # too far away for that
        (300, 500, 3, 240, True),  # the hand was lost away from the other
    ],
)
def test_one_more_hand_waits_only_for_a_track_beside_it_that_was_hidden(own, other, hidden, new, found):
    tracker, left = ContactTracker(), SceneHand(other, LEFT)
    times = iter(np.arange(100) * DT)
    for _ in range(5):
        tracker.show(next(times), SceneHand(own), left)
    for _ in range(hidden):
        tracker.show(next(times), left)
    tracker.show(next(times), SceneHand(own), left)
    assert (3 in tracker.show(next(times), SceneHand(own), left, SceneHand(new))) == found


def test_palms_that_meet_are_followed_both():
    tracker = ContactTracker()
    observer = tracker._observer
    observer.visible = lambda rgb: [0.9] * len(observer.hands)  # seen from the side, neither hides the other
    for k, half in enumerate((30, 25, 20, 15, 12, 9, 12, 15, 20)):
        views = tracker.show(
            k * DT, SceneHand(300 - half, detected=not k), SceneHand(300 + half, LEFT, detected=not k)
        )
        assert views == {1: 300 - half, 2: 300 + half}


def test_a_hand_away_from_others_is_followed_while_its_side_is_told_wrongly():
    tracker = ContactTracker()
    for k in range(30):
        tracker._observer.told = {0: 0.1} if k > 12 else {}
        assert tracker.show(k * DT, SceneHand(200, detected=not k), SceneHand(520, LEFT)) == {1: 200, 2: 520}


@pytest.mark.parametrize('neighbour, found', [(365, True), (520, False)])
def test_a_lost_hand_is_searched_as_long_as_another_one_may_touch_it(neighbour, found):
    tracker = ContactTracker()
    for k in range(12):
        lost = [SceneHand(300, LEFT, detected=k == 0)] if k in (0, 11) else []
        views = tracker.show(k * DT, SceneHand(neighbour), *lost)
    assert (2 in views) == found


@pytest.mark.parametrize('size', [60.0, 420.0])
def test_a_hand_is_painted_over_with_its_surroundings(size):
    hand = SceneHand(320, size=size)
    image = drawn([hand])
    before, painted = image.copy(), painted_over(image, [hand.observed()])
    assert (image == before).all(), 'the image itself is not changed'
    assert (abs(painted.astype(int) - BACKGROUND) < 8).all()
    near = cv2.dilate(silhouette(hand).astype(np.uint8), np.ones((3, 3)), iterations=round(size / 4))
    textured = np.random.default_rng(0).integers(0, 255, image.shape, np.uint8)
    assert (painted_over(textured, [hand.observed()])[near == 0] == textured[near == 0]).all()
    away = SceneHand(-900).observed()
    assert (painted_over(image, [away]) == image).all()


@pytest.mark.parametrize(
    'side, apart, followed, known',
    [
        (RIGHT, 0.15, True, True),
        (LEFT, 0.15, True, False),
        (LEFT, 0.08, True, True),
        (LEFT, 0.15, False, True),  # a new observation: its side is not sure yet
    ],
)
def test_a_left_and_a_right_hand_are_two_though_they_are_near(side, apart, followed, known):
    view, other = SceneHand(300, side).observed(), SceneHand(300 + apart * 120).observed()
    assert is_known(view, [other], followed) == known


def test_the_clearer_hand_counts_as_the_one_in_front():
    track = Track(1, RIGHT, 1.0, SceneHand(300).keypoints)
    clear, hidden = (SceneHand(300).observed(presence=presence) for presence in (0.9, 0.6))
    assert match_score(track, clear) > match_score(track, hidden) > match_score(track, None)


def test_which_hands_hide_others():
    front = SceneHand(300).observed()
    for x, hidden in ((300, True), (350, True), (420, False)):
        assert hides(front, Track(1, RIGHT, 1.0, SceneHand(x).keypoints)) == hidden


@pytest.mark.parametrize(
    'x, presence, right, visible',
    [
        (350, 0.96, 0.9, True),
        (350, 0.9, 0.99, True),
        (350, 0.9, 0.97, False),  # as of a hidden hand whose landmarks lie on the one in front
        (310, 0.99, 0.99, False),  # this is the hand in front
    ],
)
def test_which_hands_behind_others_are_visible_enough(x, presence, right, visible):
    view = SceneHand(x).observed(presence=presence)
    view.right_probability = right
    track = Track(1, RIGHT, 1.0, view.keypoints_px)
    assert is_visible(track, view, [SceneHand(300).observed()]) == visible


class LaggingObserver(ContactObserver):
    """One to which two hands in a crop look like one hand nearer to its middle, unless the crop is around one
    of them."""

    def _clearest(self, roi, visible):
        view = super()._clearest(roi, visible)
        off = roi.center_px - roi_from_keypoints(view.keypoints_px, None).center_px
        if view.presence and np.linalg.norm(off) > 0.12 * roi.size_px:
            view.keypoints_px = view.keypoints_px + off / 2
        return view


def test_hands_that_part_quickly_are_cropped_where_they_are_now():
    tracker = ContactTracker()
    tracker._observer = LaggingObserver()
    for k in range(15):
        assert tracker.show(k * DT, SceneHand(308), SceneHand(350, LEFT)) == {1: 308, 2: 350}
    for apart in (26, 52):  # they touch where they were in the frame before
        hands = SceneHand(308 - apart, detected=False), SceneHand(350 + apart, LEFT, detected=False)
        views = tracker.show((15 + apart / 26) * DT, *hands)
    assert views == {1: 256, 2: 402}
