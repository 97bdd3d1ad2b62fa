"""Progress reports on stderr; stdout holds only results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar('Item')

_REDRAW_PERIOD = 0.1
"""Seconds between updates of the line on a terminal."""
_LOG_PERIOD = 30.0
"""Seconds between lines if stderr is a file or a pipe."""
_ERASE = '\r\x1b[K'
"""Back to the start of the terminal's line, and clear it (ECMA-48: EL)."""


def progress(items: Iterable[Item], total: int | None, unit: str) -> Iterator[Item]:
    """Yields the `items` and reports on stderr how many are done.

    `total`: their number, None or 0 if unknown; `unit`: their name in the plural. On a terminal one line is
    kept up to date, elsewhere a line is written every 30 s. Text printed meanwhile goes through `say`.
    """
    terminal = sys.stderr.isatty()
    period = _REDRAW_PERIOD if terminal else _LOG_PERIOD
    started = reported = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - reported >= period:
            text = _line(done, total, unit, now - started)
            # The cursor stays at the start of the line: an error message that follows overwrites it.
            sys.stderr.write(f'{_ERASE}{text}\r' if terminal else f'{text}\n')
            sys.stderr.flush()
            reported = now
        yield item
    if terminal:
        sys.stderr.write(_ERASE)
        sys.stderr.flush()


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
