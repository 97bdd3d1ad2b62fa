"""Real-hand evaluation: paired differences and their intervals, the peer's contract, re-defined keypoints."""

import json
import os
import stat
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.clip import read_clip
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation import peer, sheets
from maskhand_ros.evaluation.evaluate_scores import Score, differences, standardised_errors
from maskhand_ros.evaluation.peer_keypoints import Redefinition
from maskhand_ros.geometry import project, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import LEFT


def _scored(values, sequences, source='made'):
    return [
        (SimpleNamespace(source=source, sequence=name), Score(np.isfinite(value), mpjpe_mm=value))
        for value, name in zip(values, sequences, strict=True)
    ]


def test_pairing_cancels_what_both_find_hard_and_blocks_widen():
    rng = np.random.default_rng(0)
    hard = 20 + np.repeat(6 * rng.standard_normal(40), 10)  # ten pictures of a motion are alike
    gain = -1 + np.repeat(rng.standard_normal(40), 10)
    ours, theirs = hard + gain, hard.copy()
    ours[3] = theirs[7] = np.nan  # a hand that only one of them found counts for neither
    motion, alone = ['m'] * 400, [None] * 400
    gap = {
        name: differences(_scored(ours, s), _scored(theirs, s))['made']['mpjpe_mm']
        for name, s in {'motion': motion, 'alone': alone}.items()
    }
    both = np.isfinite(ours - theirs)
    for entry in gap.values():
        assert entry['hands'] == 398 and entry['mean'] == pytest.approx(np.mean((ours - theirs)[both]))
    low, high = gap['alone']['interval95']
    # Of independent pictures: mean +- 1.96 standard errors.
    assert high - low == pytest.approx(2 * 1.96 * np.std((ours - theirs)[both]) / np.sqrt(398), rel=0.1)
    # Ten alike are worth one: about sqrt(10) as wide, and 20 in a block see nearly all of that.
    wide = gap['motion']['interval95']
    assert 2.2 < (wide[1] - wide[0]) / (high - low) < 4
    assert high < 0  # the gain shows, although the error itself varies six times as much


def test_paired_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        gap = 0.5 + rng.standard_normal(60)
        low, high = differences(_scored(gap, [None] * 60), _scored(np.zeros(60), [None] * 60))['made'][
            'mpjpe_mm'
        ]['interval95']
        held += low <= 0.5 <= high
    assert 88 <= held <= 99


def test_errors_over_their_deviation_are_taken_along_the_viewing_ray():
    ray = np.array([0.3, -0.2, 1.0])
    truth = 0.5 * ray + 0.02 * np.random.default_rng(0).standard_normal((21, 3))
    ray = truth.mean(0) / np.linalg.norm(truth.mean(0))
    predicted = truth + np.where(np.arange(21) > 0, 0.03, 0)[:, None] * ray
    hand = SimpleNamespace(keypoint_stddev=np.full(21, 0.001), keypoint_stddev_depth=np.full(21, 0.01))
    assert standardised_errors(predicted, truth, hand) == pytest.approx(
        np.tile([0, 0, 3.0], (20, 1)), abs=1e-9
    )


@pytest.fixture(scope='module')
def bent_hands():
    """Two hands in the sets `mediapipe` and `mano`, turned at random: {set: (2, 21, 3)}."""
    rng = np.random.default_rng(0)
    pose = rotvec_to_matrix(rng.uniform(0, 0.6, (2, 15, 1)) * np.array([0, 0, 1.0]))
    orient = rotvec_to_matrix(rng.standard_normal((2, 3)))
    return {
        name: HandModel.load(keypoint_set=name)(np.zeros((2, 10)), orient, pose, vertices=False).keypoints
        for name in ('mediapipe', 'mano')
    }


