"""teleop_node and sim_node in processes of their own, as on a robot, and the commands that start them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from maskhand_ros.clip import CLIP
from maskhand_ros.video_reader import VideoReader

pytest.importorskip('mink', reason="needs pip install 'maskhand_ros[teleop]'")


def start(name, *arguments):
    command = [sys.executable, '-m', f'maskhand_ros.nodes.{name}', '--ros-args', '-r', f'__ns:=/{name}_alone']
    return subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True, env=os.environ)


@pytest.mark.parametrize('name', ['teleop_node', 'sim_node'])
def test_a_signal_ends_it_with_exit_code_0(graph, name):
    process = start(name)
    try:
        graph.wait(lambda: (name, f'/{name}_alone') in graph.node.get_node_names_and_namespaces(), 60)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0 and 'Traceback' not in errors, errors
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    'name, value, says',
    [('teleop_node', 'rate:=9000.0', '20 to 500 Hz'), ('sim_node', 'side:=up', 'one of: right, left')],
)
def test_a_wrong_parameter_ends_it_with_one_line(name, value, says):
    process = start(name, '-p', value)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and says in errors and 'Traceback' not in errors, errors


def maskhand(*words):
    """What a command line of maskhand writes; it ends with exit code 0."""
    command = [sys.executable, '-m', 'maskhand_ros.cli', *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_video_through_the_real_nodes_gives_a_video_and_figures(tmp_path):
    said = maskhand('teleop', '--ros', '--video', str(CLIP), '--out', str(tmp_path))
    report = json.loads((tmp_path / 'teleop.json').read_text())
    assert sum(report['seconds_in_state'].values()) > 5 and 'cube: lifted by' in said
    with VideoReader(tmp_path / 'teleop.mp4') as video:
        assert (video.width, video.height) == (960, 360)
        assert max(rgb[:, 480:].std() for rgb, _ in video) > 20, 'the robot is seen'


def test_the_bench_reports_the_delay_of_commands():
    said = maskhand('bench', '--ros', '--teleop', '--hands', '1', '--frames', '60')
    assert 'teleop_node, ms' in said and 'commands; at the end' in said
