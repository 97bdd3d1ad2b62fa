"""Progress reports on stderr; stdout holds only results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

Item = TypeVar('Item')

_REDRAW_PERIOD = 0.1
"""Seconds between updates of the line on a terminal."""
_LOG_PERIOD = 30.0
"""Seconds between lines if stderr is a file or a pipe."""
_ERASE = '\r\x1b[K'
"""Back to the start of the terminal's line, and clear it (ECMA-48: EL)."""


class ProgressLine:
    """One line about the state of the work. On a terminal it is kept up to date, elsewhere it is written
    every 30 s. Text printed meanwhile goes through `say`."""

    def __init__(self, redraw_period: float = _REDRAW_PERIOD) -> None:
        """`redraw_period`: seconds between updates on a terminal."""
        self._terminal = sys.stderr.isatty()
        self._period = redraw_period if self._terminal else _LOG_PERIOD
        self.started = self._reported = time.monotonic()

    def update(self, text: Callable[[float], str]) -> None:
        """Shows `text` of the seconds since the start, if it is time."""
        now = time.monotonic()
        if now - self._reported >= self._period:
            line = text(now - self.started)
            # The cursor stays at the start of the line: an error message that follows overwrites it.
            sys.stderr.write(f'{_ERASE}{line}\r' if self._terminal else f'{line}\n')
            sys.stderr.flush()
            self._reported = now

    def end(self) -> None:
        """Erases the line from the terminal."""
        if self._terminal:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def progress(items: Iterable[Item], total: int | None, unit: str) -> Iterator[Item]:
    """Yields the `items` and reports on stderr how many are done (ProgressLine).

    `total`: their number, None or 0 if unknown; `unit`: their name in the plural.
    """
    line = ProgressLine()
    for done, item in enumerate(items):
        line.update(partial(_line, done, total, unit))
        yield item
    line.end()


def say(text: str) -> None:
    """Prints a line on stdout without mixing it with the progress line. Characters that stdout cannot encode
    (file names need not be UTF-8) are written as escapes."""
    if sys.stderr.isatty():
        sys.stderr.write(_ERASE)
        sys.stderr.flush()
    encoding = sys.stdout.encoding or 'utf-8'
    print(text.encode(encoding, 'backslashreplace').decode(encoding), flush=True)


def _line(done: int, total: int | None, unit: str, seconds: float) -> str:
    """'12 of 50 images, 40 s left'."""
    if not total:
        return f'{done} {unit}'
    left = f', {seconds / done * (total - done):.0f} s left' if done else ''
    return f'{done} of {total} {unit}{left}'
