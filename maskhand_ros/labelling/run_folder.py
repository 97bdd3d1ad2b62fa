"""The folder of a labelling run: what is done, what failed and what is being tried, all in its files.

`clips/NAME-KEY.parquet` is a finished clip. `.work/KEY/` holds the state of one that is not finished:
`plan.json` (the segments of a long clip), `part-N.parquet`, `failed.json`, and `attempt.json` or
`attempt-N.json` while a worker labels it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from maskhand_ros import files
from maskhand_ros.errors import CommandError
from maskhand_ros.labelling.clip_input import ClipInput
from maskhand_ros.labelling.label_options import LabelOptions

_LONGEST_NAME = 80
"""Characters of a clip's name in the name of its file."""


@dataclass(frozen=True)
class Task:
    """What a worker does at once: a clip, or one part of a long one."""

    clip: ClipInput
    key: str
    content: str
    """SHA-256 of the clip's content (keys.ContentHashes)."""
    options: LabelOptions
    folder: str
    """Of the run."""
    part: int | None = None
    """Number of the segment; None: the clip is whole, or not planned yet."""

    def to_json(self) -> str:
        """One line, for a worker of another process."""
        return json.dumps({**asdict(self), 'options': self.options.as_dict()})

    @classmethod
    def from_json(cls, text: str) -> Task:
        """The Task of to_json."""
        values = json.loads(text)
        clip, options = values.pop('clip'), values.pop('options')
        numbers = clip.pop('intrinsics')
        clip = ClipInput(intrinsics=tuple(numbers) if numbers else None, **clip)
        return cls(clip=clip, options=LabelOptions.from_dict(options), **values)


@dataclass(frozen=True)
class Failure:
    """A clip that has no labels."""

    path: str
    key: str | None
    reason: str
    fix: str


class RunFolder:
    """Paths and state in the folder of a run. Two processes may use it at a time: files appear whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clips, self.work = folder, folder / 'clips', folder / '.work'

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for one run, and removes what a killed one has left half written. CommandError
        where another run holds it."""
        files.output_folder(self.work)
        with (self.work / 'lock').open('w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                fix = 'wait for it, or name another folder with --out'
                raise CommandError(f'another run writes to {self.folder}', fix) from error
            for partial in (*self.clips.glob('.*.part'), *self.work.glob('*/.*.part')):
                partial.unlink(missing_ok=True)
            yield

    def is_done(self, task: Task) -> bool:
        """Whether the file of the task is there."""
        file = self.clip_file(task) if task.part is None else self.part_file(task.key, task.part)
        return file.is_file()

    def done(self) -> dict[str, Path]:
        """{key: file} of the finished clips."""
        found = self.clips.glob('*-*.parquet') if self.clips.is_dir() else ()
        return {path.stem.rpartition('-')[2]: path for path in sorted(found) if not path.name.startswith('.')}

    def clip_file(self, task: Task) -> Path:
        """The file of the finished clip."""
        name = re.sub(r'[^\w.-]+', '_', Path(task.clip.path).stem)[:_LONGEST_NAME]
        return self.clips / f'{name or "clip"}-{task.key}.parquet'

    def part_file(self, key: str, part: int) -> Path:
        """The file of a finished segment."""
        return self.work / key / f'part-{part}.parquet'

    def marker(self, task: Task) -> Path:
        """The file that says that a worker labels the task (attempts.Attempt)."""
        suffix = '' if task.part is None else f'-{task.part}'
        return self.work / task.key / f'attempt{suffix}.json'

    def plan(self, key: str) -> list[tuple[int, int | None]] | None:
        """The segments (start, stop) of a long clip, ns; None where it is not known to be long."""
        path = self.work / key / 'plan.json'
        return [(start, stop) for start, stop in json.loads(path.read_text())] if path.is_file() else None

    def write_plan(self, key: str, segments: list[tuple[int, int | None]]) -> None:
        """Stores the segments of a long clip."""
        self._write(key, 'plan.json', segments)

    def failure(self, key: str) -> Failure | None:
        """What a clip failed of, if it has."""
        path = self.work / key / 'failed.json'
        return Failure(**json.loads(path.read_text())) if path.is_file() else None

    def write_failure(self, failure: Failure) -> None:
        """Stores what a clip failed of."""
        assert failure.key is not None
        self._write(failure.key, 'failed.json', asdict(failure))

    def forget_failure(self, key: str) -> None:
        """Clears what is known of a clip that is not finished, so that it is tried again."""
        if (self.work / key / 'failed.json').is_file():
            self.clear(key)

    def clear(self, key: str) -> None:
        """Removes the state of a clip beside its finished file."""
        shutil.rmtree(self.work / key, ignore_errors=True)

    def tasks(self, task: Task) -> Iterator[Task]:
        """The tasks that are missing for a clip, given the Task of the whole, which joins the parts of a long
        clip when all are there."""
        parts = range(len(self.plan(task.key) or ()))
        missing = [part for part in parts if not self.part_file(task.key, part).is_file()]
        yield from (replace(task, part=part) for part in missing)
        if not missing:
            yield task

    def _write(self, key: str, name: str, value: Any) -> None:
        path = files.output_folder(self.work / key) / name
        files.write_file(path, json.dumps(value).encode())
