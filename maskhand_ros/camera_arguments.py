"""Command-line arguments of the camera: --intrinsics, or --camera-info with a calibration file."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.cli_arguments import number
from maskhand_ros.errors import BadInput, CommandError
from maskhand_ros.geometry import Camera

_ASPECT_TOLERANCE = 0.005
"""Relative difference of two aspect ratios that a scaled calibration may have: sizes are whole pixels."""

FORMATS = (
    'give the YAML of camera_calibration (camera_matrix, distortion_coefficients, image_width, ...) or of '
    '`ros2 topic echo --once .../camera_info`'
)


@dataclass(frozen=True)
class RegionOfInterest:
    """The fields of sensor_msgs/RegionOfInterest: all 0, the whole image."""

    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Calibration:
    """The fields of sensor_msgs/CameraInfo, for `decode_camera_info`."""

    width: int
    height: int
    k: list[float]
    """3 x 3, row by row, pixels."""
    d: list[float] = field(default_factory=list)
    p: list[float] = field(default_factory=lambda: [0.0] * 12)
    """3 x 4, row by row, pixels."""
    distortion_model: str = 'plumb_bob'
    binning_x: int = 0
    binning_y: int = 0
    roi: RegionOfInterest = RegionOfInterest()

    def resized(self, width: int, height: int) -> Calibration:
        """The calibration of the same camera, images scaled to width x height px. CommandError for another
        aspect ratio."""
        if (width, height) == (self.width, self.height):
            return self
        if abs(width * self.height / (height * self.width) - 1) > _ASPECT_TOLERANCE:
            raise CommandError(
                f'the calibration is of {self.width} x {self.height}, the image has {width} x {height}',
                'calibrate at the size of the images, or give a calibration of the same aspect ratio',
            )
        x, y = width / self.width, height / self.height
        scale = [x, x, x, y, y, y, 1, 1, 1]
        return dataclasses.replace(
            self,
            width=width,
            height=height,
            k=[a * b for a, b in zip(scale, self.k, strict=True)],
            p=[a * b for a, b in zip([x] * 4 + [y] * 4 + [1] * 4, self.p, strict=True)],
        )


def add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that give the images a calibration."""
    group = parser.add_argument_group('camera').add_mutually_exclusive_group()
    group.add_argument(
        '--intrinsics',
        type=number(-1e6, 1e6, 'px'),
        nargs=4,
        metavar=('FX', 'FY', 'CX', 'CY'),
        help='camera matrix in pixels of these images; without one hands have no metric position',
    )
    group.add_argument(
        '--camera-info',
        metavar='YAML',
        help='calibration file, of camera_calibration or a CameraInfo message; scaled to the images',
    )


def add_mirror_argument(parser: argparse.ArgumentParser) -> None:
    """The argument that says that the images are mirrored."""
    parser.add_argument('--mirrored', action='store_true', help='the image is a mirror image (selfie view)')


def camera_from(args: argparse.Namespace, width: int, height: int) -> Camera | None:
    """The Camera that the arguments name, for images of width x height px; None if they name none.

    CommandError if no camera has such a calibration.
    """
    calibration = calibration_from(args, width, height)
    if calibration is None:
        return None
    try:
        return decode_camera_info(calibration, width, height)
    except BadInput as error:
        source = '--intrinsics' if args.intrinsics else args.camera_info
        raise CommandError(f'{source}: {error.reason}, {error.seen}', error.remedy) from error


def calibration_from(args: argparse.Namespace, width: int, height: int) -> Calibration | None:
    """The Calibration that the arguments name, for images of width x height px; None if they name none."""
    if args.intrinsics:
        fx, fy, cx, cy = args.intrinsics
        return Calibration(width, height, [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0])
    if args.camera_info:
        return read_calibration(args.camera_info).resized(width, height)
    return None


@functools.lru_cache(maxsize=1)  # one file for all images of a batch
def read_calibration(path: str | pathlib.Path) -> Calibration:
    """The Calibration in a YAML file of camera_calibration or of a printed CameraInfo. CommandError if it is
    none."""
    import yaml

    try:
        text = pathlib.Path(path).read_text()
        # `ros2 topic echo` ends a message with `---`.
        values: Any = next(iter(yaml.safe_load_all(text)), None)
    except FileNotFoundError as error:
        raise CommandError(f'no file {path}', 'check the path') from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f'{path} is not YAML ({" ".join(str(error).split())[:100]})', FORMATS) from error
    try:
        return _of_file(values) if 'camera_matrix' in values else _of_message(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CommandError(f'{path} is no calibration: {type(error).__name__} {error}', FORMATS) from error


def _of_file(values: dict[str, Any]) -> Calibration:
    """As camera_calibration and camera_info_manager write it."""
    return Calibration(
        int(values['image_width']),
        int(values['image_height']),
        _numbers(values['camera_matrix']['data'], 9),
        _numbers(values.get('distortion_coefficients', {}).get('data', [])),
        _numbers(values.get('projection_matrix', {}).get('data', [0.0] * 12), 12),
        str(values.get('distortion_model', 'plumb_bob')),
    )


def _of_message(values: dict[str, Any]) -> Calibration:
    """As a CameraInfo message is printed; K, D and P are capital letters in ROS 1."""
    small = {name.lower(): value for name, value in values.items()}
    window = small.get('roi') or {}
    return Calibration(
        int(small['width']),
        int(small['height']),
        _numbers(small['k'], 9),
        _numbers(small.get('d', [])),
        _numbers(small.get('p', [0.0] * 12), 12),
        str(small.get('distortion_model') or 'plumb_bob'),
        int(small.get('binning_x', 0)),
        int(small.get('binning_y', 0)),
        RegionOfInterest(**{name: int(window.get(name, 0)) for name in RegionOfInterest.__annotations__}),
    )


def _numbers(values: Any, count: int | None = None) -> list[float]:
    found = [float(value) for value in np.ravel(values)]
    if count is not None and len(found) != count:
        raise ValueError(f'{len(found)} numbers where {count} are needed')
    return found
