"""Video of a run: the operator beside the robot, with the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.commands.teleop_frames import Watched, WatchedFrame
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.video_reader import VideoReader
from maskhand_ros.video_writer import VideoWriter

PANE = 480, 360
"""Width and height of each half, pixels."""


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
        both = np.hstack([_fit(operator), _fit(robot)])
        _write(both, f'operator {frame.stamp_ns * 1e-9:6.2f} s', (8, 20))
        _write(both, f'robot {frame.stamp_ns * 1e-9:6.2f} s', (PANE[0] + 8, 20))
        _write(both, label[:70], (8, PANE[1] - 10))
        self._writer.write(both, frame.stamp_ns)


def _fit(rgb: np.ndarray) -> np.ndarray:
    """The image in a pane, with black bars."""
    scale = min(PANE[0] / rgb.shape[1], PANE[1] / rgb.shape[0])
    size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    pane = np.zeros((PANE[1], PANE[0], 3), np.uint8)
    top, left = (PANE[1] - size[1]) // 2, (PANE[0] - size[0]) // 2
    pane[top : top + size[1], left : left + size[0]] = small
    return pane


def _write(image: np.ndarray, text: str, place: tuple[int, int]) -> None:
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thickness, cv2.LINE_AA)
