"""Video of a run: the operator beside the robot, with the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskhand_ros.commands.teleop_frames import Watched, WatchedFrame
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.side_by_side import PANE, fit, write
from maskhand_ros.video_reader import VideoReader
from maskhand_ros.video_writer import VideoWriter


class TeleopVideo:
    """Writer of the video at `path`; reads the operator's images from `source` again. A context manager."""

    def __init__(self, path: Path, source: str | Path, watched: Watched) -> None:
        self._watched = watched
        self._reader = VideoReader(source)
        self._images: Iterator[tuple[np.ndarray, int]] = iter(self._reader)
        self._writer = VideoWriter(path, 2 * PANE[0], PANE[1], watched.rate)

    def __enter__(self) -> TeleopVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._writer.close()

    def add(self, frame: WatchedFrame, robot: np.ndarray, label: str) -> None:
        """One frame: the next image of the source with the operator's hand, and the `robot` (H, W, 3)."""
        rgb, _ = next(self._images)
        watched = self._watched
        hands = [hand for hand in frame.hands if hand is frame.operator]
        operator = draw_hands(rgb, hands, watched.camera, watched.faces, mirrored=watched.mirrored)
        both = np.hstack([fit(operator), fit(robot)])
        write(both, f'operator {frame.stamp_ns * 1e-9:6.2f} s', (8, 20))
        write(both, f'robot {frame.stamp_ns * 1e-9:6.2f} s', (PANE[0] + 8, 20))
        write(both, label[:70], (8, PANE[1] - 10))
        self._writer.write(both, frame.stamp_ns)
