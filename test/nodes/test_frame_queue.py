"""The queue between the executor and the worker: recent images only, and every other one counted."""

import threading
import time

from maskhand_ros.nodes import frame_queue
from maskhand_ros.nodes.frame_queue import LONGEST_WAIT, FrameQueue


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def taken(queue):
    """The images that are fetched until none waits."""
    return [item[0] for item in iter(lambda: queue.take(timeout=0), None)]


def put(queue, *images):
    for image in images:
        queue.put(image, {})


def test_two_images_that_arrive_together_are_both_processed():
    queue = FrameQueue(Clock())
    assert queue.take(timeout=0) is None
    put(queue, 1, 2)
    assert taken(queue) == [1, 2] and queue.dropped == 0


def test_a_worker_slower_than_the_camera_gets_the_newest_image_alone():
    queue = FrameQueue(Clock())
    put(queue, 1, 2, 3)
    assert taken(queue) == [3] and (queue.received, queue.dropped) == (3, 2)


def test_an_image_that_waited_too_long_makes_way_for_a_newer_one():
    clock = Clock()
    queue = FrameQueue(clock)
    put(queue, 1)
    clock.now += 0.6 * LONGEST_WAIT
    put(queue, 2)
    clock.now += 0.6 * LONGEST_WAIT
    assert taken(queue) == [2] and queue.dropped == 1
    put(queue, 3)
    clock.now += 10
    assert queue.age() == 10
    (image, arrival) = queue.take(timeout=0)  # there is no newer one
    assert (image, arrival) == (3, clock.now - 10)


def test_gaps_in_the_sequence_numbers_of_a_publisher_are_lost_images():
    queue = FrameQueue(Clock())
    for number in (1, 2, 5):
        queue.put(number, {'publication_sequence_number': number, 'publisher_gid': 'camera'})
        taken(queue)
    queue.put(6, {'publication_sequence_number': 1, 'publisher_gid': 'another camera'})
    queue.put(7, {'publication_sequence_number': None, 'publisher_gid': 'camera'})
    taken(queue)
    queue.put(8, {'publication_sequence_number': 9000, 'publisher_gid': 'camera'})  # another of its name
    assert (queue.received, queue.dropped, queue.lost) == (8, 0, 2)
    queue.put(9, {'publication_sequence_number': 9101, 'publisher_gid': 'camera'})  # a pause of the network
    queue.put(10, {'publication_sequence_number': 9100, 'publisher_gid': 'camera'})  # out of order
    assert (queue.received, queue.lost) == (8 + 1 + 100 + 1, 2 + 100)


def test_publishers_that_are_long_gone_are_forgotten():
    queue = FrameQueue(Clock())
    for publisher in range(20):
        queue.put(0, {'publication_sequence_number': 1, 'publisher_gid': publisher})
    queue.put(0, {'publication_sequence_number': 5, 'publisher_gid': 0})
    assert queue.lost == 0
    queue.put(0, {'publication_sequence_number': 5, 'publisher_gid': 19})
    assert queue.lost == 3


def test_a_worker_that_waits_has_the_image_when_put_returns(monkeypatch):
    monkeypatch.setattr(frame_queue, 'HAND_OVER', 10.0)
    queue, got = FrameQueue(), []
    worker = threading.Thread(target=lambda: got.append(queue.take(10.0)))
    worker.start()
    while not queue.is_awaited:
        time.sleep(0)
    queue.put('image', {})
    assert queue.take(0.0) is None
    worker.join()
    assert got[0][0] == 'image'
