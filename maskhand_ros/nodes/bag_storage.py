"""Readers of recordings: rosbag2 and ROS 1 with rosbags, a truncated MCAP file with the library mcap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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
    """Time of recording."""
    data: bytes
    """Serialized, CDR."""


class Storage(Protocol):
    """A recording that messages are read from: `topics` {name: 'package/msg/Name'}."""

    topics: dict[str, str]

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        """The messages of these topics in the order of recording."""

    def close(self) -> None:
        """Closes the file."""


class RosbagsStorage:
    """A whole recording, read by rosbags."""

    def __init__(self, reader: Ros1Reader | Reader, to_cdr: Callable[[Any, str], bytes]) -> None:
        """`to_cdr`: function that converts the stored bytes of a message of a type to CDR."""
        self._reader, self._to_cdr = reader, to_cdr
        self._reader.open()
        self.topics = {each.topic: each.msgtype for each in self._reader.connections}

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        """The messages of these topics in the order of recording."""
        chosen = [each for each in self._reader.connections if each.topic in topics]
        for connection, time_ns, data in self._reader.messages(chosen):
            yield Recorded(connection.topic, time_ns, self._to_cdr(data, connection.msgtype))

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()


def ros2_storage(path: Path) -> RosbagsStorage:
    """The Storage of a rosbag2 folder or file."""
    return RosbagsStorage(Reader(path), lambda data, _: bytes(data))


def ros1_storage(path: Path) -> RosbagsStorage:
    """The Storage of a ROS 1 bag; its messages are converted to those of ROS 2."""
    return RosbagsStorage(Ros1Reader(path), Ros1ToCdr())


class PartialMcap:
    """The Storage of a truncated MCAP file: the messages of all complete chunks."""

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
                return  # the end is missing: an incomplete chunk cannot be decompressed
