"""The measures of evaluate-video on records with planted faults, and the tracker on a rendered sequence."""

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from maskhand_ros import cli
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation import evaluate_video as video
from maskhand_ros.evaluation import trade_off
from maskhand_ros.evaluation import video_measures as measures
from maskhand_ros.evaluation.contact import contact_figures, entry_figures, seconds_until_followed
from maskhand_ros.evaluation.still_stretches import still_stretches
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.search import NominalCosts
from maskhand_ros.skeleton import KEYPOINT_EDGES

pytest.importorskip('moderngl', reason='needs the extra `train`')
from maskhand_ros.data_engine.sequences import SEQUENCES, play, with_cast  # noqa: E402
from maskhand_ros.data_engine.staging import Stage  # noqa: E402


@pytest.fixture(scope='module')
def watch_re_entry():
    """A function that runs a pipeline over a hand that leaves the picture and comes back."""
    try:
        shots = list(play('re-entry'))
    except RuntimeError as error:
        pytest.skip(str(error))

    def watch(**options):
        pipeline = HandPipeline(PipelineConfig(max_hands=4, **options))
        pipeline.search.costs = NominalCosts()
        return video.watch(pipeline, SEQUENCES['re-entry'].actors, shots)

    return watch


@pytest.fixture(scope='module')
def re_entry(watch_re_entry):
    """What the pipeline makes of it."""
    return watch_re_entry()


def changed(record, frame, actor, **values):
    """A copy of a Record in which one Hand has other values."""
    hands = [list(row) for row in record.hands]
    hands[frame][actor] = dataclasses.replace(hands[frame][actor], **values)
    return dataclasses.replace(record, hands=hands)


def test_a_hand_that_comes_back_keeps_its_id_and_its_side(re_entry):
    visible = re_entry.visible(SEQUENCES['re-entry'].camera)
    found = np.array([[hand is not None for hand in row] for row in re_entry.hands])
    assert found[visible].mean() > 0.95 and not found[:, 0].all(), 'it was away'
    assert (
        measures.id_switches(re_entry),
        measures.flips(re_entry),
        measures.operator_switches(re_entry),
    ) == (
        0,
        0,
        0,
    )
    assert re_entry.strangers == 0
    assert np.median(measures.wrist_errors(re_entry)['relative']) < 0.15


def test_planted_faults_are_counted(re_entry):
    last = len(re_entry.hands) - 1
    assert measures.id_switches(changed(re_entry, last, 1, id=99)) == 1
    assert measures.flips(changed(re_entry, last, 1, side=2)) == 1
    other = changed(changed(re_entry, last, 0, operator=False), last, 1, side=2, operator=True)
    assert measures.operator_switches(other) == 1


def test_an_actor_keeps_the_hand_of_its_id_while_both_are_near():
    """Two hands of 100 px, 10 px apart: which of them is nearer decides only without an id."""
    square = np.stack(np.meshgrid([0.0, 50, 100], np.linspace(0, 100, 7)), -1).reshape(21, 2)
    hands = [SimpleNamespace(id=id, keypoints_px=square + [x, 0]) for id, x in ((7, 8.0), (8, 2.0))]
    pixels = [square, square + [10, 0]]
    assert video.match(hands, pixels, [0, 0]) == [1, 0]
    assert video.match(hands, pixels, [7, 8]) == [0, 1]
    apart = [square, square + [60, 0]]
    hands[0].keypoints_px = square + [60, 0]
    assert video.match(hands, apart, [7, 8]) == [1, 0], 'too far away to be the one of before'
    assert video.match(hands[:1], pixels, [0, 0]) == [None, None]


