"""Side of a hand and its probability, on frames of the bundled clip (a left and a right hand) with what the
landmark network says of the side replaced."""

import dataclasses

import numpy as np
import pytest

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.placement import Placement
from maskhand_ros.perception.side import SideComparison
from maskhand_ros.perception.track import Track
from maskhand_ros.perception.types import Frame
from maskhand_ros.skeleton import LEFT, RIGHT

PERIOD_NS = 33_000_000


@pytest.fixture(scope='module')
def shots(clip):
    """Every 20th frame with both hands wholly in it: [(rgb, {side: keypoints (21, 3) m})]."""
    return [
        (rgb, dict(zip((LEFT, RIGHT), clip.keypoints[number], strict=True)))
        for number, rgb in enumerate(clip.frames())
        if number % 20 == 0 and clip.visible[number].all()
    ]


class Handedness:
    """A pipeline whose landmark network's handedness goes through `said` (handedness -> handedness); `crops`
    counts the crops that the network was given."""

    def __init__(self, config=None):
        self.pipeline = HandPipeline(config)
        self.said, self.crops = lambda handedness: handedness, 0
        self._network = self.pipeline._tracker._observer._cues
        self.pipeline._tracker._observer._cues = self._cues

    def _cues(self, crops):
        self.crops += len(crops)
        cues = self._network(crops)
        return {**cues, 'handedness': self.said(cues['handedness']).astype(np.float32)}


@pytest.fixture(scope='module')
def biased():
    return Handedness()


def camera_of(clip, rgb):
    return Camera(clip.K, rgb.shape[1], rgb.shape[0])


def wrong(handedness):
    """Leans to the side that the hand is not, with a probability of 0.65."""
    return np.where(handedness > 0.5, 0.35, 0.65)


def unsure(handedness):
    return np.full_like(handedness, 0.5)


@pytest.mark.parametrize(('said', 'share'), ((unsure, 0.9), (wrong, 0.7)))
def test_a_side_in_doubt_is_that_of_the_better_reconstruction(clip, shots, biased, said, share):
    biased.said = said
    on_their_side = 0
    for rgb, truth in shots:
        biased.pipeline.reset()
        hands = biased.pipeline.process(Frame(rgb, 0, camera_of(clip, rgb)))
        assert len(hands) == 2 and all(0.5 <= hand.side_probability <= 1 for hand in hands)
        for hand in hands:
            relative = truth[hand.side] - truth[hand.side][0]
            error = np.linalg.norm(hand.keypoints - hand.keypoints[0] - relative, axis=1).mean()
            on_their_side += error < 0.02
    assert on_their_side >= share * 2 * len(shots)


def test_a_first_look_that_is_wrong_is_revised(clip, shots, biased):
    rgb, _ = shots[0]
    looks = []

    def first_look_wrong(handedness):
        looks.append(handedness)
        return 1 - handedness if len(looks) % 3 == 1 else handedness

    biased.said = first_look_wrong
    biased.pipeline.reset()
    hands = biased.pipeline.process(Frame(rgb, 0, camera_of(clip, rgb)))
    assert len(looks) == 6  # three crops a hand
    assert sorted(hand.side for hand in hands) == [LEFT, RIGHT]
    assert all(hand.side_probability > 0.75 for hand in hands)


def test_a_side_that_is_given_is_kept(clip, shots, biased):
    rgb, truth = shots[0]
    camera = camera_of(clip, rgb)
    biased.said = wrong
    for side, keypoints in truth.items():
        biased.pipeline.reset()
        before = biased.crops
        (hand,) = biased.pipeline.process(
            Frame(rgb, 0, camera), [roi_from_keypoints(camera.project(keypoints), side)]
        )
        assert (hand.side, hand.side_probability, biased.crops - before) == (side, 0.5, 2)


