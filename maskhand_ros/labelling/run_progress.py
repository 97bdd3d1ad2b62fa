"""The progress of a run, as its files tell it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskhand_ros.labelling.attempts import frames_of
from maskhand_ros.labelling.clip_input import files_of
from maskhand_ros.labelling.parquet import read_metadata
from maskhand_ros.labelling.run_folder import RunFolder, Task
from maskhand_ros.progress import ProgressLine

_PERIOD = 2.0
"""Seconds between updates on a terminal: the folder is read for each."""


class RunProgress:
    """A progress line: clips, frames a second, time left by the bytes of the inputs."""

    def __init__(self, folder: RunFolder, clips: Sequence[Task]) -> None:
        self._folder, self._line = folder, ProgressLine(_PERIOD)
        self._bytes = {clip.key: sum(path.stat().st_size for path in files_of(clip.clip)) for clip in clips}
        self._rows: dict[Path, int] = {}
        """Frames of files that were seen."""
        self._before = self._finished()

    def update(self) -> None:
        """Shows the state, if it is time."""
        self._line.update(self._text)

    def end(self) -> None:
        """Erases the line."""
        self._line.end()

    def _text(self, seconds: float) -> str:
        finished = self._finished()
        done, work = self._folder.done(), self._folder.work
        files = [done[key] for key in finished - self._before if key in done]
        frames = sum(map(self._rows_of, [*files, *work.glob('*/part-*.parquet')]))
        frames += sum(map(frames_of, work.glob('*/attempt*.json')))
        total = sum(self._bytes.values())
        passed = sum(self._bytes[key] for key in finished - self._before)
        left = total - passed - sum(self._bytes[key] for key in self._before)
        text = f'{len(finished)} of {len(self._bytes)} clips, {frames / max(seconds, 1e-3):.3g} frames/s'
        return f'{text}, {_time(seconds / passed * left)} left' if passed else text

    def _rows_of(self, path: Path) -> int:
        if path not in self._rows:
            try:
                self._rows[path] = read_metadata(path)['rows']
            except OSError:  # a part that has just been joined
                return 0
        return self._rows[path]

    def _finished(self) -> set[str]:
        """Keys of the clips that are done or failed."""
        failed = {path.parent.name for path in self._folder.work.glob('*/failed.json')}
        return (failed | set(self._folder.done())) & set(self._bytes)


def _time(seconds: float) -> str:
    """'40 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'