def test_figures_of_hands_that_touch_are_those_that_were_put_in(re_entry):
    visible = re_entry.visible(SEQUENCES['re-entry'].camera).all(1)
    frames = [frame for frame in np.flatnonzero(visible) if all(re_entry.hands[frame])]
    begin, end = SEQUENCES['clasp'].touch
    touching = [frame for frame in frames if begin <= re_entry.seconds[frame] <= end]

    def measured(record):
        switches, wrong, given, error = contact_figures({'clasp': [record]})
        return switches.value, wrong.value, given.value, error.value

    share = 100 * len([row for row in re_entry.hands if all(row)]) / len(re_entry.hands)
    assert measured(re_entry)[:3] == (0, 0, pytest.approx(share))
    last = frames[-1]
    assert measured(changed(re_entry, last, 1, id=99))[0] == 1
    assert measured(changed(re_entry, last, 1, side=2))[1] == 1
    rows = [[None, None] if frame % 2 else row for frame, row in enumerate(re_entry.hands)]
    without = dataclasses.replace(re_entry, hands=rows)
    assert measured(without)[2] == pytest.approx(share / 2, abs=2)
    shifted = re_entry
    for frame in touching:
        for actor in (0, 1):
            truth, hand = re_entry.truth[frame][actor], re_entry.hands[frame][actor]
            keypoints = truth - truth[0] + hand.wrist_position + [0.01, 0, 0] * (np.arange(21) > 0)[:, None]
            shifted = changed(shifted, frame, actor, keypoints=keypoints)
    alone = dataclasses.replace(
        shifted, hands=[row if k in touching else [None, None] for k, row in enumerate(shifted.hands)]
    )
    assert measured(alone)[3] == pytest.approx(10 * 20 / 21)
    assert not contact_figures({'clasp': [without]})[2].held


def test_the_wait_for_a_hand_that_enters_counts_from_when_it_is_shown(re_entry):
    name, model = 'far from the left', re_entry.hands[0][1]
    sequence, frames = SEQUENCES[name], 60

    def record(first):
        truth = np.zeros((frames, 1, 21, 3)) + [0, 0, 5]
        truth[:10, ..., 0] = -4  # outside
        hands = [[model if frame >= first else None] for frame in range(frames)]
        seconds = (np.arange(frames) / 30).tolist()
        return measures.Record(sequence.actors, seconds, list(truth), hands)

    assert seconds_until_followed(record(25), sequence.camera) == pytest.approx(0.5)
    assert seconds_until_followed(record(frames), sequence.camera) == np.inf
    (figure,) = entry_figures({name: [record(25), record(25), record(25), record(25), record(50)]})
    assert (figure.value, figure.held) == (80, True)
    assert not entry_figures({name: [record(25), record(frames)]})[0].held


def points_on_bones(keypoints):
    """Points (T, 180, 3) on the bones of hands (T, 21, 3)."""
    start, end = (keypoints[:, edge, None] for edge in KEYPOINT_EDGES.T)
    return (start + np.linspace(0, 1, 9)[:, None] * (end - start)).reshape(len(keypoints), -1, 3)


@pytest.mark.parametrize('name', [name for name, sequence in SEQUENCES.items() if sequence.touch])
def test_hands_of_the_touching_sequences_touch_and_do_not_pass_through_each_other(name):
    """Their bones come as near as those of hands whose skin touches. While fingers fold in a clasp they may
    be nearer for a moment."""
    try:
        stage = Stage()
    except RuntimeError as error:
        pytest.skip(str(error))
    for cast in range(4):
        sequence = with_cast(name, cast)
        times = np.arange(*sequence.touch, 1 / 15)
        left, right = (keypoints for _, keypoints in stage.act(sequence.actors, times))
        bones = [points_on_bones(hand) for hand in (left, right)]
        nearest = np.array([cdist(*pair).min() for pair in zip(*bones, strict=True)])
        assert nearest.min() < 0.035 and np.median(nearest) > 0.006


def late_and_shaken(model):
    """Records of the Hand `model`: a wave of 2 Hz, seen 25 ms late, and rest with 1 mm of noise an axis."""
    seconds = np.arange(120) / 30

    def wave(times):
        return np.stack([0.1 * np.sin(4 * np.pi * times), 0 * times, 0 * times + 0.5], 1)

    noise = 0.001 * np.random.default_rng(0).standard_normal((120, 3))
    truth = [np.tile(place, (1, 21, 1)) for place in wave(seconds)]
    return [
        measures.Record(
            SEQUENCES['wave'].actors,
            seconds.tolist(),
            truth,
            [[dataclasses.replace(model, wrist_position=place)] for place in places],
        )
        for places in (wave(seconds - 0.025), noise + [0, 0, 0.5])
    ]


