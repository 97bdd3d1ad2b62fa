"""Writer of video files whose frames are shown at given times.

PyAV (extra `video`) writes each frame's own time. Without it OpenCV writes a constant rate, with frames
repeated so that the video lasts as long.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.video_reader import DEFAULT_RATE, HAS_PYAV

_TIME_BASE = Fraction(1, 1000)
"""Seconds per tick of written times: milliseconds, which every codec takes."""


class VideoWriter:
    """An MP4 file whose frames are shown at given times. Use as a context manager.

    `rate`: frames a second of the file if OpenCV writes it, 30 at least; PyAV writes each frame's own time.
    """

    def __init__(self, path: str | Path, width: int, height: int, rate: float = DEFAULT_RATE) -> None:
        """CommandError if the file cannot be written."""
        size = width, height
        self._backend = _PyAVWriter(path, size, rate) if HAS_PYAV else _OpenCVWriter(path, size, rate)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, rgb: np.ndarray, time_ns: int) -> None:
        """Adds an (H, W, 3) uint8 frame, shown from `time_ns` on; times must increase."""
        self._backend.write(rgb, time_ns)

    def close(self) -> None:
        """Finishes the file."""
        self._backend.close()


class _PyAVWriter:
    """Writes H.264, or MPEG-4 where PyAV has no H.264 encoder, with a time for each frame."""

    def __init__(self, path: str | Path, size: tuple[int, int], rate: float) -> None:
        import av

        self._av, (width, height) = av, size
        codec = 'libx264' if 'libx264' in av.codecs_available else 'mpeg4'
        try:
            self._container = av.open(str(path), 'w', format='mp4')
        except (OSError, av.error.FFmpegError) as error:
            raise _unwritable(path) from error
        self._stream = self._container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
        # 4:2:0 needs even sides; the last column or row is cut where there is an odd one.
        self._stream.width, self._stream.height = self._size = width // 2 * 2, height // 2 * 2
        self._stream.pix_fmt = 'yuv420p'
        self._stream.bit_rate = max(2_000_000, 4 * width * height)
        self._stream.codec_context.time_base = _TIME_BASE

    def write(self, rgb: np.ndarray, time_ns: int) -> None:
        width, height = self._size
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[:height, :width]), format='rgb24')
        frame.pts, frame.time_base = round(time_ns * 1e-9 / _TIME_BASE), _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


class _OpenCVWriter:
    """Writes MPEG-4 at a constant rate: a frame is repeated until the next one's time, or left out."""

    def __init__(self, path: str | Path, size: tuple[int, int], rate: float) -> None:
        self._rate, self._written = max(rate, DEFAULT_RATE), 0
        self._last: np.ndarray | None = None
        self._start: int | None = None
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), self._rate, size)
        if not self._writer.isOpened():
            raise _unwritable(path)

    def write(self, rgb: np.ndarray, time_ns: int) -> None:
        self._start = time_ns if self._start is None else self._start
        due = round((time_ns - self._start) * 1e-9 * self._rate)
        while self._last is not None and self._written < due:
            self._writer.write(self._last)
            self._written += 1
        self._last = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)

    def close(self) -> None:
        if self._last is not None:
            self._writer.write(self._last)
        self._writer.release()


def _unwritable(path: str | Path) -> CommandError:
    return CommandError(f'cannot write {path}', 'check that the folder is writable and the disk not full')
