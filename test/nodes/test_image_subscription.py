"""Only the newest frame, and every other one counted; with the rclpy of Humble too."""

import inspect
import threading
import time
from types import SimpleNamespace

import pytest

from maskhand_ros.nodes import compatibility
from maskhand_ros.nodes.image_subscription import AutoQosSubscription, NewestFrame


def test_only_the_newest_frame_and_every_drop_counted():
    frames = NewestFrame()
    assert frames.take(timeout=0) is None
    for name, number in (('first', 1), ('second', 2), ('third', 5)):  # 3, 4: replaced by the middleware
        frames.put(name, {'publication_sequence_number': number, 'publisher_gid': 'camera'})
    assert frames.take(timeout=0)[0] == 'third'
    frames.put('restarted', {'publication_sequence_number': 1, 'publisher_gid': 'another camera'})
    assert frames.take(timeout=0)[0] == 'restarted'
    frames.put('unnumbered', {'publication_sequence_number': None, 'publisher_gid': 'camera'})
    assert (frames.received, frames.dropped, frames.lost) == (7, 2, 2)


def test_two_that_arrive_together_are_both_looked_at_if_nothing_else_is():
    frames, taken = NewestFrame(), []

    def work():
        while len(taken) < 200:
            taken.append(frames.take(timeout=10)[0])

    worker = threading.Thread(target=work)
    worker.start()
    for number in range(0, 200, 2):
        while len(taken) < number or not frames._awaited:
            time.sleep(0.0005)
        frames.put(number, {})
        frames.put(number + 1, {})
    worker.join()
    assert taken == list(range(200)) and not frames.dropped


@pytest.mark.parametrize('gives_info', (True, False), ids=('later', 'humble'))
@pytest.mark.parametrize('wants_info', (True, False))
def test_callbacks_have_what_this_rclpy_gives(monkeypatch, gives_info, wants_info):
    """Humble calls every callback with the message alone; later ones add a MessageInfo where it is needed."""
    monkeypatch.setattr(compatibility, 'GIVES_MESSAGE_INFO', gives_info)
    given, heard = [], []
    node = SimpleNamespace(
        resolve_topic_name=str, create_subscription=lambda kind, topic, callback, qos: given.append(callback)
    )
    AutoQosSubscription(
        node, object, 'image', (lambda msg, info: heard.append((msg, info))) if wants_info else heard.append
    )
    if gives_info and wants_info:
        with pytest.raises(TypeError):
            inspect.signature(given[0]).bind('message')
        given[0]('message', {'gid': 1})
        assert heard == [('message', {'gid': 1})]
    else:
        given[0]('message')
        assert heard == [('message', {}) if wants_info else 'message']