@pytest.mark.parametrize('mirrored', (False, True), ids=('plain', 'mirrored'))
def test_no_probability_of_a_published_side_is_below_a_half(clip, mirrored):
    rng = np.random.default_rng(0)
    noisy = Handedness(PipelineConfig(mirrored_input=mirrored))
    # Runs of frames that say one side, then another: sides turn, and tracks are within their hysteresis.
    level = 0.0
    sides, number_of_hands = set(), 0

    def said(handedness):
        return np.clip(level + rng.normal(0, 0.2, handedness.shape), 0, 1)

    noisy.said = said
    for number, rgb in enumerate(clip.frames()):
        level = (number // 15 % 3) / 2
        frame = Frame(rgb, number * PERIOD_NS, camera_of(clip, rgb))
        for hand in noisy.pipeline.process(frame):
            assert 0.5 <= hand.side_probability <= 1
            sides.add((hand.id, hand.side))
            number_of_hands += 1
    assert number_of_hands > 100
    assert len(sides) > len({id for id, _ in sides}), 'some track has changed sides'


def test_a_followed_hand_keeps_its_side_without_further_looks(clip, shots, biased):
    rgb, _ = shots[0]
    biased.said = lambda handedness: handedness
    biased.pipeline.reset()
    times = iter(range(1000))

    def show():
        before = biased.crops
        hands = biased.pipeline.process(Frame(rgb, next(times) * PERIOD_NS, camera_of(clip, rgb)))
        return {hand.id: hand for hand in hands}, biased.crops - before

    first, _ = show()
    sides = {id: hand.side for id, hand in first.items()}
    biased.said = wrong
    probabilities = []
    for _ in range(30):
        hands, crops = show()
        assert crops == 2, 'one crop a hand'
        assert {id: hand.side for id, hand in hands.items()} == sides
        probabilities.append(min(hand.side_probability for hand in hands.values()))
    assert probabilities[0] > 0.75 and probabilities[-1] == 0.5 and min(probabilities) == 0.5
    biased.said = lambda handedness: 1 - handedness
    for _ in range(60):
        hands, _ = show()
        assert all(hand.side_probability >= 0.5 for hand in hands.values())
    assert all(hands[id].side != side for id, side in sides.items())


def test_confidences_weigh_against_the_prior_and_what_no_hand_can_be_loses(shots, clip, biased):
    rgb, truth = shots[0]
    camera, tracker = camera_of(clip, rgb), biased.pipeline._tracker
    biased.said = unsure
    pixels = camera.project(truth[RIGHT])
    left, right = tracker._observer(rgb, camera, [roi_from_keypoints(pixels, side) for side in (LEFT, RIGHT)])
    reconstructor, hand_model = biased.pipeline._reconstruct, biased.pipeline.hand_model
    place = Placement(hand_model, hand_model)  # leaves the confidence as it is

    class Confident:
        def __init__(self, *confidence):
            self.confidence = np.array(confidence)

        def estimate(self, cues):
            return dataclasses.replace(reconstructor.estimate(cues), confidence=self.confidence)

    def compare(confidences, prior, reasons=(None, None)):
        comparison = SideComparison(Confident(*confidences), place, lambda placed: list(reasons))
        return comparison(left, right, prior, rgb, camera)

    assert compare((0.8, 0.8), 0.4) == pytest.approx(0.4)
    assert compare((0.6, 0.9), 0.5) == pytest.approx(0.4 * 0.9 / (0.4 * 0.9 + 0.6 * 0.1))
    assert compare((0.2, 0.9), 0.3) > 0.5 > compare((0.6, 0.9), 0.05)
    assert compare((0.6, 0.9), 0.5, (None, 'joint limits')) < 0.1
    assert compare((0.6, 0.9), 0.4, ('joint limits', 'joint limits')) == pytest.approx(0.4)


def test_of_two_tracks_on_one_hand_the_one_whose_hand_it_is_follows_it(biased, shots, clip):
    """The older track has run into the other's hand: the younger one, whose side and place the hand has,
    keeps it."""
    rgb, truth = shots[0]
    camera, tracker = camera_of(clip, rgb), biased.pipeline._tracker
    tracker.reset()
    rois = [roi_from_keypoints(camera.project(truth[RIGHT]), side) for side in (LEFT, RIGHT)]
    as_left, as_right = tracker._observer(rgb, camera, rois)
    strayed, own = (
        Track(1, LEFT, 0.05, as_left.keypoints_px + 40),
        Track(2, RIGHT, 0.95, as_right.keypoints_px),
    )
    tracker.tracks = [strayed, own]
    followed = tracker.follow(rgb, camera)
    assert [track.id for track, _ in followed] == [2]
    assert (strayed.time_since_update, own.time_since_update) == (1, 0)
