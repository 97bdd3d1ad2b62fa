"""Reads a rosbag2 recording without rosbag2: a folder, a .db3 or a .mcap file, compressed or not."""

from __future__ import annotations

import struct

from rosbags.rosbag2 import Reader, ReaderError

from maskhand_ros.errors import CommandError


class Bag:
    """An open recording. Use as a context manager; CommandError where the file cannot be read."""

    def __init__(self, path):
        try:
            self._reader = Reader(path)
            self._reader.open()
        except (ReaderError, FileNotFoundError) as error:
            raise CommandError(
                f'{path} is no bag: {error}', 'give the folder of a rosbag2 recording, a .mcap or a .db3 file'
            ) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._reader.close()

    def type_of(self, topic, types):
        """Message class of a `topic`, which must be one of `types`. CommandError names all topics of the bag
        where it is not."""
        by_name = {f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}': kind for kind in types}
        found = {connection.topic: connection.msgtype for connection in self._reader.connections}
        if found.get(topic) in by_name:
            return by_name[found[topic]]
        wrong = f'is a {found[topic]}' if topic in found else 'is not in the bag'
        held = ', '.join(f'{name} ({kind})' for name, kind in sorted(found.items())) or 'nothing'
        raise CommandError(
            f'{topic} {wrong}', f'name a topic of type {" or ".join(by_name)}; the bag holds {held}'
        )

    def has(self, topic):
        """Whether the bag holds the topic."""
        return any(connection.topic == topic for connection in self._reader.connections)

    def messages(self, topics):
        """Yields (topic, serialized message) of these topics in the order in which they were recorded."""
        chosen = [connection for connection in self._reader.connections if connection.topic in topics]
        if chosen:  # of an empty list rosbags would make: all
            for connection, _, data in self._reader.messages(chosen):
                yield connection.topic, bytes(data)


def header_stamp(data):
    """header.stamp in ns of a serialized (CDR) message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds
