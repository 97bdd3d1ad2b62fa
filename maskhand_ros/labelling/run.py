"""A labelling run: rounds of the engine until nothing is missing, and the lists of what was done and failed.

The state is in the files of RunFolder alone, so that a run that was killed goes on where it was. A round ends
early when a worker dies. The clips that workers were in are then tried in a round of their own, and those
in which a worker has died twice are set aside.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from maskhand_ros import files
from maskhand_ros.errors import CommandError
from maskhand_ros.labelling.attempts import MAX_ATTEMPTS, attempts_at, deadly_clip, forgive
from maskhand_ros.labelling.run_folder import Failure, RunFolder, Task
from maskhand_ros.labelling.run_progress import RunProgress

_POLL = 0.2
"""Seconds between looks at the engine."""

_ERROR_LINES = 3
"""Lines of the engine's error that are told; all are in its log."""


@dataclass(frozen=True)
class Workers:
    """Where the tasks are done: `count` processes on this machine, or on the Ray cluster at `ray`."""

    count: int
    ray: str | None = None


class Run:
    """The clips of a run, one Task each, of different keys."""

    def __init__(self, folder: RunFolder, clips: Sequence[Task], workers: Workers) -> None:
        self._folder, self._clips, self._workers = folder, clips, workers
        self._log = folder.work / 'engine.log'
        self._progress = RunProgress(folder, clips)

    def __call__(self) -> None:
        """Labels what is missing. CommandError where the engine cannot work."""
        self._log.unlink(missing_ok=True)
        while missing := self._missing():
            suspects = [task for task in missing if self._attempts(task)]
            ended_well = self._round(suspects or missing)
            if not ended_well and self._missing() == missing and not any(map(self._attempts, missing)):
                lines = self._log.read_text().strip().splitlines()[-_ERROR_LINES:]
                raise CommandError(
                    f'the workers cannot start: {" ".join(lines)}', f'{self._log} has the whole error'
                )
        self._progress.end()

    def _missing(self) -> list[Task]:
        """The tasks that are neither done nor failed. Clips that killed their workers are set aside."""
        done = self._folder.done()
        missing = []
        for clip in self._clips:
            if clip.key in done or self._folder.failure(clip.key):
                continue
            tasks = list(self._folder.tasks(clip))
            deadly = [task for task in tasks if self._attempts(task) >= MAX_ATTEMPTS]
            if deadly:
                self._folder.write_failure(deadly_clip(deadly[0]))
            else:
                missing += tasks
        return missing

    def _attempts(self, task: Task) -> int:
        return attempts_at(self._folder.marker(task))

    def _round(self, tasks: Sequence[Task]) -> bool:
        """One run of the engine; whether it ended as it should. Ctrl-C ends it, and no clip is blamed."""
        path = files.output_folder(self._folder.work) / 'tasks.jsonl'
        files.write_file(path, ''.join(f'{task.to_json()}\n' for task in tasks).encode())
        command = [sys.executable, '-m', 'maskhand_ros.labelling.engine', str(path)]
        command += ['--workers', str(self._workers.count)]
        command += ['--ray', self._workers.ray] if self._workers.ray else []
        with self._log.open('ab') as log:
            # In a session of its own, so that Ctrl-C reaches it through this process alone.
            engine = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            while True:
                try:
                    return engine.wait(_POLL) == 0
                except subprocess.TimeoutExpired:
                    self._progress.update()
        except BaseException:
            os.killpg(engine.pid, signal.SIGKILL)
            engine.wait()
            forgive(self._folder.marker(task) for task in tasks)
            self._progress.end()
            raise


def write_lists(folder: RunFolder, clips: Sequence[Task], lost: Sequence[Failure]) -> list[Failure]:
    """Writes clips.jsonl, a line for each input with labels, and failed.jsonl; returns the failures. `lost`:
    inputs that could not be opened at all."""
    done, failures, lines = folder.done(), list(lost), []
    for task in clips:
        failure = folder.failure(task.key)
        if task.key in done:
            name = str(done[task.key].relative_to(folder.folder))
            lines.append({'path': task.clip.path, 'key': task.key, 'file': name})
        elif failure:
            failures.append(Failure(task.clip.path, task.key, failure.reason, failure.fix))
    for name, rows in (('clips.jsonl', lines), ('failed.jsonl', [asdict(each) for each in failures])):
        files.write_file(folder.folder / name, ''.join(json.dumps(row) + '\n' for row in rows).encode())
    return failures


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
