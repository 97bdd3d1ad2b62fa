"""The files of recordings: rosbag2 and ROS 1 by rosbags, a cut off MCAP by the library mcap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from mcap.exceptions import McapError
from mcap.records import Channel, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader

from maskhand_ros.nodes.ros1 import Ros1ToCdr


class Recorded(NamedTuple):
    """One message of a recording."""

    topic: str
    time_ns: int
    """When it was recorded."""
    data: bytes
    """Serialized, CDR."""


class Storage(Protocol):
    """What holds the messages: `topics` {name: 'package/msg/Name'}."""

    topics: dict[str, str]

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        """The messages of these topics in the order of recording."""

    def close(self) -> None:
        """Closes the file."""


class Ros2Storage:
    """A rosbag2 folder or file, by rosbags."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._reader.open()
        self.topics = {each.topic: each.msgtype for each in self._reader.connections}

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        chosen = [each for each in self._reader.connections if each.topic in topics]
        for connection, time_ns, data in self._reader.messages(chosen):
            yield Recorded(connection.topic, time_ns, bytes(data))

    def close(self) -> None:
        self._reader.close()


class Ros1Storage:
    """A ROS 1 bag, by rosbags; its messages come as those of ROS 2."""

    def __init__(self, path: Path) -> None:
        self._reader, self._convert = Ros1Reader(path), Ros1ToCdr()
        self._reader.open()
        self.topics = {each.topic: each.msgtype for each in self._reader.connections}

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        chosen = [each for each in self._reader.connections if each.topic in topics]
        for connection, time_ns, data in self._reader.messages(chosen):
            yield Recorded(connection.topic, time_ns, self._convert(data, connection.msgtype))

    def close(self) -> None:
        self._reader.close()


class PartialMcap:
    """The Storage of an MCAP file without its end: messages of every whole chunk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        schemas: dict[int, str] = {}
        self._channels: dict[int, str] = {}
        self.topics: dict[str, str] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                self._channels[record.id] = record.topic
                self.topics[record.topic] = schemas.get(record.schema_id, '')

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        """The messages of these topics in the order of the file."""
        for record in self._records():
            if isinstance(record, Message) and self._channels[record.channel_id] in topics:
                yield Recorded(self._channels[record.channel_id], record.log_time, record.data)

    def close(self) -> None:
        """Nothing stays open."""

    def _records(self) -> Iterator[McapRecord]:
        with self._path.open('rb') as file:
            try:
                yield from StreamReader(file).records
            except (McapError, EOFError, ValueError, RuntimeError):
                return  # the end is missing: a chunk that is not whole does not decompress
