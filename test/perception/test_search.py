"""The search for new hands in a made-up scene: the detector and the landmark network are replaced by the
truth, time by nominal costs."""

import dataclasses

import numpy as np
import pytest
from scene_hands import SceneHand, SceneObserver

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.search import HandSearch, NominalCosts
from maskhand_ros.perception.track import Track
from maskhand_ros.perception.views import steady_cycle, thorough_views, whole_view
from maskhand_ros.skeleton import LEFT, RIGHT

DT = 1 / 30
RGB = np.zeros((720, 1280, 3), np.uint8)
CAMERA = Camera.default(1280, 720)
WHOLE = whole_view(1280, 720)
COSTS = NominalCosts(view=0.008, proposal=0.015)
BUDGET = 0.003


class Scene:
    """A HandSearch of SceneHands. A hand with `needs` is found only in views of at most that size, px.
    `views`: those of the last frame."""

    def __init__(self, budget=BUDGET, needs=np.inf, score=1.0):
        self.score = score
        self.observer, self.hands, self.views, self.false, self.needs = SceneObserver(), [], [], [], needs
        self.search = HandSearch(self._palms, self.observer, budget, COSTS)

    def _palms(self, rgb, view):
        self.views.append(view)
        inside = [
            hand
            for hand in self.hands
            if view.size_px <= self.needs
            and view.left < hand.x < view.left + view.size_px
            and view.top < 300 < view.top + view.size_px
        ]
        rois = [roi_from_keypoints(hand.keypoints, None) for hand in inside] + self.false
        return [dataclasses.replace(roi, score=self.score) for roi in rois]

    def show(self, stamp, *hands, known=(), lost=(), room=2):
        self.observer.hands = self.hands = list(hands)
        self.observer.crops, self.views = 0, []
        return self.search(RGB, CAMERA, stamp, known, lost, room)


def test_while_no_hand_is_known_the_whole_image_is_searched_in_each_frame():
    scene = Scene()
    for k in range(20):
        scene.show(k * DT)
        assert scene.views[0] == WHOLE
    (hand,) = scene.show(1.0, SceneHand(300))
    assert hand.keypoints_px == pytest.approx(SceneHand(300).keypoints)


@pytest.mark.parametrize('known', (False, True))
def test_the_budget_is_kept_on_average_and_covers_all_views_in_turn(known):
    scene, seen, whole = Scene(), [], 0
    tracked = [SceneHand(300).observed()] if known else []
    for k in range(120):
        scene.show(k * DT, known=tracked)
        assert sum(view != WHOLE for view in scene.views) <= 1, 'no frame is much longer than the others'
        whole += WHOLE in scene.views
        seen += [view for view in scene.views if view != WHOLE]
    assert whole == (24 if known else 120)
    assert len(seen) * COSTS.view == pytest.approx(120 * BUDGET, abs=COSTS.view)
    cycle = steady_cycle(1280, 720)
    assert set(seen[: len(cycle)]) == set(cycle)
    assert len(cycle) * COSTS.view / BUDGET * DT < 1.0, 'seconds until a static scene is covered'


def test_a_proposal_that_costs_more_than_the_budget_is_paid_off_in_later_frames():
    scene = Scene()
    tracked = [SceneHand(100).observed()]
    views = []
    for k in range(60):
        scene.show(k * DT, SceneHand(100), known=tracked)
        views.append(sum(view != WHOLE for view in scene.views))
        if k == 20:  # something that is no hand: one crop rejects it
            scene.false = [roi_from_keypoints(SceneHand(500).keypoints, None)]
        elif scene.search.counts.proposals:
            scene.false = []
            paid = k
    assert sum(views[paid + 1 : paid + 6]) == 0, '23 ms are over seven budgets'
    assert sum(views) * COSTS.view + COSTS.proposal == pytest.approx(60 * BUDGET, abs=COSTS.view)


def test_a_rejected_region_is_not_examined_again_at_once():
    scene = Scene()
    scene.false = [roi_from_keypoints(SceneHand(500).keypoints, None)]
    examined = []
    for k in range(30):
        assert scene.show(k * DT) == []
        examined.append(scene.search.counts.proposals)
    assert 3 <= sum(examined) <= 4, 'each 0.3 s'
    scene.show(0.0)
    assert scene.search.counts.proposals, 'time went back'


def test_every_second_view_is_around_a_lost_hand():
    scene, sizes = Scene(needs=300), []
    lost = [Track(1, RIGHT, 1.0, SceneHand(400, size=40).keypoints)]
    for k in range(40):
        scene.show(k * DT, known=[SceneHand(100).observed()], lost=lost)
        sizes += [round(view.size_px) for view in scene.views if view != WHOLE]
    assert sizes[::2] == [160] * len(sizes[::2]), 'four hand sizes'
    assert 160 not in sizes[1::2]


def test_the_thorough_search_takes_all_views_of_one_image():
    scene = Scene(budget=0.0, needs=300)
    (hand,) = scene.show(0.0, SceneHand(500, size=30))
    assert hand.size_px == pytest.approx(30)
    assert tuple(scene.views) == thorough_views(1280, 720)
    assert scene.search.counts.views == len(scene.views) and scene.search.counts.found == 1


def test_a_part_of_a_hand_is_no_second_hand():
    """A finger is proposed before the hand that it belongs to, or after."""
    hand, finger = SceneHand(300, size=200), SceneHand(290, size=40)
    finger_roi = roi_from_keypoints(finger.keypoints - [0, 60], None)
    for known in ([hand.observed()], []):
        scene = Scene(budget=0.0)
        scene.false = [finger_roi]
        found = scene.show(0.0, hand, known=known, room=4)
        assert [round(each.size_px) for each in found] == ([] if known else [200])


def test_no_more_hands_are_found_than_there_is_room_for():
    hands = [SceneHand(100), SceneHand(300), SceneHand(500)]
    for budget in (0.0, BUDGET):
        assert len(Scene(budget).show(0.0, *hands, room=2)) == 2
        scene = Scene(budget)
        assert scene.show(0.0, *hands, room=0) == [] and not scene.views


def test_a_region_given_in_place_of_a_search_is_examined_alone():
    scene = Scene()
    scene.observer.hands = [SceneHand(100), SceneHand(400)]
    rois = [roi_from_keypoints(SceneHand(400).keypoints, None)]
    (hand,) = scene.search.at_regions(RGB, CAMERA, rois, [], 2)
    assert hand.keypoints_px == pytest.approx(SceneHand(400).keypoints) and not scene.views
    assert scene.search.at_regions(RGB, CAMERA, rois, [hand], 1) == [], 'it is known'


def half_hidden(scene):
    """Lets the landmark network see the hand at 300 with a presence of 0.6."""
    scene.observer.hands = scene.hands = [SceneHand(300)]
    nearest = scene.observer._nearest
    scene.observer._nearest = lambda roi: dataclasses.replace(
        nearest(roi), cues={**nearest(roi).cues, 'presence': np.array([[0.6]])}
    )
    return scene


@pytest.mark.parametrize('side, at, accepted', [(RIGHT, 310, True), (LEFT, 310, False), (RIGHT, 600, False)])
def test_a_lost_hand_that_is_half_hidden_is_found_again_without_the_check_of_a_new_one(side, at, accepted):
    lost = [Track(1, side, float(side == RIGHT), SceneHand(at).keypoints)]
    assert bool(half_hidden(Scene(score=0.3)).search(RGB, CAMERA, 0.0, [], lost, 2)) == accepted


@pytest.mark.parametrize(
    'score, needs, accepted', [(0.6, np.inf, True), (0.4, np.inf, False), (0.6, 700, False)]
)
def test_only_a_palm_that_is_plain_in_the_whole_image_needs_no_check(score, needs, accepted):
    scene = half_hidden(Scene(budget=0.0, needs=needs, score=score))
    assert bool(scene.search(RGB, CAMERA, 0.0, [], [], 2)) == accepted


@pytest.mark.parametrize('budget, crops', [(0.0, 4), (BUDGET, 2)])
def test_a_plain_palm_is_cropped_again_in_single_images_only(budget, crops):
    scene = Scene(budget)
    assert len(scene.show(0.0, SceneHand(300), room=1)) == 1 and scene.observer.crops == crops


@pytest.mark.parametrize('side, at, found', [(RIGHT, 358, 0), (LEFT, 358, 1), (RIGHT, 400, 1)])
def test_a_hand_close_to_a_tracked_one_of_its_side_is_that_one(side, at, found):
    """The landmarks of a track may be off while hands touch."""
    assert len(Scene().show(0.0, SceneHand(at, side), known=[SceneHand(300).observed()], room=2)) == found
