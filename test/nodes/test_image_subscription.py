"""Only the newest frame, and every other one counted."""

from maskhand_ros.nodes.image_subscription import NewestFrame


def test_only_the_newest_frame_and_every_drop_counted():
    frames = NewestFrame()
    assert frames.take(timeout=0) is None
    for name, number in (('first', 1), ('second', 2), ('third', 5)):  # 3, 4: replaced by the middleware
        frames.put(name, {'publication_sequence_number': number, 'publisher_gid': 'camera'})
    assert frames.take(timeout=0)[0] == 'third'
    frames.put('restarted', {'publication_sequence_number': 1, 'publisher_gid': 'another camera'})
    assert frames.take(timeout=0)[0] == 'restarted'
    assert (frames.received, frames.dropped, frames.lost) == (6, 2, 2)
