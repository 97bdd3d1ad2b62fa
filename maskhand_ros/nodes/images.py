"""Image messages to numpy and back (CompressedImage: compressed.py, CameraInfo: camera_info.py).

Any peer on the network may publish anything, so a message is checked before memory is taken for it. What is
refused is refused with a `BadInput` that names the reason and the remedy. Functions read attributes only:
messages of rclpy and of rosbags both do.
"""

from __future__ import annotations

import array

import cv2
import numpy as np
from sensor_msgs.msg import Image

from maskhand_ros.errors import BadInput
from maskhand_ros.options import default
from maskhand_ros.perception.frame_checks import MAX_SIDE

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

DEPTH_ENCODINGS = {'16UC1': (np.uint16, 0.001), 'mono16': (np.uint16, 0.001), '32FC1': (np.float32, 1.0)}
"""Encoding -> (type, metres per unit), REP-118."""

MAX_PIXELS = default('max_image_pixels')
"""Default limit on the size of a picture (4096 x 4096)."""


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
