"""CameraInfo messages to cameras. What no camera has is refused with a `BadInput`."""

from __future__ import annotations

import math

import numpy as np

from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera

DISTORTION_MODELS, DISTORTION_SIZES = ('plumb_bob', 'rational_polynomial'), (4, 5, 8, 12, 14)
"""Of CameraInfo: those of OpenCV, by so many numbers."""

VIEW_DEGREES, MAX_FOCAL_RATIO = (10, 170), 1.5
"""Of a calibration that is believed: the view along the longer side, and fx over fy or fy over fx."""

MAX_SLOPE, MAX_ASTRAY = math.tan(math.radians(VIEW_DEGREES[1] / 2)), 0.05
"""Of a lens that is believed: how steep a ray may be, and how far from its pixel it may lead back into the
picture, in parts of the longer side."""

FIXED = [0, 1, 2, 2, 2], [1, 0, 0, 1, 2]
"""Where a camera matrix holds 0, 0, 0, 0, 1."""

RECALIBRATE = 'Calibrate the camera again at the size of its pictures, or look for the CameraInfo of another'


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
