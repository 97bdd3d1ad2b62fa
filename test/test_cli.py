"""The command line: errors are one line with a fix; numbers and files agree."""

import json
import pathlib
import re
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.clip import CLIP, read_clip
from maskhand_ros.evaluation import labels
from maskhand_ros.evaluation.evaluate_scores import score_hand
from maskhand_ros.evaluation.matching import match
from maskhand_ros.geometry import project
from maskhand_ros.options import PARAMETERS
from maskhand_ros.skeleton import LEFT

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    'words, status, says',
    [
        ([], 2, ''),
        (['imagine'], 2, 'Choose one of: demo, image'),
        (['train', 'horse'], 2, 'Choose one of: data'),
        (['image'], 2, 'required: IMAGE'),
        (['image', 'nowhere.png'], 1, 'no file or folder nowhere.png. Fix:'),
        (['image', 'EMPTY'], 1, 'no images in'),
        (['video', 'nowhere.mp4'], 1, 'no file nowhere.mp4. Fix:'),
        (['video', 'TEXT'], 1, 'is not a video that'),
        (['bench', '--size', 'big'], 2, '640x480'),
        (['bench', '--teleop'], 1, 'give --ros too'),
        (['bench', '--ros', '--peer', 'mediapipe'], 1, '--peer measures without ROS'),
        (['teleop', '--camera', '0'], 1, 'give --ros too'),
        (['evaluate', 'TEXT'], 1, 'is not JSON'),
        (['convert-mano', 'nowhere.pkl'], 1, 'mano.is.tue.mpg.de'),
    ],
)
def test_mistakes_get_one_line_with_the_fix(words, status, says, tmp_path, capsys):
    (tmp_path / 'text.json').write_text('not json, not a video')
    (tmp_path / 'empty').mkdir()
    words = [
        {'EMPTY': str(tmp_path / 'empty'), 'TEXT': str(tmp_path / 'text.json')}.get(word, word)
        for word in words
    ]
    assert cli.main(words) == status
    error = capsys.readouterr().err
    assert says in error and 'Traceback' not in error
    if words and says.isascii() and not says.startswith('Choose'):
        assert error.count('\n') == 1


def test_help_of_every_command_that_is_installed(capsys):
    assert cli.main(['--help']) == 0
    listed = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command in listed
    for command in ('image', 'video', 'bench', 'evaluate', 'convert-mano'):
        assert cli.main([command, '--help']) == 0


def test_the_table_of_commands_is_whole():
    table = (ROOT / 'docs/training.md').read_text().split('## Commands')[1].split('\n## ')[0]
    named = [
        command
        for row in re.findall(r'^\| (`.*?) \|', table, re.M)
        for command in re.findall(r'`([\w-]+)', row)
    ]
    assert sorted(named) == sorted(cli.COMMANDS)


def test_picture_commands_import_neither_torch_nor_ros(tmp_path):
    code = (
        "import sys; from maskhand_ros import cli; assert cli.main(['image', '--help']) == 0; "
        "assert cli.main(['evaluate', '--help']) == 0; import maskhand_ros.perception.pipeline; "
        "assert not {'torch', 'rclpy', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)


def test_the_parameter_page_shows_the_parameters_that_ship():
    text = (ROOT / 'docs/parameters.md').read_text()
    block = re.search(r'<!-- parameters -->\n```yaml\n(.*?)```', text, re.S).group(1)
    assert block == (ROOT / 'config/hand.yaml').read_text()
    rows = re.findall(r'^\| `(\w+)` \| ..+ \|$', text, re.M)
    assert rows == list(PARAMETERS), 'a row for each, that says when to change it'


PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), ROOT / 'maskhand_ros/weights/CARD.md']


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_pages_name_commands_and_files_that_exist(page):
    text = page.read_text()
    for command in re.findall(r'^maskhand ([\w-]+)', text, re.M):
        assert command in cli.COMMANDS, command
    for link in re.findall(r'\]\((?!http)([^)#]+)\)', text):
        assert (page.parent / link).exists(), link


