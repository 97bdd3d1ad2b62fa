"""Checks of the fields of a Frame. Only types and shapes: they run for every image."""

from __future__ import annotations

import numbers
import os
from typing import Any

import numpy as np

from maskhand_ros.errors import FieldError
from maskhand_ros.geometry import Camera

MAX_SIDE = 32_767
"""Maximum width or height of an image, pixels: cv2.remap uses 16-bit integers."""


class FrameError(FieldError):
    """Invalid field of a Frame: the message names the field, what is wrong, and the fix."""


def check_frame(rgb: Any, stamp_ns: Any, camera: Any, depth: Any) -> None:
    """Raises FrameError if a field of a Frame has a wrong type, shape or dtype."""
    _check_rgb(rgb)
    _check_stamp(stamp_ns)
    height, width = rgb.shape[:2]
    if camera is not None:
        _check_camera(camera, width, height)
    if depth is not None:
        _check_depth(depth, width, height)


def _check_rgb(rgb: Any) -> None:
    if not isinstance(rgb, np.ndarray):
        fix = 'read the file: cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)'
        raise FrameError(
            f'rgb is of type {type(rgb).__name__}, not a numpy array',
            fix if isinstance(rgb, (str, os.PathLike)) or rgb is None else 'np.asarray(image)',
        )
    shape = _shape(rgb)
    if rgb.size == 0:
        raise FrameError(f'rgb is empty ({shape})', 'check that the image was read')
    if rgb.ndim == 2 or rgb.shape[2:] == (1,):
        raise FrameError(f'rgb is a grey image ({shape})', 'cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)')
    if rgb.shape[2:] == (4,):
        raise FrameError(f'rgb has an alpha channel ({shape})', 'image[:, :, :3]')
    if rgb.shape[2:] != (3,):
        channels_first = rgb.ndim == 3 and rgb.shape[0] == 3
        fix = 'image.transpose(1, 2, 0)' if channels_first else 'give one image, height x width x 3'
        raise FrameError(f'rgb is {shape}, not height x width x 3', fix)
    if rgb.dtype != np.uint8:
        fix = 'convert it to uint8, 0 to 255'
        if rgb.dtype.kind == 'f':
            fix = 'multiply by 255 and convert to uint8, if it is 0 to 1: (255 * image).astype(np.uint8)'
        elif rgb.dtype == np.uint16:
            fix = 'if its values are 0 to 65535, (image >> 8).astype(np.uint8)'
        raise FrameError(f'rgb is of {rgb.dtype}, not uint8', fix)
    if max(rgb.shape[:2]) > MAX_SIDE:
        raise FrameError(f'rgb is {shape}, a side is above {MAX_SIDE} pixels', 'scale it down: cv2.resize')


def _check_stamp(stamp_ns: Any) -> None:
    if isinstance(stamp_ns, bool) or not isinstance(stamp_ns, numbers.Integral):
        raise FrameError(
            f'stamp_ns is {stamp_ns!r:.60}, not a whole number of nanoseconds', 'round(1e9 * seconds)'
        )


def _check_camera(camera: Any, width: int, height: int) -> None:
    if not isinstance(camera, Camera):
        raise FrameError(
            f'camera is of type {type(camera).__name__}, not a Camera',
            f'maskhand_ros.geometry.Camera(K, {width}, {height}) of a 3 x 3 camera matrix K in pixels',
        )
    if (camera.width, camera.height) != (width, height):
        raise FrameError(
            f'camera is of {camera.width} x {camera.height} pixels, the image of {width} x {height}',
            'give the calibration of this size; for an image that was scaled, scale fx, cx and fy, cy alike',
        )


def _check_depth(depth: Any, width: int, height: int) -> None:
    if not isinstance(depth, np.ndarray):
        raise FrameError(f'depth is of type {type(depth).__name__}, not a numpy array', 'np.asarray(depth)')
    if depth.dtype.kind in 'ui':
        fix = 'if it is in millimetres, divide by 1000: depth.astype(np.float32) / 1000'
        raise FrameError(f'depth is of {depth.dtype}, not float32 in metres', fix)
    if depth.dtype != np.float32:
        raise FrameError(f'depth is of {depth.dtype}, not float32 in metres', 'depth.astype(np.float32)')
    if depth.shape != (height, width):
        raise FrameError(
            f'depth is {_shape(depth)}, the image {height} x {width}',
            'register it to the image: one value a pixel, height x width',
        )


def _shape(array: np.ndarray) -> str:
    return ' x '.join(map(str, array.shape)) or 'no shape'