def test_lag_and_jitter_are_those_that_were_put_in(re_entry):
    late, shaken = late_and_shaken(re_entry.hands[0][0])
    assert measures.lag(late) == pytest.approx(0.025, abs=0.003)
    rest = measures.jitter(shaken, (0.0, 4.0))
    assert rest['lateral_mm'] == pytest.approx(np.sqrt(2), rel=0.2) and rest['keypoints_mm'] < 1e-6
    assert rest['range'] == pytest.approx(0.002, rel=0.2)


def test_the_trade_off_filters_as_the_pipeline_does(watch_re_entry, re_entry):
    replayed = trade_off.smoothed(watch_re_entry(smoothing='off'), factor=1.0)
    for expected, found in zip(re_entry.hands, replayed.hands, strict=True):
        for there, here in zip(expected, found, strict=True):
            assert (there is None) == (here is None)
            assert here is None or here.wrist_position == pytest.approx(there.wrist_position, abs=1e-9)


def test_the_trade_off_is_drawn_from_steady_and_late_to_as_measured(re_entry, monkeypatch, tmp_path, capsys):
    late, shaken = late_and_shaken(re_entry.hands[0][0])
    found = trade_off.points(late, shaken, SEQUENCES['still'].still)
    lags, across, along = np.array(list(found.values())).T
    assert list(found)[-1] == 'off' and '1' in found
    assert lags[-1] == pytest.approx(25, abs=3) and across[-1] == pytest.approx(np.sqrt(2), rel=0.2)
    assert (np.diff(lags) < 0).all() and (np.diff(across) > 0).all() and (np.diff(along) > 0).all()

    played = iter([late, shaken])
    monkeypatch.setattr(video, 'watch', lambda *_: next(played))
    assert cli.main(['evaluate-video', '--trade-off', str(tmp_path / 'curve.png')]) == 0
    assert trade_off.text(found) in capsys.readouterr().out
    assert (cv2.imread(str(tmp_path / 'curve.png'))[..., ::-1] == trade_off.chart(found)).all()


def test_a_limit_that_is_missed_is_said_and_ends_the_command_with_one(monkeypatch, capsys):
    monkeypatch.setattr(video, 'watch', lambda *args, **options: measures.Record(()))
    monkeypatch.setattr('maskhand_ros.data_engine.sequences.play', lambda *_: [])
    for value, status in ((1.0, 0), (3.0, 1)):
        monkeypatch.setattr(video, 'figures', lambda *_, v=value: [video.Figure('error', v, 0, 2, 'mm')])
        assert cli.main(['evaluate-video', '--sequences', 'wave']) == status
        assert ('MISSED' in capsys.readouterr().out) == bool(status)


class Shaking:
    """A pipeline that finds one hand in the middle of every picture, drifting, with a wrist that shakes by
    1 mm across the view."""

    def __init__(self, hand):
        self._hand, self._rng, self._frames = hand, np.random.default_rng(0), 0

    def reset(self):
        self._frames = 0

    def process(self, frame):
        self._frames += 1
        place = [0.001 * self._frames + 0.001 * self._rng.standard_normal(), 0, 0.5]
        return [dataclasses.replace(self._hand, wrist_position=np.array(place), roi=(200, 100, 240, 240))]


def test_jitter_of_a_real_video_is_measured_where_its_hand_holds_still(re_entry, tmp_path):
    scene = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (480, 900, 3), np.uint8), (0, 0), 2)
    path = str(tmp_path / 'hand.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 30, (640, 480))
    for frame in range(60):
        moved = min(4 * frame, 80)  # still from the 21st frame on
        writer.write(scene[:, moved : moved + 640])
    writer.release()
    found = still_stretches(Shaking(re_entry.hands[0][0]), path)
    assert len(found.range) == 1 and 36 <= found.frames <= 41
    assert found.lateral_mm[0] == pytest.approx(1.0, rel=0.3) and found.keypoints_mm[0] < 1e-6
    with pytest.raises(CommandError, match='nothing.mp4'):
        still_stretches(Shaking(re_entry.hands[0][0]), tmp_path / 'nothing.mp4')
