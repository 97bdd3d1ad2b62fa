"""Checks of the fields of a Camera."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from maskhand_ros.errors import FieldError
from maskhand_ros.lens import FISHEYE, PINHOLE

MAX_SKEW = 0.01
"""Maximum skew of a camera matrix, as a share of fx. Skew up to this is set to 0, which moves a pixel by
at most 0.5 % of the image height."""

FIXED, FIXED_VALUES = ([1, 2, 2, 2], [0, 0, 1, 2]), [0, 0, 0, 1]
"""Rows and columns of the elements of a camera matrix that are constant, and their values."""

DISTORTION_SIZES = {PINHOLE: (0, 4, 5, 8, 12, 14), FISHEYE: (4,)}
"""Accepted numbers of distortion coefficients, by lens model."""

FORM = 'np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) in pixels'


class CameraError(FieldError):
    """Invalid field of a Camera: the message names the field, what is wrong, and the fix."""


def checked_matrix(K: Any) -> np.ndarray:
    """The camera matrix (3, 3) as floats, skew up to MAX_SKEW dropped. Raises CameraError."""
    matrix = _as_floats('K', K, f'K = {FORM}')
    if matrix.shape == (4,):
        raise CameraError('K is four numbers, not 3 x 3', f'if they are fx, fy, cx, cy: {FORM}')
    if matrix.shape == (9,):
        raise CameraError('K is nine numbers, not 3 x 3', 'np.reshape(K, (3, 3))')
    if matrix.shape == (3, 4):
        raise CameraError('K is 3 x 4, a projection matrix', 'for a rectified image give its part P[:, :3]')
    if matrix.shape != (3, 3):
        raise CameraError(f'K is {_shape(matrix)}, not 3 x 3', f'K = {FORM}')
    if not np.isfinite(matrix).all():
        raise CameraError('K has numbers that are not finite', f'K = {FORM}')
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise CameraError(
            f'the focal lengths in K are {matrix[0, 0]:g} and {matrix[1, 1]:g}, not positive', f'K = {FORM}'
        )
    if (np.abs(matrix[FIXED] - FIXED_VALUES) > 1e-9).any():
        turned = not matrix[:2, 2].any() and matrix[2, :2].any()
        raise CameraError('K is not of the form of a camera matrix', 'K.T' if turned else f'K = {FORM}')
    if abs(matrix[0, 1]) > MAX_SKEW * matrix[0, 0]:
        raise CameraError(
            f'the skew K[0, 1] is {matrix[0, 1]:g}, over {MAX_SKEW:.0%} of fx', 'calibrate without skew'
        )
    matrix[0, 1] = 0
    return matrix


def checked_size(name: str, value: Any) -> int:
    """The width or height in pixels. Raises CameraError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value <= 0:
        raise CameraError(
            f'{name} is {value!r:.60}, not a positive whole number of pixels',
            'Camera(K, rgb.shape[1], rgb.shape[0]): width first',
        )
    return int(value)


def checked_distortion(distortion: Any, lens: Any) -> np.ndarray:
    """The coefficients (N,) of a lens model as floats. Raises CameraError, also for an unknown model."""
    if lens not in DISTORTION_SIZES:
        raise CameraError(f'lens is {lens!r:.60}', f'{PINHOLE!r}, or {FISHEYE!r} (cv2.fisheye, equidistant)')
    if distortion is None:
        distortion = []
    coefficients = _as_floats('distortion', distortion, 'the coefficients in the order of OpenCV').ravel()
    if coefficients.size not in DISTORTION_SIZES[lens]:
        *others, last = map(str, DISTORTION_SIZES[lens])
        raise CameraError(
            f'distortion has {coefficients.size} numbers for lens {lens!r}',
            f'give it {", ".join(others) + " or " if others else ""}{last}, in the order of OpenCV',
        )
    if not np.isfinite(coefficients).all():
        raise CameraError('distortion has numbers that are not finite', 'calibrate the camera again')
    return coefficients


def _as_floats(name: str, value: Any, fix: str) -> np.ndarray:
    try:
        return np.array(value, float)
    except (TypeError, ValueError) as error:
        raise CameraError(f'{name} is of type {type(value).__name__}, not numbers', fix) from error


def _shape(array: np.ndarray) -> str:
    return ' x '.join(map(str, array.shape)) or 'one number'
