"""The bundled clips of rendered hands, and their ground truth."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import Frame
from maskhand_ros.video_reader import VideoReader

CLIP = pathlib.Path(__file__).resolve().parent / 'data/demo_clip.mp4'
TELEOP_CLIP = CLIP.with_name('teleop_clip.mp4')


@dataclass(frozen=True)
class Clip:
    """A clip of T frames with ground truth."""

    path: pathlib.Path
    rate: float
    """Frames a second."""
    K: np.ndarray
    """(3, 3) camera matrix, no distortion."""
    keypoints: np.ndarray
    """(T, hands, 21, 3) metres in the camera frame, set 'mano', left hand first."""
    visible: np.ndarray
    """(T, hands) whether the hand is in view."""

    def frames(self) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB images."""
        with VideoReader(self.path) as video:
            for rgb, _ in video:
                yield rgb


def read_clip(path: str | pathlib.Path = CLIP) -> Clip:
    """The Clip at `path`, with its ground truth in the .npz file of the same name. CommandError if a file
    is missing."""
    path = pathlib.Path(path)
    truth = path.with_suffix('.npz')
    for file in (path, truth):
        if not file.is_file():
            raise CommandError(f'no file {file}', 'install the package again: the clip is part of it')
    with np.load(truth, allow_pickle=False) as arrays:
        K, keypoints, visible = (np.array(arrays[name]) for name in ('K', 'keypoints', 'visible'))
    with VideoReader(path) as video:
        return Clip(path, video.rate, K.astype(float), keypoints.astype(float), visible.astype(bool))


def clip_frames(clip: Clip, width: int, height: int, hands: int) -> Iterator[Frame]:
    """Frames of the clip in an endless loop, scaled to width x height with grey bars, and their Cameras.

    For one hand the left half is painted over. Frames are decoded on demand, so that they do not count as
    memory.
    """
    stamps = itertools.count(0, int(1e9 / clip.rate))
    while True:
        for rgb in clip.frames():
            scale = min(width / rgb.shape[1], height / rgb.shape[0])
            inner = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
            left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
            image = np.full((height, width, 3), 128, np.uint8)
            small = cv2.resize(rgb, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
            if hands == 1:
                small[:, : inner[0] // 2] = 128
            image[top : top + inner[1], left : left + inner[0]] = small
            K = np.diag([scale, scale, 1.0]) @ clip.K
            K[:2, 2] += left, top
            yield Frame(rgb=image, stamp_ns=next(stamps), camera=Camera(K, width, height))
