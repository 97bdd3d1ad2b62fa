"""Recordings without rosbag2: a rosbag2 folder, a .db3 or .mcap file, a ROS 1 .bag, whole or cut off."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from rosbags.rosbag1 import ReaderError as Ros1Error
from rosbags.rosbag2 import ReaderError

from maskhand_ros.errors import CommandError
from maskhand_ros.files import ROSBAG2_SUFFIXES
from maskhand_ros.nodes.bag_storage import PartialMcap, Recorded, Storage, ros1_storage, ros2_storage
from maskhand_ros.nodes.silence import type_name

ACCEPTED = 'give the folder of a rosbag2 recording, a .mcap, .db3 or ROS 1 .bag file'


class Bag:
    """An open recording. Use as a context manager. `notes`: what is wrong with it, one line each, although it
    can be read."""

    def __init__(self, path: str | Path) -> None:
        """CommandError where there is no recording that can be read."""
        self.path = Path(path)
        self.notes: list[str] = []
        try:
            self._storage = self._open(self.path)
        except (ReaderError, Ros1Error, sqlite3.DatabaseError, OSError) as error:
            raise CommandError(f'{path} is no bag: {error}', ACCEPTED) from error

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self._storage.close()

    @property
    def topics(self) -> dict[str, str]:
        """{topic: 'package/msg/Name'}."""
        return self._storage.topics

    def type_of(self, topic: str, types: tuple[type, ...]) -> type:
        """Message class of a `topic`, which must be one of `types`. CommandError names all topics of the bag
        where it is not."""
        by_name = {type_name(kind): kind for kind in types}
        if self.topics.get(topic) in by_name:
            return by_name[self.topics[topic]]
        wrong = f'is a {self.topics[topic]}' if topic in self.topics else 'is not in the bag'
        held = ', '.join(f'{name} ({kind})' for name, kind in sorted(self.topics.items())) or 'nothing'
        raise CommandError(
            f'{topic} {wrong}', f'name a topic of type {" or ".join(by_name)}; the bag holds {held}'
        )

    def messages(self, topics: list[str]) -> Iterator[Recorded]:
        """The messages of these topics in the order of recording, as far as the file is whole."""
        chosen = [topic for topic in topics if topic in self.topics]
        if not chosen:
            return
        try:
            yield from self._storage.messages(chosen)
        except (ReaderError, sqlite3.DatabaseError, struct.error) as error:
            self._note(f'{self.path} is damaged ({error}): what comes after is missing')

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _open(self, path: Path) -> Storage:
        path = self._recording_in(path) if path.is_dir() else path
        if path.is_file():
            _check_signature(path)
        if path.suffix == '.bag':
            return ros1_storage(path)
        if path.suffix == '.mcap':
            try:
                return ros2_storage(path)
            except (ReaderError, struct.error):
                self._note(
                    f'{path} is cut off: what is whole is played. `mcap recover` makes a whole file of it'
                )
                return PartialMcap(path)
        return ros2_storage(path)

    def _recording_in(self, folder: Path) -> Path:
        """The folder itself if it has metadata.yaml, else the one file in it."""
        if (folder / 'metadata.yaml').is_file():
            return folder
        files = sorted(path for path in folder.iterdir() if path.suffix in ROSBAG2_SUFFIXES)
        remedy = f'`ros2 bag reindex {folder}` writes it'
        if len(files) == 1:
            self._note(f'{folder} has no metadata.yaml: {files[0].name} is read alone ({remedy})')
            return files[0]
        what = 'several recordings' if files else 'no recording'
        raise CommandError(f'{folder} has no metadata.yaml and {what}', f'{remedy}; or {ACCEPTED}')


def _check_signature(path: Path) -> None:
    """CommandError for a file whose first bytes say that it is something else."""
    with path.open('rb') as file:
        begin = file.read(64)
    if not begin:
        raise CommandError(f'{path} is empty', 'record again, or copy the file again')
    if begin.startswith(b'version https://git-lfs.github.com/spec/'):
        raise CommandError(f'{path} is a Git LFS pointer, not the recording', 'type `git lfs pull`')
    if path.suffix == '.mcap' and not begin.startswith(b'\x89MCAP0\r\n'):
        raise CommandError(f'{path} is no MCAP file: it does not begin as one', ACCEPTED)


def header_stamp(data: bytes) -> int:
    """header.stamp in ns of a serialized (CDR) message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def with_stamp(data: bytes, stamp_ns: int) -> bytes:
    """The serialized (CDR) message with another header.stamp, ns."""
    changed = bytearray(data)
    struct.pack_into('<iI' if data[1] & 1 else '>iI', changed, 4, *divmod(stamp_ns, 1_000_000_000))
    return bytes(changed)
