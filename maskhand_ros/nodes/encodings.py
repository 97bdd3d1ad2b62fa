"""Encodings of sensor_msgs/Image that are read as colour: layout of the samples, and conversion to RGB.

Names: sensor_msgs/image_encodings.hpp, and `i420`, which drivers use though it is not listed there. YUV is
ITU-R BT.601 in limited range, as in cv_bridge. docs/encodings.md lists them for users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Bit depths of sensors. 16-bit samples of unknown range are assumed to have the smallest of these that holds
the largest sample of the image."""

UNKNOWN = 0
"""Value of Encoding.bits for 16-bit samples with the range of an unknown sensor: 10 to 16 bits."""

# Limited range: Y 16 to 235, chroma 16 to 240. OpenCV has no code for YUV 4:4:4 in limited range.
_YUV_TO_RGB = np.linalg.inv([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
_YUV_TO_RGB = np.column_stack([255 * _YUV_TO_RGB, -255 * _YUV_TO_RGB @ [16, 128, 128]])


@dataclass(frozen=True)
class Plane:
    """Layout of one plane of an image."""

    down: int = 1
    """Rows of the image for each row of the plane."""
    share: Fraction = Fraction(1)
    """Length of a row, and distance from row to row, over those of the first plane."""


@dataclass(frozen=True)
class Encoding:
    """One encoding of H x W pixels."""

    samples: int
    """Samples per pixel in the first plane."""
    to_rgb: Callable[[list[Bytes]], Bytes]
    """Conversion to RGB (H, W, 3) of the planes: the first (H, W, samples), or (H, W) for one sample; others
    (rows, samples of a row)."""
    bits: int = 8
    """Bits of a sample: 8, or 16 or UNKNOWN, which take two bytes."""
    planes: tuple[Plane, ...] = (Plane(),)
    even: tuple[bool, bool] = (False, False)
    """Whether width and height must be even: pixels share their chroma."""
    least: int = 1
    """Minimum width and height, pixels."""

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes per pixel of the first plane."""
        return self.samples * (1 if self.bits == 8 else 2)


def to_8_bit(samples: NDArray[np.uint16], bits: int) -> Bytes:
    """16-bit samples, any shape, that use `bits` of their 16, scaled to 0 to 255.

    For UNKNOWN, the fewest of BIT_DEPTHS that hold the largest sample: constant from frame to frame, unless
    the brightest pixel of an image is in the lowest quarter of the sensor's range.
    """
    if bits == UNKNOWN:
        peak = int(samples.max())
        bits = next(depth for depth in BIT_DEPTHS if peak < 2**depth)
    return cv2.convertScaleAbs(samples, alpha=255 / (2**bits - 1)).reshape(samples.shape)


def _as_is(planes: list[Bytes]) -> Bytes:
    return planes[0]


def _convert(code: int, planes: list[Bytes]) -> Bytes:
    return cv2.cvtColor(planes[0], code)


def _convert_nv(code: int, planes: list[Bytes]) -> Bytes:
    luma, chroma = planes
    return cv2.cvtColorTwoPlane(luma, chroma.reshape(len(chroma), -1, 2), code)


def _convert_nv24(planes: list[Bytes]) -> Bytes:
    luma, chroma = planes
    return cv2.transform(np.dstack([luma, chroma.reshape(*luma.shape, 2)]), _YUV_TO_RGB)


def _convert_i420(planes: list[Bytes]) -> Bytes:
    stacked = np.concatenate([plane.ravel() for plane in planes])
    return cv2.cvtColor(stacked.reshape(-1, planes[0].shape[1]), cv2.COLOR_YUV2RGB_I420)


# OpenCV names a pattern by the second row's second and third pixels, ROS by the first row and the second.
_BAYER = {
    'rggb': cv2.COLOR_BayerBG2RGB,
    'bggr': cv2.COLOR_BayerRG2RGB,
    'gbrg': cv2.COLOR_BayerGR2RGB,
    'grbg': cv2.COLOR_BayerGB2RGB,
}
_GREY, _BGR, _BGRA, _RGBA = (
    partial(_convert, code)
    for code in (cv2.COLOR_GRAY2RGB, cv2.COLOR_BGR2RGB, cv2.COLOR_BGRA2RGB, cv2.COLOR_RGBA2RGB)
)
_WIDE, _BOTH = (True, False), (True, True)
_HALF_ROWS, _QUARTER, _DOUBLE = Plane(down=2), Plane(2, Fraction(1, 2)), Plane(share=Fraction(2))
_UYVY = Encoding(2, partial(_convert, cv2.COLOR_YUV2RGB_UYVY), even=_WIDE)
_YUYV = Encoding(2, partial(_convert, cv2.COLOR_YUV2RGB_YUY2), even=_WIDE)
_NV12, _NV21 = (
    Encoding(1, partial(_convert_nv, code), planes=(Plane(), _HALF_ROWS), even=_BOTH)
    for code in (cv2.COLOR_YUV2RGB_NV12, cv2.COLOR_YUV2RGB_NV21)
)

ENCODINGS = {
    'rgb8': Encoding(3, _as_is),
    'bgr8': Encoding(3, _BGR),
    'rgba8': Encoding(4, _RGBA),
    'bgra8': Encoding(4, _BGRA),
    'mono8': Encoding(1, _GREY),
    'rgb16': Encoding(3, _as_is, bits=16),
    'bgr16': Encoding(3, _BGR, bits=16),
    'rgba16': Encoding(4, _RGBA, bits=16),
    'bgra16': Encoding(4, _BGRA, bits=16),
    'mono16': Encoding(1, _GREY, bits=16),
    '8UC1': Encoding(1, _GREY),
    '8UC3': Encoding(3, _BGR),
    '8UC4': Encoding(4, _BGRA),
    '16UC1': Encoding(1, _GREY, bits=UNKNOWN),
    '16UC3': Encoding(3, _BGR, bits=UNKNOWN),
    '16UC4': Encoding(4, _BGRA, bits=UNKNOWN),
    **{
        f'bayer_{pattern}{depth}': Encoding(1, partial(_convert, code), bits=bits, least=3)
        for depth, bits in ((8, 8), (16, UNKNOWN))
        for pattern, code in _BAYER.items()
    },
    'uyvy': _UYVY,
    'yuv422': _UYVY,
    'yuyv': _YUYV,
    'yuv422_yuy2': _YUYV,
    'nv12': _NV12,
    'nv21': _NV21,
    'nv24': Encoding(1, _convert_nv24, planes=(Plane(), _DOUBLE)),
    'i420': Encoding(1, _convert_i420, planes=(Plane(), _QUARTER, _QUARTER), even=_BOTH),
}
