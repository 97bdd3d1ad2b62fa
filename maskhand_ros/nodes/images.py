"""Image and CameraInfo messages to numpy and back (CompressedImage: compressed.py).

Any peer on the network may publish anything, so a message is checked before memory is taken for it. What is
refused is refused with a `BadInput` that names the reason and the remedy. Functions read attributes only:
messages of rclpy and of rosbags both do.
"""

from __future__ import annotations

import array
import math

import cv2
import numpy as np
from sensor_msgs.msg import Image

from maskhand_ros.geometry import Camera

ENCODINGS = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': (2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
}
"""Encoding -> (bytes per pixel, OpenCV conversion to RGB). ROS calls UYVY `yuv422`."""

DISTORTION_MODELS, DISTORTION_SIZES = ('plumb_bob', 'rational_polynomial'), (4, 5, 8, 12, 14)
"""Of CameraInfo: those of OpenCV, by so many numbers."""

DEPTH_ENCODINGS = {'16UC1': (np.uint16, 0.001), 'mono16': (np.uint16, 0.001), '32FC1': (np.float32, 1.0)}
"""Encoding -> (type, metres per unit), REP-118."""

VIEW_DEGREES, MAX_FOCAL_RATIO = (10, 170), 1.5
"""Of a calibration that is believed: the view along the longer side, and fx over fy or fy over fx."""

MAX_SLOPE, MAX_ASTRAY = math.tan(math.radians(VIEW_DEGREES[1] / 2)), 0.05
"""Of a lens that is believed: how steep a ray may be, and how far from its pixel it may lead back into the
picture, in parts of the longer side."""

FIXED = [0, 1, 2, 2, 2], [1, 0, 0, 1, 2]
"""Where a camera matrix holds 0, 0, 0, 0, 1."""

RECALIBRATE = 'Calibrate the camera again at the size of its pictures, or look for the CameraInfo of another'

MAX_PIXELS = 16_777_216
"""Default limit on the size of a picture (4096 x 4096)."""

MAX_SIDE = 32_767
"""Of a picture, in pixels: OpenCV's resampling counts in 16 bits."""

MAX_TEXT = 200
"""Characters of a message's own words that go into logs and diagnostics."""


class BadInput(ValueError):
    """A message that cannot be used: `reason` (a short key, counted in diagnostics), what was seen, and the
    `remedy`."""

    def __init__(self, reason, seen, remedy):
        seen, self.reason, self.remedy = seen[:MAX_TEXT], reason, remedy[: 2 * MAX_TEXT]
        super().__init__(f'{reason}: {seen}. {self.remedy}')


def decode_image(msg, max_pixels=MAX_PIXELS):
    """sensor_msgs/Image to RGB (H, W, 3) uint8. Raises BadInput. An `rgb8` picture without padding is not
    copied."""
    if msg.encoding not in ENCODINGS:
        hint = (
            'Debayer it first (image_proc)'
            if msg.encoding.startswith('bayer')
            else f'Set the camera driver to one of: {", ".join(ENCODINGS)}'
        )
        raise BadInput('unknown encoding', repr(msg.encoding), hint)
    bytes_per_pixel, conversion = ENCODINGS[msg.encoding]
    rows = _rows(msg, bytes_per_pixel, max_pixels)
    if bytes_per_pixel == 2 and msg.width % 2:
        raise BadInput(
            'wrong size',
            f'width {msg.width} is odd in {msg.encoding}',
            'Two pixels share their colour: use an even width',
        )
    picture = rows.reshape(msg.height, msg.width, bytes_per_pixel)
    return picture if conversion is None else cv2.cvtColor(picture, conversion)


def decode_depth(msg, max_pixels=MAX_PIXELS):
    """A depth sensor_msgs/Image (REP-118) to metres (H, W) float32, NaN where unknown. Raises BadInput."""
    if msg.encoding not in DEPTH_ENCODINGS:
        raise BadInput(
            'unknown depth encoding',
            repr(msg.encoding),
            f'Publish depth as one of: {", ".join(DEPTH_ENCODINGS)}',
        )
    kind, unit = DEPTH_ENCODINGS[msg.encoding]
    rows = _rows(msg, np.dtype(kind).itemsize, max_pixels)
    order = '>' if msg.is_bigendian else '<'
    readings = np.ascontiguousarray(rows).view(np.dtype(kind).newbyteorder(order))
    with np.errstate(invalid='ignore'):  # a NaN may be a signalling one
        metres = readings.astype(np.float32) * np.float32(unit)
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres


def _rows(msg, bytes_per_pixel, max_pixels):
    """The pixel bytes of an Image (H, W * bytes_per_pixel) uint8, a view where rows are not padded. Raises
    BadInput."""
    check_size(msg.width, msg.height, max_pixels)
    row = msg.width * bytes_per_pixel
    if msg.step < row:
        raise BadInput(
            'wrong step',
            f'step {msg.step} for rows of {row} bytes ({msg.width} px {msg.encoding})',
            'The camera driver must set step to the bytes of a row',
        )
    needed = msg.step * (msg.height - 1) + row
    if len(msg.data) < needed:
        raise BadInput(
            'truncated data',
            f'{len(msg.data)} bytes where {needed} are needed',
            'The camera driver must send whole pictures; look for a lossy bridge in between',
        )
    flat = np.frombuffer(msg.data, np.uint8, count=needed)
    if msg.step == row:
        return flat.reshape(msg.height, row)
    return np.lib.stride_tricks.as_strided(flat, (msg.height, row), (msg.step, 1), writeable=False).copy()