@pytest.fixture(scope='module')
def clip_images(tmp_path_factory):
    """Three frames of the bundled clip with both hands in view, as PNG files, and an index of their truth."""
    folder = tmp_path_factory.mktemp('clip')
    clip = read_clip()
    frames = list(clip.frames())
    chosen = np.flatnonzero(clip.visible.all(1))
    entries = []
    for number in chosen[[len(chosen) // 4, len(chosen) // 2, 3 * len(chosen) // 4]]:
        name = f'{number:04d}.png'
        cv2.imwrite(str(folder / name), cv2.cvtColor(frames[number], cv2.COLOR_RGB2BGR))
        for column, side in enumerate(('left', 'right')):
            entries.append(_entry(name, side, clip.keypoints[number, column], clip.K))
    return folder, entries, clip


def _entry(name, side, keypoints, K):
    return {
        'image': name,
        'source': 'clip',
        'sequence': 'clip',
        'handedness': side,
        'bbox': None,
        'camera_K': K.tolist(),
        'keypoints_2d': project(keypoints, K).tolist(),
        'keypoints_3d_mm': (1000 * keypoints).tolist(),
    }


@pytest.mark.parametrize('boxes', ['detect', 'given'])
def test_evaluate_measures_the_clip_and_counts_a_planted_miss(clip_images, tmp_path, boxes):
    folder, entries, clip = clip_images
    cv2.imwrite(str(folder / 'empty.png'), np.full((480, 640, 3), 90, np.uint8))
    planted = [
        _entry('empty.png', 'left', clip.keypoints[len(clip.keypoints) // 2, 0], clip.K),
        {
            'image': 'empty.png',
            'source': 'nothing labelled',
            'handedness': None,
            'bbox': None,
            'keypoints_2d': None,
        },
    ]
    (folder / 'again.png').write_bytes((folder / entries[0]['image']).read_bytes())
    wrong = [dict(entries[0], image='again.png', source='wrong side', handedness='right')]
    index, out = folder / f'{boxes}.json', tmp_path / 'out.json'
    index.write_text(json.dumps(entries + planted + wrong))
    assert cli.main(['evaluate', str(index), '--boxes', boxes, '--json', str(out)]) == 0
    report = json.loads(out.read_text())
    figures = report['clip']
    assert (figures['hands'], figures['found'], figures['missed'], figures['wrong_side']) == (7, 6, 1, 0)
    assert 0 < figures['pa_mpjpe_mm'] < 15 and 0 < figures['pa15_mpjpe_mm'] < 15
    assert figures['pa_mpjpe_mm'] <= figures['mpjpe_mm'] < 40
    assert 0 < figures['err2d_over_box'] < 0.1
    assert figures['pck']['0.15'] <= 6 / 7 + 1e-9  # the missed hand's keypoints count as wrong
    low, high = figures['interval95']['pa_mpjpe_mm']
    assert low <= figures['pa_mpjpe_mm'] <= high
    assert report['wrong side']['wrong_side'] == (boxes == 'detect')  # a given side is believed
    assert report['nothing labelled']['found'] == 0 and report['nothing labelled']['pa_mpjpe_mm'] is None


def test_two_labels_never_share_a_hand(clip_images):
    _, entries, _ = clip_images
    three = [labels.label_from(entry) for entry in (entries[0], entries[0], entries[1])]
    hands = [
        SimpleNamespace(keypoints_px=np.array(entry['keypoints_2d']) + 2)
        for entry in (entries[1], entries[0])
    ]
    assert match(three, hands) == [hands[1], None, hands[0]]


def test_unlabelled_keypoints_are_left_out(clip_images):
    _, entries, _ = clip_images
    entry = json.loads(json.dumps(entries[0]))
    entry['keypoints_valid'] = [k not in (0, 4) for k in range(21)]
    entry['keypoints_3d_mm'][4] = [0, 0, 0]
    entry['keypoints_2d'][4] = [None, None]
    label = labels.label_from(entry)
    truth = np.array(entries[0]['keypoints_3d_mm']) / 1000
    hand = SimpleNamespace(
        side=LEFT,
        keypoints_px=np.array(entries[0]['keypoints_2d']),
        keypoints_wrist=truth,
        wrist_rotation=np.eye(3),
    )
    score = score_hand(label, hand)
    assert score.found and not score.wrong_side
    assert score.pa_mpjpe_mm == pytest.approx(0, abs=1e-6) and score.err2d_over_box == pytest.approx(
        0, abs=1e-9
    )
    assert np.isnan(score.mpjpe_mm)  # no labelled wrist, no root


def test_video_and_bench_on_the_clip(tmp_path):
    out = tmp_path / 'bench.json'
    assert cli.main(['video', str(CLIP), '--out', str(tmp_path), '--max-frames', '12']) == 0
    lines = [json.loads(line) for line in (tmp_path / 'demo_clip.jsonl').read_text().splitlines()]
    video = cv2.VideoCapture(str(tmp_path / 'demo_clip_overlay.mp4'))
    assert [line['frame'] for line in lines] == list(range(12)) and video.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert all(hand['vertices'] is None for line in lines for hand in line['hands'])
    assert cli.main(['bench', '--hands', '1', '--frames', '5', '--size', '320x240', '--json', str(out)]) == 0
    report = json.loads(out.read_text())
    assert report['frames'] == 5 and report['fps'] > 0 and report['peak_memory_mib'] > 50
    assert report['stages_ms']['total']['p50'] <= report['stages_ms']['total']['p99']
