"""Marker of an attempt: it is on the disk before a worker touches a clip, and gone when it is through.

A marker that stays behind tells that the process died in that clip. A clip in which it died MAX_ATTEMPTS
times is set aside.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from maskhand_ros.labelling.parquet import flush
from maskhand_ros.labelling.run_folder import Failure, Task

MAX_ATTEMPTS = 2

_PERIOD = 1.0
"""Seconds between notes of the progress in the marker."""


class RunEnded(Exception):
    """The process that started this worker is gone: another run may already label the same clip."""


class Attempt:
    """A worker's attempt at one task. Use as a context manager; call `tick` for each frame. An exception is
    no death: the marker is as before the attempt."""

    def __init__(self, marker: Path) -> None:
        self._marker, self._parent = marker, os.getppid()
        self._before, self._noted = attempts_at(marker), time.monotonic()

    def __enter__(self) -> Attempt:
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        self._write(self._before + 1, 0)
        flush(self._marker)
        flush(self._marker.parent)
        return self

    def tick(self, frames: int) -> None:
        """Notes the number of frames so far. RunEnded where the parent process is gone."""
        if os.getppid() != self._parent:
            raise RunEnded
        now = time.monotonic()
        if now - self._noted >= _PERIOD:
            self._noted = now
            self._write(self._before + 1, frames)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._marker.unlink(missing_ok=True)
        else:
            forgive([self._marker])

    def _write(self, attempts: int, frames: int) -> None:
        self._marker.write_text(json.dumps({'attempts': attempts, 'frames': frames}))


def deadly_clip(task: Task) -> Failure:
    """The Failure of a task in which workers died."""
    where = '' if task.part is None else f' in its segment {task.part}'
    return Failure(
        task.clip.path,
        task.key,
        f'the worker died {MAX_ATTEMPTS} times{where} (a crash of a decoder, or out of memory)',
        'convert it: ffmpeg -i IN -c:v libx264 OUT.mp4; or give more memory a worker (--workers). '
        'Then run again with --retry-failed',
    )


def attempts_at(marker: Path) -> int:
    """Attempts at a task that are under way or that ended with the death of the process."""
    return _read(marker)['attempts']


def frames_of(marker: Path) -> int:
    """Frames that the attempt under way has labelled."""
    return _read(marker)['frames']


def forgive(markers: Iterable[Path]) -> None:
    """Takes back the last attempt: it was ended for another reason than the clip."""
    for marker in markers:
        attempts = attempts_at(marker) - 1
        if attempts > 0:
            marker.write_text(json.dumps({'attempts': attempts, 'frames': 0}))
        else:
            marker.unlink(missing_ok=True)


def _read(marker: Path) -> dict[str, int]:
    try:
        return json.loads(marker.read_text())
    except FileNotFoundError:
        return {'attempts': 0, 'frames': 0}
    except ValueError:  # it is just being written, or the power failed while it was
        return {'attempts': 1, 'frames': 0}
