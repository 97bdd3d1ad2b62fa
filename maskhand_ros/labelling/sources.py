"""Frames of a clip: one interface for videos, folders of images and bags.

Each source is read in order of time, from any start on. `rate`: nominal frames a second. `duration`: seconds,
None where it is unknown. `damaged`: frames or packets that were left out so far.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from maskhand_ros.camera_arguments import camera_from
from maskhand_ros.errors import CommandError
from maskhand_ros.files import ImageError, read_image
from maskhand_ros.geometry import Camera
from maskhand_ros.labelling.clip_input import BAG, IMAGES, ClipInput, image_files
from maskhand_ros.labelling.label_options import LabelOptions
from maskhand_ros.video_reader import DEFAULT_RATE, VideoReader

if TYPE_CHECKING:
    from maskhand_ros.nodes.bag_images import BagImages


class SourceFrame(NamedTuple):
    """One frame of a clip."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    time_ns: int
    """Since the first frame of the clip, strictly increasing."""
    camera: Camera | None


class Source(Protocol):
    """An open clip."""

    rate: float
    duration: float | None

    @property
    def damaged(self) -> int:
        """Frames or packets that were left out so far."""

    def frames(self, start_ns: int) -> Iterator[SourceFrame]:
        """The frames at `start_ns` or later. To be called once."""

    def close(self) -> None:
        """Closes the files."""


def open_source(clip: ClipInput, options: LabelOptions) -> Source:
    """The Source of a clip. CommandError where it cannot be read."""
    if clip.intrinsics is not None:
        options = dataclasses.replace(options, intrinsics=clip.intrinsics, camera_info=None)
    if clip.kind == BAG:
        from maskhand_ros.nodes.bag_images import BagImages

        return BagSource(BagImages(clip.path, clip.topic or options.topic), options)
    return ImageFolder(clip, options) if clip.kind == IMAGES else VideoFile(clip, options)


class Cameras:
    """The Camera of LabelOptions for images of each size; None where the options name none."""

    def __init__(self, options: LabelOptions) -> None:
        self._options, self._by_size = options, dict[tuple[int, int], Camera | None]()

    def __call__(self, rgb: np.ndarray) -> Camera | None:
        size = rgb.shape[1], rgb.shape[0]
        if size not in self._by_size:
            options = self._options
            args = argparse.Namespace(intrinsics=options.intrinsics, camera_info=options.camera_info)
            self._by_size[size] = camera_from(args, *size)
        return self._by_size[size]


class VideoFile:
    """The Source of a video file, decoded on one thread."""

    def __init__(self, clip: ClipInput, options: LabelOptions) -> None:
        self._video, self._cameras = VideoReader(clip.path, threads=1), Cameras(options)
        self.rate, self.duration = self._video.rate, self._video.duration

    def close(self) -> None:
        self._video.close()

    @property
    def damaged(self) -> int:
        return self._video.damaged

    def frames(self, start_ns: int) -> Iterator[SourceFrame]:
        if start_ns > 0:
            self._video.skip_to(start_ns)
        for rgb, time_ns in self._video:
            yield SourceFrame(rgb, time_ns, self._cameras(rgb))


class ImageFolder:
    """The Source of a folder of images, in the order of their names at a constant rate."""

    def __init__(self, clip: ClipInput, options: LabelOptions) -> None:
        self._files, self._cameras = image_files(Path(clip.path)), Cameras(options)
        if not self._files:
            raise CommandError(f'no images in {clip.path}', 'name a folder with images')
        self.rate, self.damaged = options.rate or DEFAULT_RATE, 0
        self.duration: float | None = len(self._files) / self.rate

    def close(self) -> None:
        """Nothing stays open."""

    def frames(self, start_ns: int) -> Iterator[SourceFrame]:
        times = [round(number / self.rate * 1e9) for number in range(len(self._files))]
        problem: ImageError | None = None
        for path, time_ns in zip(self._files, times, strict=True):
            if time_ns < start_ns:
                continue
            try:
                rgb = read_image(path)
            except ImageError as error:
                self.damaged += 1
                problem = error
                continue
            yield SourceFrame(rgb, time_ns, self._cameras(rgb))
        if problem and self.damaged == len(self._files):
            raise problem


class BagSource:
    """The Source of a bag. The camera of the options comes before the bag's own CameraInfo."""

    def __init__(self, bag: BagImages, options: LabelOptions) -> None:
        self._bag, self._cameras = bag, Cameras(options)
        self._given = bool(options.intrinsics or options.camera_info)
        self.rate = bag.rate
        self.duration: float | None = bag.duration

    def close(self) -> None:
        self._bag.close()

    @property
    def damaged(self) -> int:
        return self._bag.damaged

    def frames(self, start_ns: int) -> Iterator[SourceFrame]:
        for rgb, time_ns, camera in self._bag.frames(start_ns):
            yield SourceFrame(rgb, time_ns, self._cameras(rgb) if self._given else camera)
