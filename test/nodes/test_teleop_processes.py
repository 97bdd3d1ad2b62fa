"""teleop_node and sim_node in processes of their own, as on a robot."""

import os
import signal
import subprocess
import sys
import time

import pytest

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
