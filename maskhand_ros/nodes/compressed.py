"""sensor_msgs/CompressedImage to numpy, and back.

OpenCV takes memory for whatever a file's head asks for: gigabytes for a few bytes. So the head is read here
first, by a parser that understands less than the decoder does: what it cannot follow is refused.
"""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.images import MAX_PIXELS, check_size

MAX_SCANS = 30
"""Passes over a progressive JPEG; encoders make about 10. Each walks over all pixels and needs few bytes."""

MAX_SEGMENTS = 10_000
"""Segments before a JPEG's picture, or chunks of a PNG."""

_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG_BEGIN, _JPEG_END, _JPEG_SCAN = b'\xff\xd8', b'\xff\xd9', b'\xff\xda'
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_TABLES = {0xC4, 0xCC, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Markers that may stand before the frame header, each with a length. Those without one would lead a decoder
to another frame header than this parser."""


def decode_compressed(msg, max_pixels=MAX_PIXELS):
    """sensor_msgs/CompressedImage (JPEG or PNG) to RGB (H, W, 3) uint8. Raises BadInput before a bomb
    unpacks."""
    data = bytes(msg.data)
    if data.startswith(_PNG):
        size = _png_size(data)
    elif data.startswith(_JPEG_BEGIN):
        size = _jpeg_size(data)
    else:
        raise BadInput(
            'unknown compression', f'{len(data)} bytes, format {msg.format!r}', 'Publish JPEG or PNG'
        )
    check_size(*size, max_pixels)
    # The picture stays as the sensor saw it: turned by its EXIF tag it would not fit its CameraInfo.
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise _truncated(f'{len(data)} bytes of {msg.format!r} do not decode')
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def encode_compressed(rgb, header, quality=85):
    """RGB (H, W, 3) uint8 to a JPEG sensor_msgs/CompressedImage."""
    _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(
        header=header, format='rgb8; jpeg compressed bgr8', data=array.array('B', jpeg.tobytes())
    )


def _png_size(data):
    """(width, height) from the first chunk of a PNG file. Raises BadInput unless its chunks follow each other
    to the end: the decoder takes memory for a chunk's length, not for what is there."""
    at, name = len(_PNG), b''
    for _ in range(MAX_SEGMENTS):
        if at + 12 > len(data):
            raise _truncated(f'{len(data)} bytes of PNG, the end is missing')
        length, name = struct.unpack_from('>I4s', data, at)
        if (name == b'IHDR') != (at == len(_PNG)):
            raise _broken('a PNG that does not begin with its size, once')
        at += 12 + length
        if name == b'IEND' and at <= len(data):
            return struct.unpack_from('>II', data, len(_PNG) + 8)
    raise _broken(f'a PNG of over {MAX_SEGMENTS} chunks')


def _jpeg_size(data):
    """(width, height) from the frame header of a JPEG file. Raises BadInput if it has none, no end, or more
    scans than an encoder makes."""
    at = len(_JPEG_BEGIN)
    for _ in range(MAX_SEGMENTS):
        if at + 9 > len(data):
            raise _truncated(f'{len(data)} bytes of JPEG without a picture')
        begin, marker, length, height, width = struct.unpack_from('>BBHxHH', data, at)
        if begin == 0xFF and marker in _JPEG_FRAMES:
            break
        if begin == 0xFF and marker == 0xFF:  # a filling byte
            at += 1
        elif begin == 0xFF and marker in _JPEG_TABLES and length >= 2:
            at += 2 + length
        else:
            raise _broken(f'marker {begin:02x}{marker:02x} before the picture of a JPEG')
    else:
        raise _broken(f'a JPEG of over {MAX_SEGMENTS} segments before its picture')
    if data.find(_JPEG_END, at) < 0:
        raise _truncated(f'{len(data)} bytes of JPEG, the end is missing')
    if data.count(_JPEG_SCAN, at) > MAX_SCANS:
        raise _broken(f'a JPEG of over {MAX_SCANS} scans')
    return width, height


def _truncated(seen):
    return BadInput('truncated data', seen, 'Look for a lossy link in between')


def _broken(seen):
    return BadInput('broken picture', seen, 'No encoder writes this: look for another publisher on the topic')
