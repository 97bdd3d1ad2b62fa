"""The installed examples: those without ROS are run, test/nodes/test_examples.py runs the others."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskhand_ros.clip import read_clip
from maskhand_ros.nodes.shared_files import share_path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = share_path('examples')
PYTHON = sorted(path.name for path in EXAMPLES.glob('*.py'))
HUMBLE_PYTHON = 3, 10


def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    command = [sys.executable, str(EXAMPLES / name), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def constant(name: str, variable: str) -> float:
    """Return a number that an example defines."""
    (text,) = re.findall(rf'\b{variable} = ([\d.]+)', (EXAMPLES / name).read_text())
    return float(text)


def test_all_examples_are_installed():
    names = {path.name for path in (ROOT / 'examples').iterdir() if path.is_file()}
    assert names and names == {path.name for path in EXAMPLES.iterdir() if path.is_file()}


@pytest.mark.parametrize('name', PYTHON)
def test_python_examples_are_short_explained_and_of_humbles_python(name):
    text = (EXAMPLES / name).read_text()
    tree = ast.parse(text, name, feature_version=HUMBLE_PYTHON)
    assert len(text.splitlines()) < 80
    assert name in ast.get_docstring(tree), 'the docstring says how to run it'


def test_age_gates_agree_in_all_examples_and_the_readme():
    """The robot's gate must not be wider than that of the follower before it."""
    yaml = pytest.importorskip('yaml')
    servo = yaml.safe_load((EXAMPLES / 'moveit_servo.yaml').read_text())['servo_node']['ros__parameters']
    gate = servo['moveit_servo']['incoming_command_timeout']
    gates = {constant('follower.py', 'MAX_AGE'), constant('tf_follower.py', 'MAX_AGE')}
    gates |= {constant('read_hands.cpp', 'kMaxAge'), gate}
    readme = (ROOT / 'README.md').read_text()
    gates |= {float(told) for told in re.findall(r'incoming_command_timeout: ([\d.]+)', readme)}
    assert gates == {0.2}


@pytest.mark.parametrize('metric', [True, False])
def test_image_to_json_finds_the_hands_of_the_clip(metric, tmp_path):
    clip = read_clip()
    rgb, K = next(clip.frames()), clip.K
    cv2.imwrite(str(tmp_path / 'image.png'), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    words = map(str, ('--intrinsics', K[0, 0], K[1, 1], K[0, 2], K[1, 2]) if metric else ())
    done = run('image_to_json.py', str(tmp_path / 'image.png'), *words)
    assert done.returncode == 0, done.stderr
    hands = {hand['side']: hand for hand in json.loads(done.stdout)['hands']}
    assert set(hands) == {'left', 'right'}
    for side, truth in zip(('left', 'right'), clip.keypoints[0], strict=True):
        seen = truth @ K.T
        error = np.linalg.norm(hands[side]['keypoints_px'] - seen[:, :2] / seen[:, 2:], axis=-1)
        assert error.mean() < 10, 'pixels'
        if metric:
            distance = np.linalg.norm(np.array(hands[side]['keypoints']) - truth, axis=-1).mean()
            assert distance < 0.1 * np.linalg.norm(truth, axis=-1).mean()
        else:
            assert hands[side]['keypoints'] is None


def test_image_to_json_names_an_image_that_cannot_be_read(tmp_path):
    done = run('image_to_json.py', str(tmp_path / 'none.png'))
    assert done.returncode == 1 and 'none.png is missing or no image' in done.stderr