def check_size(width, height, max_pixels):
    """Raises BadInput for an empty picture or one above the limit."""
    if width == 0 or height == 0:
        raise BadInput(
            'zero size', f'{width} x {height}', 'The camera driver must send a picture with pixels'
        )
    if width * height > max_pixels:
        raise BadInput(
            'too large',
            f'{width} x {height} is above {max_pixels} pixels',
            'Send a smaller picture, or raise the parameter max_image_pixels',
        )
    if max(width, height) > MAX_SIDE:
        raise BadInput(
            'too large', f'{width} x {height}, a side is above {MAX_SIDE} pixels', 'Send a smaller picture'
        )


def encode_image(rgb, header):
    """RGB (H, W, 3) uint8 to sensor_msgs/Image."""
    height, width = rgb.shape[:2]
    # An ndarray assigned to `data` is checked number by number (0.1 s); an array.array is taken as it is.

    return Image(
        header=header,
        height=height,
        width=width,
        encoding='rgb8',
        step=3 * width,
        data=array.array('B', rgb.tobytes()),
    )


def decode_camera_info(info, width, height, rectified=False):
    """CameraInfo to the Camera of a picture of width x height px. Raises BadInput.

    Binning and region of interest are applied (REP-104), so that the matrix fits the picture as received.
    `rectified`: the picture is undistorted, so P is the matrix and there is no distortion.
    """
    matrix = (
        np.array(info.p, float).reshape(3, 4)[:, :3] if rectified else np.array(info.k, float).reshape(3, 3)
    )
    distortion = np.zeros(0) if rectified else np.array(info.d, float)
    if matrix[0, 0] == 0 or matrix[1, 1] == 0:
        raise BadInput(
            'uncalibrated CameraInfo',
            f'{"P" if rectified else "K"}[0] is 0',
            'Calibrate the camera (camera_calibration) and give the file to its driver',
        )
    if not (
        np.isfinite(matrix).all() and np.isfinite(distortion).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0
    ):
        raise BadInput('invalid CameraInfo', 'negative or not finite numbers', 'Calibrate the camera again')
    if not np.array_equal(matrix[FIXED], [0, 0, 0, 0, 1]):
        raise BadInput(
            'invalid CameraInfo',
            f'{"P" if rectified else "K"} is {np.array2string(matrix.ravel(), threshold=9, precision=1)}',
            'Give it the form fx 0 cx, 0 fy cy, 0 0 1',
        )
    if np.any(distortion) and (
        info.distortion_model not in DISTORTION_MODELS or distortion.size not in DISTORTION_SIZES
    ):
        raise BadInput(
            'unsupported distortion',
            f'{info.distortion_model!r} with {distortion.size} numbers',
            'Rectify the picture first (image_proc) and set image_rectified: true',
        )
    binning = np.array([max(info.binning_x, 1), max(info.binning_y, 1)])
    roi = info.roi
    window = np.array([roi.width or info.width, roi.height or info.height])
    if np.abs(window / binning - [width, height]).max() >= 1:
        raise BadInput(
            'CameraInfo of another size',
            f'it says {window[0]} x {window[1]} binned by {binning[0]} x {binning[1]}, '
            f'the picture has {width} x {height}',
            'Publish the CameraInfo of this picture (resize both: image_proc)',
        )
    if roi.x_offset + window[0] > info.width or roi.y_offset + window[1] > info.height:
        raise BadInput(
            'implausible CameraInfo',
            f'a window of {window[0]} x {window[1]} at {roi.x_offset}, {roi.y_offset} of a sensor of '
            f'{info.width} x {info.height}',
            'The camera driver must set width and height to the whole sensor, roi to the part that is sent',
        )
    _check_plausible(matrix, info.width, info.height)
    matrix[:2, 2] -= [roi.x_offset, roi.y_offset]
    matrix[:2] /= binning[:, None]
    camera = Camera(matrix, width, height, distortion if np.any(distortion) else np.zeros(0))
    if camera.distortion.size:
        _check_lens(camera)
    return camera


def _check_plausible(matrix, width, height):
    """Raises BadInput where no lens has the matrix (3, 3) for a sensor of width x height px. One that is
    wrong but possible goes through: nothing in a picture tells."""
    (fx, fy), (cx, cy) = np.diag(matrix)[:2], matrix[:2, 2]
    views = [math.degrees(2 * math.atan2(size / 2, f)) for size, f in ((width, fx), (height, fy))]
    if not VIEW_DEGREES[0] <= max(views) <= VIEW_DEGREES[1]:
        seen = f'a view of {views[0]:.0f} x {views[1]:.0f} degrees'
    elif max(fx, fy) > MAX_FOCAL_RATIO * min(fx, fy):
        seen = f'fx is {fx:.0f} and fy is {fy:.0f}'
    elif not (0 <= cx <= width and 0 <= cy <= height):
        seen = f'the principal point {cx:.0f}, {cy:.0f} is outside of {width} x {height}'
    else:
        return
    raise BadInput('implausible CameraInfo', seen, RECALIBRATE)


def _check_lens(camera):
    """Raises BadInput where the distortion of a Camera is no lens's: it sends pixels nowhere, or those of the
    inner half not back to where they came from. (Further out OpenCV's inverse is inexact for wide lenses.)"""
    size = np.array([camera.width, camera.height])
    spots = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 2), -1).reshape(-1, 2)
    rays = camera.unproject_rays(spots * size)
    inner = np.abs(spots - 0.5).max(1) <= 0.25
    astray = np.abs(camera.project(rays[inner]) - spots[inner] * size).max() / size.max()
    if not (np.abs(rays[:, :2]).max() <= MAX_SLOPE and astray <= MAX_ASTRAY):
        raise BadInput('implausible CameraInfo', 'a distortion that no lens has', RECALIBRATE)
