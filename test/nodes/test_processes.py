"""hand_node as a process: signals in every state, 50 lives in one, and a camera faster than the models."""

import signal

import numpy as np
import pytest
from node_process import NodeProcess
from stream import Stream

from maskhand_ros.msg import HandArray
from maskhand_ros.nodes.messages import stamp_to_ns

LIVES = 50
GROWTH = 16.0
"""MB that 40 lives may add: 2 to 8 were measured. The smallest network alone is 2 MB a life, all of them 70."""


@pytest.fixture
def start(graph, request):
    """A function that starts a hand_node and its camera; both end with the test."""
    started = []

    def start(namespace, rate=30.0, **parameters):
        node = NodeProcess(graph, namespace, **parameters)
        started.append(node.end)
        camera = Stream(namespace, rate)
        started.append(camera.close)
        return node, camera

    yield start
    for end in reversed(started):
        end()


@pytest.mark.parametrize('state', ('unconfigured', 'inactive', 'active'))
@pytest.mark.parametrize('number', (signal.SIGINT, signal.SIGTERM))
def test_a_signal_ends_it_within_two_seconds_in_every_state(graph, start, state, number):
    name = f'/ending_{state}_{number}'
    node, _ = start(name)
    heard = graph.hear(HandArray, f'{name}/hand_node/hands')
    node.change(*{'unconfigured': (), 'inactive': ('configure',), 'active': ('configure', 'activate')}[state])
    if state == 'active':
        graph.wait(lambda: len(heard) > 3)
    exit_code, seconds = node.end(number)
    assert exit_code == 0
    assert seconds < 2


def test_fifty_lives_in_one_process_leave_nothing_behind(graph, start):
    node, _ = start('/lives')
    heard = graph.hear(HandArray, '/lives/hand_node/hands')
    memory, held = [], []
    for _ in range(LIVES):
        node.change('configure', 'activate')
        heard.clear()
        graph.wait(lambda: len(heard) > 3)
        node.change('deactivate', 'cleanup')
        memory.append(node.memory()['Rss'])
        held.append((node.files(), node.threads()))
    growth = np.median(memory[-5:]) - np.median(memory[8:13])
    assert growth < GROWTH, f'{growth:.1f} MB more: {np.round(memory)}'
    assert set(held[1:]) == {held[1]}, 'files and threads'


def test_a_camera_faster_than_the_models_has_its_newest_pictures_answered(graph, start):
    """Every answer is about a picture that was the newest when the one before was answered, or came later:
    the lag is that of two pictures, however long it runs. What is left out is counted."""
    node, camera = start('/fast', rate=200.0, threads=1)
    graph.hear(HandArray, '/fast/hand_node/hands')
