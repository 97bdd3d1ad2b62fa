"""Reader of video files: upright frames with their presentation times.

PyAV (extra `video`) reads exact presentation times. Without it the times are OpenCV's, in milliseconds.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
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

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        """`threads`: of the decoder, with PyAV; 0: its own choice. CommandError if the file is missing or
        holds no video that can be decoded."""
        if not Path(path).is_file():
            raise CommandError(f'no file {path}', 'check the path')
        path = Path(path)
        backend = self._backend = _PyAVBackend(path, threads) if HAS_PYAV else _OpenCVBackend(path)
        self._start: float | None = None
        frames = self._upright_frames()
        first = next(frames, None)
        if first is None:
            self.close()
            raise _unreadable(path)
        self._frames: Iterator[VideoFrame] = itertools.chain([first], frames)
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
    def duration(self) -> float | None:
        """Seconds, as the container says; None if it does not."""
        return self._backend.duration

    def skip_to(self, time_ns: int) -> None:
        """Continues with the first frame at `time_ns` or later. PyAV jumps to the key frame before it, if the
        frames have times; otherwise the frames between are decoded and dropped."""
        if self._start is not None and self._backend.skip_to(self._start + time_ns * 1e-9):
            self._frames = self._upright_frames()
        self._frames = itertools.dropwhile(lambda frame: frame.time_ns < time_ns, self._frames)

    @property
    def damaged(self) -> int:
        """Number of packets that could not be decoded so far; their frames are left out."""
        return self._backend.damaged

    def close(self) -> None:
        """Closes the file."""
        self._backend.close()

    def _upright_frames(self) -> Iterator[VideoFrame]:
        last = None
        for rgb, seconds, rotation in self._backend:
            if rotation:
                rgb = cv2.rotate(rgb, _ROTATIONS[rotation])
            if seconds is None:  # a frame without a time follows the last at the nominal rate
                step = round(1e9 / max(self._backend.rate, DEFAULT_RATE))
                time_ns = 0 if last is None else last + step
            else:
                self._start = seconds if self._start is None else self._start
                time_ns = round((seconds - self._start) * 1e9)
            last = time_ns if last is None or time_ns > last else last + 1_000_000
            yield VideoFrame(rgb, last)


class _PyAVBackend:
    """Frames of a file by PyAV: (RGB, seconds or None, degrees clockwise)."""

    def __init__(self, path: Path, threads: int) -> None:
        import av

        self._av, self.damaged, self._path, self._threads = av, 0, path, threads
        self._from = -math.inf
        self._open()
        self.rate = float(self._stream.average_rate or 0)
        self.frame_count = self._stream.frames
        self.duration = self._duration()

    def _open(self) -> None:
        try:
            self._container = self._av.open(str(self._path))
        except (self._av.error.FFmpegError, ValueError) as error:
            raise _unreadable(self._path) from error
        if not self._container.streams.video:
            self.close()
            raise _unreadable(self._path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = 'AUTO'
        if self._threads:
            self._stream.codec_context.thread_count = self._threads

    def _duration(self) -> float | None:
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        return self._container.duration / self._av.time_base if self._container.duration else None

    def skip_to(self, seconds: float) -> bool:
        """Leaves out the frames before `seconds`, in the times of the file. Returns True: iterate anew."""
        self._from = seconds
        try:
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream)
            packet = next(self._packets())
            late = packet.pts is None or float(packet.pts * packet.time_base) > seconds
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream)
        except (self._av.error.FFmpegError, StopIteration):
            late = True
        if late:  # no index, or a wrong one: from the beginning
            self.close()
            self._open()
        return True

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None, int]]:
        # One for all frames: frame.to_ndarray(format=...) makes a new one each time, twice the CPU time.
        to_rgb = self._av.video.reformatter.VideoReformatter()
        for packet in self._packets():
            try:
                frames = packet.decode()
            except self._av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if frame.time is not None and frame.time < self._from - 1e-6:
                    continue
                # PyAV reports the rotation counterclockwise and does not apply it.
                rgb = to_rgb.reformat(frame, format='rgb24').to_ndarray()
                yield rgb, frame.time, round(-frame.rotation) % 360

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
        """Closes the file."""
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
        self.duration = self.frame_count / plausible_rate(self.rate) if self.frame_count else None
        self._from = -math.inf

    def skip_to(self, seconds: float) -> bool:
        """Leaves out the frames before `seconds`. Returns False: OpenCV does not jump exactly."""
        self._from = seconds
        return False

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None, int]]:
        while True:
            if not self._capture.grab():
                return
            seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            if seconds < self._from - 1e-3:
                continue
            good, bgr = self._capture.retrieve()
            if not good:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), seconds, self._rotation

    def close(self) -> None:
        self._capture.release()


def _unreadable(path: Path) -> CommandError:
    tool = 'PyAV' if HAS_PYAV else 'OpenCV'
    more = '' if HAS_PYAV else ", or pip install 'maskhand_ros[video]', which reads more"
    return CommandError(
        f'{path} is not a video that {tool} reads', f'convert it: ffmpeg -i IN -c:v libx264 OUT.mp4{more}'
    )
