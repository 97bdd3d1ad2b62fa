"""Reader of video files: upright frames with their presentation times.

PyAV (extra `video`) reads exact presentation times. Without it the times are OpenCV's, in milliseconds.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from maskhand_ros.errors import CommandError

HAS_PYAV = importlib.util.find_spec('av') is not None

USUAL_RATES = 1.0, 240.0
"""Plausible frame rates, Hz; browsers write 1000."""

DEFAULT_RATE = 30.0
"""Frame rate of a container that states none, Hz."""

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
"""Degrees clockwise by which a frame is shown -> OpenCV's rotation."""


def plausible_rate(rate: float) -> float:
    """The frame rate, Hz, or DEFAULT_RATE if it is outside of USUAL_RATES."""
    return rate if USUAL_RATES[0] <= rate <= USUAL_RATES[1] else DEFAULT_RATE


class VideoFrame(NamedTuple):
    """One frame of a video, upright."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    time_ns: int
    """Presentation time, nanoseconds since the first frame; strictly increasing."""


class VideoReader:
    """A video file, decoded in order. Use as a context manager and iterate over VideoFrames.

    `width`, `height`: px, after rotation. `rate`: nominal frames a second. `frame_count`: as the container
    says, None if it does not.
    """

    def __init__(self, path: str | Path) -> None:
        """CommandError if the file is missing or holds no video that can be decoded."""
        if not Path(path).is_file():
            raise CommandError(f'no file {path}', 'check the path')
        path = Path(path)
        backend = self._backend = _PyAVBackend(path) if HAS_PYAV else _OpenCVBackend(path)
        frames = self._upright_frames()
        first = next(frames, None)
        if first is None:
            self.close()
            raise _unreadable(path)
        self._frames = itertools.chain([first], frames)
        self.height, self.width = first.rgb.shape[:2]
        self.rate = plausible_rate(backend.rate)
        self.frame_count = backend.frame_count or None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._frames

    @property
    def damaged(self) -> int:
        """Number of packets that could not be decoded so far; their frames are left out."""
        return self._backend.damaged

    def close(self) -> None:
        """Closes the file."""
        self._backend.close()

    def _upright_frames(self) -> Iterator[VideoFrame]:
        start = last = None
        for rgb, seconds, rotation in self._backend:
            if rotation:
                rgb = cv2.rotate(rgb, _ROTATIONS[rotation])
            if seconds is None:  # a frame without a time follows the last at the nominal rate
                step = round(1e9 / max(self._backend.rate, DEFAULT_RATE))
                time_ns = 0 if last is None else last + step
            else:
                start = seconds if start is None else start
                time_ns = round((seconds - start) * 1e9)
            last = time_ns if last is None or time_ns > last else last + 1_000_000
            yield VideoFrame(rgb, last)


class _PyAVBackend:
    """Frames of a file by PyAV: (RGB, seconds or None, degrees clockwise)."""

    def __init__(self, path: Path) -> None:
        import av

        self._av, self.damaged = av, 0
        try:
            self._container = av.open(str(path))
        except (av.error.FFmpegError, ValueError) as error:
            raise _unreadable(path) from error
        if not self._container.streams.video:
            self.close()
            raise _unreadable(path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = 'AUTO'
        self.rate = float(self._stream.average_rate or 0)
        self.frame_count = self._stream.frames

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None, int]]:
        for packet in self._packets():
            try:
                frames = packet.decode()
            except self._av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                # PyAV reports the rotation counterclockwise and does not apply it.
                yield frame.to_ndarray(format='rgb24'), frame.time, round(-frame.rotation) % 360

    def _packets(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except self._av.error.FFmpegError:  # the file ends before its index says
                self.damaged += 1
                return
            if packet is None:
                return
            yield packet

    def close(self) -> None:
        self._container.close()


class _OpenCVBackend:
    """Frames of a file by OpenCV: (RGB, seconds, degrees clockwise)."""

    damaged = 0
    """OpenCV does not report the packets that it skips."""

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise _unreadable(path)
        # Versions differ in whether they rotate by themselves.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        self._rotation = round(self._capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None, int]]:
        while True:
            good, bgr = self._capture.read()
            if not good:
                return
            seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), seconds, self._rotation

    def close(self) -> None:
        self._capture.release()


def _unreadable(path: Path) -> CommandError:
    tool = 'PyAV' if HAS_PYAV else 'OpenCV'
    more = '' if HAS_PYAV else ", or pip install 'maskhand_ros[video]', which reads more"
    return CommandError(
        f'{path} is not a video that {tool} reads', f'convert it: ffmpeg -i IN -c:v libx264 OUT.mp4{more}'
    )
