"""Only the newest frame, and every other one counted; with the rclpy of Humble too."""

import inspect
import threading
import time
from types import SimpleNamespace

import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from maskhand_ros.nodes import compatibility, image_subscription
from maskhand_ros.nodes.image_subscription import AutoQosSubscription, NewestFrame
from maskhand_ros.nodes.messages import ns_to_stamp


def frame(number, interval_ms=33):
    return Image(
        header=Header(stamp=ns_to_stamp(1_000_000_000 + number * interval_ms * 1_000_000)), step=number
    )


def taken(frames):
    """Numbers of the frames that are fetched until none waits."""
    return [newest[0].step for newest in iter(lambda: frames.take(timeout=0), None)]


def test_only_the_newest_frame_and_every_drop_counted():
    frames = NewestFrame()
    assert frames.take(timeout=0) is None
    for number in (1, 2, 5):  # 3, 4: replaced by the middleware
        frames.put(frame(number), {'publication_sequence_number': number, 'publisher_gid': 'camera'})
    assert taken(frames) == [5]
    frames.put(frame(6), {'publication_sequence_number': 1, 'publisher_gid': 'another camera'})
    assert taken(frames) == [6]
    frames.put(frame(7), {'publication_sequence_number': None, 'publisher_gid': 'camera'})
    assert taken(frames) == [7]
    frames.put(
        frame(8), {'publication_sequence_number': 9000, 'publisher_gid': 'camera'}
    )  # another, of its name
    assert (frames.received, frames.dropped, frames.lost) == (8, 2, 2)


@pytest.mark.parametrize(
    'work, idle, interval_ms, kept',
    [
        (0.001, 0.03, 33, [26, 27, 28, 29]),
        (0.03, 0.001, 33, [29]),
        (0.01, 0.03, 2, [29]),  # by the arrivals alone it would keep up
        (0.01, 0.0, 33, [29]),  # by the stamps alone it would: a bag played fast
        (0.08, 0.04, 100, [26, 27, 28, 29]),  # somewhat closer together than they were made: they came late
    ],
    ids=('keeps up', 'too slow', 'by the stamps', 'by the arrivals', 'in a burst'),
)
def test_frames_that_arrive_together_wait_only_for_a_worker_that_keeps_up(work, idle, interval_ms, kept):
    frames = NewestFrame()
    for number in range(20):
        frames.put(frame(number, interval_ms), {})
        assert frames.take(timeout=0)[0].step == number
        time.sleep(work)
        assert frames.take(timeout=0) is None
        time.sleep(idle)
    for number in range(20, 30):
        frames.put(frame(number, interval_ms), {})
    assert taken(frames) == kept and frames.dropped == 10 - len(kept)


def test_a_frame_that_has_waited_for_long_makes_way_for_a_newer_one(monkeypatch):
    monkeypatch.setattr(image_subscription, 'LONGEST_WAIT', 0.2)
    frames = NewestFrame()
    for number in range(20):
        frames.put(frame(number), {})
        frames.take(timeout=0)
        frames.take(timeout=0)
        time.sleep(0.01)
    frames.put(frame(20), {})
    time.sleep(0.25)
    assert taken(frames) == [20]  # there is no newer one
    for number in (21, 22):
        frames.put(frame(number), {})
    time.sleep(0.25)
    frames.put(frame(23), {})
    assert taken(frames) == [23] and frames.dropped == 2


def test_two_that_arrive_together_are_both_looked_at_if_nothing_else_is(monkeypatch):
    monkeypatch.setattr(image_subscription, 'HAND_OVER', 5.0)  # a loaded machine wakes a thread late
    frames, taken, end = NewestFrame(), [], time.monotonic() + 60

    def work():
        while len(taken) < 200:
            taken.append(frames.take(timeout=10)[0].step)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    for number in range(0, 200, 2):
        while len(taken) < number or not frames._awaited:
            assert time.monotonic() < end
            time.sleep(0.0005)
        frames.put(frame(0), {})  # all of one stamp: nobody knows whether the worker keeps up
        frames.put(frame(0), {})
    worker.join(10)
    assert len(taken) == 200 and not frames.dropped


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
