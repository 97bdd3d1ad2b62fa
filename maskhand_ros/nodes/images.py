"""Conversion of image messages to numpy and back (CompressedImage is in compressed.py, CameraInfo in
camera_info.py).

Any peer on the network can publish any message, so its fields are checked before memory is allocated. An
unusable message raises a `BadInput` with the reason and the remedy. Functions read attributes only, so
messages of rclpy and of rosbags are both accepted.
"""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.encodings import ENCODINGS, Bytes, Encoding, Plane, to_8_bit
from maskhand_ros.options import default
from maskhand_ros.perception.frame_checks import MAX_SIDE

DEPTH_ENCODINGS = {'16UC1': (np.uint16, 0.001), 'mono16': (np.uint16, 0.001), '32FC1': (np.float32, 1.0)}
"""Encoding -> (type, metres per unit), REP-118."""

MAX_PIXELS = default('max_image_pixels')
"""Default limit on the size of an image (4096 x 4096)."""


def decode_image(msg: Image, max_pixels: int = MAX_PIXELS) -> Bytes:
    """sensor_msgs/Image to RGB (H, W, 3) uint8. Raises BadInput. An `rgb8` image without padding is not
    copied."""
    if msg.encoding not in ENCODINGS:
        raise BadInput(
            'unknown encoding',
            repr(msg.encoding),
            'This is a depth image: remap image to the topic of the colour image'
            if msg.encoding in DEPTH_ENCODINGS
            else 'Set the camera driver to rgb8, bgr8, mono8, yuyv or another of docs/encodings.md',
        )
    encoding = ENCODINGS[msg.encoding]
    check_size(msg.width, msg.height, max_pixels)
    check_layout(encoding, msg.encoding, msg.width, msg.height)
    planes = _planes(msg, encoding.bytes_per_pixel, encoding.planes)
    if encoding.bits != 8:
        planes[0] = to_8_bit(_samples(planes[0], np.uint16, msg.is_bigendian), encoding.bits)
    shape = (msg.height, msg.width, encoding.samples) if encoding.samples > 1 else (msg.height, msg.width)
    planes[0] = planes[0].reshape(shape)
    return encoding.to_rgb(planes)


def decode_depth(msg: Image, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A depth sensor_msgs/Image (REP-118) to metres (H, W) float32, NaN where unknown. Raises BadInput."""
    if msg.encoding not in DEPTH_ENCODINGS:
        raise BadInput(
            'unknown depth encoding',
            repr(msg.encoding),
            f'Publish depth as one of: {", ".join(DEPTH_ENCODINGS)}',
        )
    kind, unit = DEPTH_ENCODINGS[msg.encoding]
    check_size(msg.width, msg.height, max_pixels)
    rows = _planes(msg, np.dtype(kind).itemsize, (Plane(),))[0]
    with np.errstate(invalid='ignore'):  # a NaN may be a signalling one
        metres = _samples(rows, kind, msg.is_bigendian).astype(np.float32) * np.float32(unit)
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres


def _samples(rows: Bytes, kind: type, is_bigendian: int) -> np.ndarray:
    """Rows of bytes as rows of numbers in this machine's byte order; not copied where
    it is the same."""
    stored = np.dtype(kind).newbyteorder('>' if is_bigendian else '<')
    return rows.view(stored).astype(kind, copy=False)


def _planes(msg: Image, bytes_per_pixel: int, planes: tuple[Plane, ...]) -> list[Bytes]:
    """The bytes of each plane of an Image (rows, bytes of a row), views where rows are not padded. Raises
    BadInput."""
    row = msg.width * bytes_per_pixel
    if msg.step < row or any((msg.step * plane.share).denominator > 1 for plane in planes):
        raise BadInput(
            'wrong step',
            f'step {msg.step} for rows of {row} bytes ({msg.width} px {msg.encoding})',
            'The camera driver must set step to the bytes of a row, of the first plane where there are many',
        )
    begin, places = 0, []
    for plane in planes:
        rows, step, length = msg.height // plane.down, int(msg.step * plane.share), int(row * plane.share)
        places.append((begin, rows, step, length))
        needed = begin + step * (rows - 1) + length
        begin += step * rows
    if len(msg.data) < needed:
        raise BadInput(
            'truncated data',
            f'{len(msg.data)} bytes where {needed} are needed',
            'The camera driver must send whole images; check for a lossy bridge in between',
        )
    flat = np.frombuffer(msg.data, np.uint8, count=needed)
    return [_rows(flat[begin:], *place) for begin, *place in places]


def _rows(flat: Bytes, rows: int, step: int, length: int) -> Bytes:
    """(rows, length) bytes that begin `step` apart in `flat`, copied unless they follow each other."""
    if step == length:
        return flat[: rows * length].reshape(rows, length)
    return np.lib.stride_tricks.as_strided(flat, (rows, length), (step, 1), writeable=False).copy()


def check_layout(encoding: Encoding, name: str, width: int, height: int) -> None:
    """Raises BadInput for a size that an image of this encoding cannot have."""
    for side, size, even in (('width', width, encoding.even[0]), ('height', height, encoding.even[1])):
        if even and size % 2:
            raise BadInput(
                'wrong size', f'{side} {size} is odd in {name}', 'Pixels share their colour: use an even one'
            )
        if size < encoding.least:
            raise BadInput(
                'wrong size', f'{side} {size} in {name}', f'Use at least {encoding.least}: a mosaic has 2 x 2'
            )


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises BadInput for an empty image or one above the limit."""
    if width == 0 or height == 0:
        raise BadInput('zero size', f'{width} x {height}', 'The camera driver must send an image with pixels')
    if width * height > max_pixels:
        raise BadInput(
            'too large',
            f'{width} x {height} is above {max_pixels} pixels',
            'Send a smaller image, or raise the parameter max_image_pixels',
        )
    if max(width, height) > MAX_SIDE:
        raise BadInput(
            'too large', f'{width} x {height}, a side is above {MAX_SIDE} pixels', 'Send a smaller image'
        )


def encode_image(rgb: np.ndarray, header: Header) -> Image:
    """sensor_msgs/Image of RGB (H, W, 3) uint8."""
    height, width = rgb.shape[:2]
    # rclpy checks an ndarray assigned to `data` element by element (0.1 s), an array.array not at all.
    return Image(
        header=header,
        height=height,
        width=width,
        encoding='rgb8',
        step=3 * width,
        data=array.array('B', rgb.tobytes()),
    )
