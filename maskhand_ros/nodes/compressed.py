"""Conversion of sensor_msgs/CompressedImage to numpy and back.

OpenCV allocates the image size that a file's header states: gigabytes for a few bytes. So the header is
parsed here first, by a parser stricter than the decoder: a file that it cannot parse is rejected.
"""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.encodings import ENCODINGS, Bytes, to_8_bit
from maskhand_ros.nodes.images import MAX_PIXELS, check_layout, check_size
from maskhand_ros.nodes.transports import republish, transport_of

MAX_SCANS = 30
"""Limit on the scans of a progressive JPEG; encoders write about 10. Each costs a pass over all pixels."""

MAX_SEGMENTS = 10_000
"""Limit on segments before a JPEG's image data, or chunks of a PNG."""

_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
"""OpenCV flags: grey stays grey, 16 bit stay 16, alpha is dropped. The EXIF orientation is ignored: a rotated
image would not match its CameraInfo."""

_OTHER_FORMATS = {
    b'II*\0': 'TIFF',
    b'MM\0*': 'TIFF',
    b'RIFF': 'WebP',
    b'BM': 'BMP',
    b'GIF8': 'GIF',
    b'qoif': 'QOI',
    b'\xff\x0a': 'JPEG XL',
}
"""First bytes of formats that are rejected: their headers are not checked here before OpenCV decodes them."""

_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG_BEGIN, _JPEG_END, _JPEG_SCAN = b'\xff\xd8', b'\xff\xd9', b'\xff\xda'
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_TABLES = {0xC4, 0xCC, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Markers with a length that may precede the frame header. After one without a length a decoder could find
another frame header than this parser."""


def decode_compressed(msg: CompressedImage, max_pixels: int = MAX_PIXELS) -> Bytes:
    """sensor_msgs/CompressedImage (JPEG or PNG) to RGB (H, W, 3) uint8. Raises BadInput before a
    decompression bomb is decoded. A 16-bit PNG takes 6 bytes per pixel while it is decoded, other files 3."""
    data = bytes(msg.data)
    if data.startswith(_PNG):
        size = _png_size(data)
    elif data.startswith(_JPEG_BEGIN):
        size = _jpeg_size(data)
    else:
        raise _unsupported(msg.format, data)
    check_size(*size, max_pixels)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED)
    if stored is None:
        raise _truncated(f'{len(data)} bytes of {msg.format!r} do not decode')
    return _to_rgb(stored, msg.format)


def _to_rgb(stored: np.ndarray, format: str) -> Bytes:
    """The samples of a file, (H, W) or (H, W, 3) in OpenCV's order, uint8 or uint16, to RGB (H, W, 3) uint8.

    `format` is `ENCODING; CODEC compressed STORED` of compressed_image_transport (see CompressedImage.msg) or
    anything else, which is ignored. ENCODING is the raw image's: it tells a mosaic from a grey image, and
    the range of 16-bit samples. STORED is what the encoder was given: where that is mono8, a Bayer mosaic was
    made grey; where it is rgb8, red and blue are exchanged in the file, since the encoder expects BGR.
    """
    name, _, codec = format.partition(';')
    source, given = ENCODINGS.get(name.strip()), codec.partition('compressed')[2].strip()
    if stored.dtype == np.uint16:
        stored = to_8_bit(stored, 16 if source is None or source.bits == 8 else source.bits)
    if stored.ndim == 3:
        return ENCODINGS['rgb8' if given.startswith('rgb') else 'bgr8'].to_rgb([stored])
    if source is None or not name.strip().startswith('bayer') or given.startswith('mono'):
        return ENCODINGS['mono8'].to_rgb([stored])
    check_layout(source, name, stored.shape[1], stored.shape[0])
    return source.to_rgb([stored])


def _unsupported(format: str, data: bytes) -> BadInput:
    """The BadInput for a file that is neither JPEG nor PNG, with its format if that is known."""
    transport = transport_of(format, data)
    if transport is not None:
        # The ffmpeg plugin reads its own packets, not a CompressedImage.
        other = 'Run the decoder of its encoder, or publish FFMPEGPacket. ' if transport == 'ffmpeg' else ''
        return BadInput(
            'unknown compression', f'{transport}, format {format!r}', other + republish(transport)
        )
    kind = next(
        (name for start, name in _OTHER_FORMATS.items() if data.startswith(start)), 'neither JPEG nor PNG'
    )
    return BadInput(
        'unknown compression',
        f'{len(data)} bytes, {kind}, format {format!r}',
        'Publish JPEG or PNG (of image_transport: set its parameter IMAGE_TOPIC.compressed.format to jpeg)',
    )


def encode_compressed(rgb: np.ndarray, header: Header, quality: int = 85) -> CompressedImage:
    """JPEG sensor_msgs/CompressedImage of RGB (H, W, 3) uint8; `quality` 1 to 100."""
    _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(
        header=header, format='rgb8; jpeg compressed bgr8', data=array.array('B', jpeg.tobytes())
    )


def _png_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the first chunk of a PNG file. Raises BadInput unless its chunks are complete
    to the end: the decoder allocates the stated length of a chunk, not its actual size."""
    at, name = len(_PNG), b''
    for _ in range(MAX_SEGMENTS):
        if at + 12 > len(data):
            raise _truncated(f'{len(data)} bytes of PNG, the end is missing')
        length, name = struct.unpack_from('>I4s', data, at)
        if (name == b'IHDR') != (at == len(_PNG)):
            raise _broken('a PNG that does not begin with its size, once')
        at += 12 + length
        if name == b'IEND' and at <= len(data):
            width, height = struct.unpack_from('>II', data, len(_PNG) + 8)
            return width, height
    raise _broken(f'a PNG of over {MAX_SEGMENTS} chunks')


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the frame header of a JPEG file. Raises BadInput if it has none, no end, or more
    scans than an encoder makes."""
    at = len(_JPEG_BEGIN)
    for _ in range(MAX_SEGMENTS):
        if at + 9 > len(data):
            raise _truncated(f'{len(data)} bytes of JPEG without image data')
        begin, marker, length, height, width = struct.unpack_from('>BBHxHH', data, at)
        if begin == 0xFF and marker in _JPEG_FRAMES:
            break
        if begin == 0xFF and marker == 0xFF:  # a fill byte
            at += 1
        elif begin == 0xFF and marker in _JPEG_TABLES and length >= 2:
            at += 2 + length
        else:
            raise _broken(f'marker {begin:02x}{marker:02x} before the image data of a JPEG')
    else:
        raise _broken(f'a JPEG of over {MAX_SEGMENTS} segments before its image data')
    if data.find(_JPEG_END, at) < 0:
        raise _truncated(f'{len(data)} bytes of JPEG, the end is missing')
    if data.count(_JPEG_SCAN, at) > MAX_SCANS:
        raise _broken(f'a JPEG of over {MAX_SCANS} scans')
    return width, height


def _truncated(seen: str) -> BadInput:
    return BadInput('truncated data', seen, 'Check for a lossy link in between')


def _broken(seen: str) -> BadInput:
    return BadInput(
        'malformed image', seen, 'No encoder writes this: check for another publisher on the topic'
    )