def test_redefined_keypoints_go_where_the_other_set_lies_on_either_hand(bent_hands):
    pytest.importorskip('scipy')
    start, goal = bent_hands['mediapipe'].astype(float), bent_hands['mano'].astype(float)
    redefine = Redefinition('mano')
    mirror = np.array([-1.0, 1, 1])
    for here, there in zip(start, goal, strict=True):
        before = np.linalg.norm(here - there, axis=1).mean()
        assert np.linalg.norm(redefine(here) - there, axis=1).mean() < 0.5 * before
        assert redefine(here * mirror, left=True) == pytest.approx(redefine(here) * mirror)
        pixels = 900 * here[:, :2] + 300
        assert redefine.in_image(pixels, here) == pytest.approx(900 * redefine(here)[:, :2] + 300)
    assert Redefinition('mediapipe')(start[0]) == pytest.approx(start[0], abs=1e-7)


def test_the_worst_and_a_random_choice_never_overlap():
    badness = [5, np.nan, np.inf, 1, 2, 9, 3, 4]
    worst, random = sheets.choose(badness, 2)
    assert worst == [2, 5] and set(random) <= {3, 4, 6, 7} and len(random) == 2
    tile = sheets.tile(np.zeros((50, 60, 3), np.uint8), np.zeros((50, 60, 3), np.uint8), (5, 5, 9, 20), 'x')
    assert sheets.contact_sheet([tile] * 5).shape == (2 * tile.shape[0], 4 * tile.shape[1], 3)


