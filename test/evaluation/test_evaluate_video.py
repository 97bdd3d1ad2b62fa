"""The measures of evaluate-video on records with planted faults, and the tracker on a rendered sequence."""

import dataclasses

import cv2
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation import evaluate_video as video
from maskhand_ros.evaluation import trade_off
from maskhand_ros.evaluation import video_measures as measures
from maskhand_ros.evaluation.still_stretches import still_stretches
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.search import NominalCosts

pytest.importorskip('moderngl', reason='needs the extra `train`')
from maskhand_ros.data_engine.sequences import SEQUENCES, play  # noqa: E402


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
