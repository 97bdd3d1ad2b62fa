"""The progress of a run, as its files tell it."""

from __future__ import annotations

from collections.abc import Sequence

from maskhand_ros.labelling.attempts import frames_of
from maskhand_ros.labelling.clip_input import files_of
from maskhand_ros.labelling.parquet import read_metadata
from maskhand_ros.labelling.run_folder import RunFolder, Task
from maskhand_ros.progress import ProgressLine


class RunProgress:
    """A progress line: clips, frames a second, time left by the bytes of the inputs."""

    def __init__(self, folder: RunFolder, clips: Sequence[Task]) -> None:
        self._folder, self._line = folder, ProgressLine()
        self._bytes = {clip.key: sum(path.stat().st_size for path in files_of(clip.clip)) for clip in clips}
        self._frames: dict[str, int] = {}
        """Frames of the clips that were finished in this run."""
        self._before = self._finished()

    def update(self) -> None:
        """Shows the state, if it is time."""
        self._line.update(self._text)

    def end(self) -> None:
        """Erases the line."""
        self._line.end()

    def _text(self, seconds: float) -> str:
        finished = self._finished()
        done = self._folder.done()
        for key in finished - self._before - set(self._frames):
            self._frames[key] = read_metadata(done[key])['rows'] if key in done else 0
        frames = sum(self._frames.values()) + sum(map(frames_of, self._folder.work.glob('*/attempt*.json')))
        frames += sum(read_metadata(part)['rows'] for part in self._folder.work.glob('*/part-*.parquet'))
        total = sum(self._bytes.values())
        passed = sum(self._bytes[key] for key in finished - self._before)
        left = total - passed - sum(self._bytes[key] for key in self._before)
        text = f'{len(finished)} of {len(self._bytes)} clips, {frames / max(seconds, 1e-3):.0f} frames/s'
        return f'{text}, {_time(seconds / passed * left)} left' if passed else text

    def _finished(self) -> set[str]:
        """Keys of the clips that are done or failed."""
        failed = {path.parent.name for path in self._folder.work.glob('*/failed.json')}
        return (failed | set(self._folder.done())) & set(self._bytes)


def _time(seconds: float) -> str:
    """'40 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'