@pytest.fixture
def fake_environment(tmp_path, monkeypatch):
    """A cache folder whose peer environment is an executable that answers in MediaPipe's stead."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    folder = peer.environment_folder()
    assert tmp_path in folder.parents
    (folder / 'bin').mkdir(parents=True)
    (folder / 'complete.txt').write_text('\n'.join((*peer.ALONE, *peer.BESIDE)))
    python = folder / 'bin' / 'python'

    def answer(body):
        python.write_text(
            f'#!{sys.executable}\nimport json, sys\nisolated, script, asked, answered = sys.argv[1:]\n{body}'
        )
        python.chmod(python.stat().st_mode | stat.S_IXUSR)

    return answer


@pytest.fixture(scope='module')
def clip_index(tmp_path_factory):
    """One frame of the bundled clip as an index with its truth; that truth (2, 21, 3), pixels likewise."""
    folder, clip = tmp_path_factory.mktemp('peer'), read_clip()
    number = int(np.flatnonzero(clip.visible.all(1))[0])
    cv2.imwrite(str(folder / 'a.png'), cv2.cvtColor(list(clip.frames())[number], cv2.COLOR_RGB2BGR))
    points = clip.keypoints[number].astype(float)
    pixels = np.stack([project(hand, clip.K) for hand in points])
    entries = [
        {
            'image': 'a.png',
            'source': 'clip',
            'handedness': side,
            'camera_K': clip.K.tolist(),
            'keypoints_2d': pixels[k].tolist(),
            'keypoints_3d_mm': (1000 * points[k]).tolist(),
        }
        for k, side in enumerate(('left', 'right'))
    ]
    (folder / 'index.json').write_text(json.dumps(entries))
    return folder / 'index.json', points, pixels


def test_peer_is_asked_once_scored_twice_and_compared_by_hand(fake_environment, clip_index, tmp_path):
    pytest.importorskip('scipy')
    index, points, pixels = clip_index
    truth = {
        'side': 'left',
        'score': 0.9,
        'keypoints_px': (pixels[0] + 2).tolist(),
        'world_landmarks': (points[0] - 0.3).tolist(),
    }
    fake_environment(
        'assert isolated == "-I" and script.endswith("peer_mediapipe.py")\n'
        'request = json.load(open(asked))\n'
        'assert set(request) == {"images", "max_hands", "threshold", "video"}\n'
        'assert len(request["images"]) == 1 and not request["video"]\n'
        f'hands = {{path: [{truth}] for path in request["images"]}}\n'
        'json.dump({"version": "fake", "hands": hands}, open(answered, "w"))\n'
    )
    out, sheet = tmp_path / 'out.json', tmp_path / 'sheet'
    words = ['evaluate', str(index), '--peer', 'mediapipe', '--json', str(out), '--sheet', str(sheet)]
    words += ['--keypoint-set', 'anatomical']
    assert cli.main(words) == 0
    report = json.loads(out.read_text())
    raw, moved = (report['clip']['peer'][f'mediapipe fake {name}'] for name in ('raw', 'redefined'))
    assert (raw['hands'], raw['found'], raw['missed'], raw['wrong_side']) == (2, 1, 1, 0)
    # World landmarks are taken along the picture's axes, from the wrist: the planted hand is perfect.
    assert raw['mpjpe_mm'] == pytest.approx(0, abs=1e-6) and moved['mpjpe_mm'] > 1
    assert 0 < raw['err2d_over_box'] < moved['err2d_over_box']
    first = report['entries'][0]
    gap = raw['difference']['mpjpe_mm']
    assert gap['hands'] == 1 and gap['mean'] == pytest.approx(first['mpjpe_mm'], abs=1e-6)
    assert (
        first['peer']['mediapipe fake raw']['found']
        and not report['entries'][1]['peer']['mediapipe fake raw']['found']
    )
    assert cv2.imread(str(sheet / 'clip_worst.png')).shape[1] == 4 * 2 * sheets.TILE


def test_an_unreadable_picture_is_reported_and_its_hands_are_missed(
    fake_environment, clip_index, tmp_path, capsys
):
    pytest.importorskip('scipy')
    index, _, _ = clip_index
    entries = json.loads(index.read_text())
    cut = {**entries[0], 'image': 'cut.jpg'}
    picture = cv2.imread(str(index.parent / 'a.png'))
    (tmp_path / 'cut.jpg').write_bytes(cv2.imencode('.jpg', picture)[1].tobytes()[:9000])
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    (tmp_path / 'index.json').write_text(json.dumps([cut, *entries]))
    fake_environment(
        'paths = json.load(open(asked))["images"]\n'
        'assert len(paths) == 1 and paths[0].endswith("a.png"), paths\n'
        'json.dump({"version": "fake", "hands": {paths[0]: []}}, open(answered, "w"))\n'
    )
    out, sheet = tmp_path / 'out.json', tmp_path / 'sheet'
    words = ['evaluate', str(tmp_path / 'index.json'), '--peer', 'mediapipe']
    assert cli.main([*words, '--json', str(out), '--sheet', str(sheet)]) == 1
    assert 'cut.jpg is a JPEG that ends before its image data does. Fix:' in capsys.readouterr().err
    report = json.loads(out.read_text())
    assert list(report['unreadable']) == ['cut.jpg']
    ours, theirs = report['clip'], report['clip']['peer']['mediapipe fake raw']
    assert (ours['hands'], ours['found'], ours['missed']) == (3, 2, 1)
    assert (theirs['hands'], theirs['found'], theirs['missed']) == (3, 0, 3)
    assert ours['pck']['0.15'] <= 2 / 3 + 1e-9


def test_a_peer_that_fails_says_why_in_one_line(fake_environment):
    fake_environment('sys.exit("no GPU, no hope")')
    with pytest.raises(CommandError, match='MediaPipe failed for the peer: no GPU, no hope. Fix: remove'):
        peer.ask_mediapipe(['a.png'])
    fake_environment('json.dump({"version": "fake", "hands": {}}, open(answered, "w"))')
    with pytest.raises(CommandError, match='no answer for a.png'):
        peer.ask_mediapipe(['a.png'])


def test_unfinished_environment_on_another_python_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(sys, 'version_info', (3, 99, 0))
    with pytest.raises(CommandError, match='no wheel for Python 3.99.*3.10 to 3.12'):
        peer.environment_python()


@pytest.mark.skipif('MASKHAND_TEST_PEER' not in os.environ, reason='MASKHAND_TEST_PEER installs MediaPipe')
def test_mediapipe_itself_finds_the_hands_of_the_clip(clip_index):
    index, _, pixels = clip_index
    picture = index.parent / 'a.png'
    answer, version = peer.ask_mediapipe([picture])
    assert version == peer.VERSION
    found = {hand.side: hand for hand in answer[picture]}
    assert np.abs(found[LEFT].keypoints_px - pixels[0]).mean() < 15
    assert found[LEFT].keypoints_wrist.shape == (21, 3)
    times = peer.time_mediapipe([picture, picture, picture]).without_first(1)
    assert times.hands.tolist() == [2, 2] and (0 < times.seconds).all() and (times.cpu_seconds < 1).all()
