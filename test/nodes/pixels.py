"""RGB pictures as the images that cameras send, and back, in NumPy alone: independent of what is tested.

The formulas are ITU-R BT.601 (limited range: Y 16 to 235, chroma 16 to 240). The layouts are those of
sensor_msgs/image_encodings.hpp and of the V4L2 documentation that it refers to.
"""

import array
import struct
import zlib

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

CHANNELS = {'mono': (1,), 'rgb': (0, 1, 2), 'bgr': (2, 1, 0), 'rgba': (0, 1, 2, 1), 'bgra': (2, 1, 0, 1)}
"""Which of R, G, B each sample of a pixel is; alpha holds anything. Grey is green here: of all RGB pictures
that a grey one may stand for, the test compares with the grey one."""

NAMED = {'8UC1': 'mono8', '8UC3': 'bgr8', '8UC4': 'bgra8', '16UC1': 'mono16', '16UC3': 'bgr16'}
NAMED |= {'16UC4': 'bgra16', 'yuv422': 'uyvy', 'yuv422_yuy2': 'yuyv'}
"""Encoding -> the one that is laid out alike."""

PACKED = [f'{order}{depth}' for depth in (8, 16) for order in CHANNELS] + [n for n in NAMED if n[0] in '81']
BAYER = [f'bayer_{pattern}{depth}' for depth in (8, 16) for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')]
YUV = ['uyvy', 'yuyv', 'yuv422', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24', 'i420']
ALL = [*PACKED, *BAYER, *YUV]

TO_YUV = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
OFFSET = np.array([16, 128, 128])


def rgb_to_yuv(rgb):
    """(H, W, 3) uint8 RGB to (H, W, 3) float YUV."""
    return rgb @ TO_YUV.T + OFFSET


def yuv_to_rgb(yuv):
    """(..., 3) uint8 YUV to (..., 3) uint8 RGB."""
    return np.clip(np.rint((yuv - OFFSET) @ np.linalg.inv(TO_YUV).T), 0, 255).astype(np.uint8)


def bayer_colours(pattern, height, width):
    """(H, W) 0, 1 or 2: the colour that each pixel of a mosaic measures. `pattern` names the upper left 2x2
    pixels in reading order, as ROS does."""
    square = np.array(['rgb'.index(letter) for letter in pattern]).reshape(2, 2)
    return np.tile(square, (height // 2 + 1, width // 2 + 1))[:height, :width]


def mosaic(rgb, pattern):
    """(H, W, 3) RGB to the (H, W) that a sensor behind a Bayer filter measures."""
    colours = bayer_colours(pattern, *rgb.shape[:2])
    return np.take_along_axis(rgb, colours[..., None], 2)[..., 0]


def demosaic(pixels, pattern):
    """(H, W) to (H - 2, W - 2, 3): each missing colour is the mean of its nearest neighbours (bilinear), the
    border left out."""
    height, width = pixels.shape
    colours, out = bayer_colours(pattern, height, width), np.zeros((height - 2, width - 2, 3))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            near = np.s_[y - 1 : y + 2, x - 1 : x + 2]
            for colour in range(3):
                found = colours[near] == colour
                if found[1, 1]:
                    found = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
                out[y - 1, x - 1, colour] = pixels[near][found].mean()
    return np.rint(out).astype(pixels.dtype)


def planes(rgb, encoding, bits=16):
    """(H, W, 3) uint8 RGB to the planes of an image, a (rows, samples of a row) array each. 16-bit samples
    fill `bits`."""
    encoding = NAMED.get(encoding, encoding)
    if encoding in YUV:
        return _yuv_planes(*yuv_samples(rgb, encoding), encoding)
    deep = encoding.endswith('16')
    samples = np.rint(rgb * ((2**bits - 1) / 255)).astype(np.uint16) if deep else rgb
    if deep and bits == 16:  # less than rounds up; the two bytes of a sample would be equal
        samples = np.minimum(samples, 65_475) + np.uint16(60)
    if encoding.startswith('bayer'):
        return [mosaic(samples, encoding[6:10])]
    order = CHANNELS[encoding.rstrip('0123456789')]
    return [samples[..., order].reshape(len(rgb), -1)]


def yuv_samples(rgb, encoding):
    """(H, W, 3) uint8 RGB to Y (H, W), and U and V at the resolution that `encoding` keeps them in."""
    encoding, yuv = NAMED.get(encoding, encoding), rgb_to_yuv(rgb)
    down = {'nv24': (1, 1), 'uyvy': (1, 2), 'yuyv': (1, 2)}.get(encoding, (2, 2))
    height, width = yuv.shape[:2]
    blocks = yuv[..., 1:].reshape(height // down[0], down[0], width // down[1], down[1], 2)
    y, u, v = yuv[..., 0], *np.moveaxis(blocks.mean((1, 3)), -1, 0)
    return [np.rint(part).astype(np.uint8) for part in (y, u, v)]


def _yuv_planes(y, u, v, encoding):
    """The planes of an image from the samples of Y, U and V."""
    height, chroma = len(y), np.stack([u, v], 2)
    if encoding == 'i420':
        return [y, u, v]
    if encoding in ('uyvy', 'yuyv'):
        pairs = chroma.reshape(y.shape)  # u v u v: one pair for two pixels
        both = (pairs, y) if encoding == 'uyvy' else (y, pairs)
        return [np.stack(both, 2).reshape(height, -1)]
    both = (v, u) if encoding == 'nv21' else (u, v)
    return [y, np.stack(both, 2).reshape(len(chroma), -1)]


def image(rgb, encoding, padding=0, bits=16, big_endian=False):
    """(H, W, 3) uint8 RGB to a sensor_msgs/Image, each row of the first plane with `padding` bytes behind it,
    of the others in proportion."""
    parts = planes(rgb, encoding, bits)
    if parts[0].dtype == np.uint16:
        parts = [part.astype('>u2' if big_endian else '<u2') for part in parts]
    rows = [np.ascontiguousarray(part).view(np.uint8) for part in parts]
    row = rows[0].shape[1]
    step = row + padding
    for number, part in enumerate(rows):
        pad = step * part.shape[1] // row - part.shape[1]
        rows[number] = np.pad(part, ((0, 0), (0, pad)), constant_values=99)
    data = b''.join(part.tobytes() for part in rows)
    height, width = rgb.shape[:2]
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=step,
        data=array.array('B', data),
    )


def png(pixels):
    """(H, W) or (H, W, 3) uint8 or uint16, grey or RGB, to a PNG file (RFC 2083, no filter)."""
    height, width = pixels.shape[:2]
    grey = pixels.ndim == 2

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack('>I', len(content)) + name + content + struct.pack('>I', check)

    head = struct.pack('>IIBBBBB', width, height, 8 * pixels.itemsize, 0 if grey else 2, 0, 0, 0)
    samples = pixels.astype(pixels.dtype.newbyteorder('>')).tobytes()
    row = len(samples) // height
    lines = b''.join(b'\0' + samples[at : at + row] for at in range(0, len(samples), row))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        (chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(lines, 1)), chunk(b'IEND', b''))
    )


def compressed(file, format):
    """A sensor_msgs/CompressedImage of the bytes of a file."""
    return CompressedImage(format=format, data=array.array('B', file))
