"""Conversion of CameraInfo messages to Cameras. An implausible calibration raises BadInput."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from maskhand_ros.camera_checks import DISTORTION_SIZES, FIXED, FIXED_VALUES, MAX_SKEW
from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera
from maskhand_ros.lens import FISHEYE, PINHOLE

LENSES = {
    'plumb_bob': PINHOLE,
    'rational_polynomial': PINHOLE,
    'equidistant': FISHEYE,
    'fisheye': FISHEYE,
    'kannala_brandt4': FISHEYE,
}
"""Lens model of each distortion_model of CameraInfo: sensor_msgs/distortion_models, and names that drivers
use."""

VIEW_DEGREES, MAX_FOCAL_RATIO = {PINHOLE: (10, 170), FISHEYE: (10, 250)}, 1.5
"""Plausible field of view along the longer side (minimum, maximum), degrees; maximum ratio of fx and fy."""

MAX_REPROJECTION_ERROR = 0.01
"""Maximum distance between a pixel and the projection of its ray, as a share of the longer side."""

RECTIFIED = {'rect', 'rectified'}
"""Words in the name of a topic with rectified images, such as image_rect_color."""

TRANSPORTS = {'', 'compressed', 'raw'}
"""Suffixes that image_transport appends to the name of an image topic."""

RECALIBRATE = 'Calibrate the camera again at the size of its images, or check that this CameraInfo is its own'


def decode_camera_info(info: Any, width: int, height: int, rectified: bool = False) -> Camera:
    """Camera of an image of width x height px from its CameraInfo. Raises BadInput.

    Binning and region of interest are applied (REP-104), so that the Camera fits the image as received.
    `rectified`: use P without distortion in place of K and D.
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
    skew = abs(matrix[0, 1]) / matrix[0, 0]
    if not (np.array_equal(matrix[FIXED], FIXED_VALUES) and skew <= MAX_SKEW):
        raise BadInput(
            'invalid CameraInfo',
            f'{"P" if rectified else "K"} is {np.array2string(matrix.ravel(), threshold=9, precision=1)}',
            'Give it the form fx 0 cx, 0 fy cy, 0 0 1',
        )
    lens = PINHOLE if rectified else _lens_of(info.distortion_model, distortion)
    binning = np.array([max(info.binning_x, 1), max(info.binning_y, 1)])
    roi = info.roi
    window = np.array([roi.width or info.width, roi.height or info.height])
    if np.abs(window / binning - [width, height]).max() >= 1:
        raise BadInput(
            'CameraInfo of another size',
            f'it says {window[0]} x {window[1]} binned by {binning[0]} x {binning[1]}, '
            f'the image has {width} x {height}',
            'Publish the CameraInfo of this image (resize both: image_proc)',
        )
    if roi.x_offset + window[0] > info.width or roi.y_offset + window[1] > info.height:
        raise BadInput(
            'implausible CameraInfo',
            f'a window of {window[0]} x {window[1]} at {roi.x_offset}, {roi.y_offset} of a sensor of '
            f'{info.width} x {info.height}',
            'The camera driver must set width and height to the whole sensor, roi to the part that is sent',
        )
    _check_plausible(matrix, info.width, info.height, lens)
    matrix[:2, 2] -= [roi.x_offset, roi.y_offset]
    matrix[:2] /= binning[:, None]
    keeps = lens == FISHEYE or np.any(distortion)
    camera = Camera(matrix, width, height, distortion if keeps else np.zeros(0), lens)
    _check_lens(camera)
    return camera


def calibration_doubts(camera: Camera, topic: str) -> list[BadInput]:
    """Warnings about a Camera for images on `topic`; the Camera is used nevertheless."""
    doubts = []
    words = next((part for part in reversed(topic.split('/')) if part not in TRANSPORTS), '').split('_')
    if camera.is_distorted and RECTIFIED.intersection(words):
        doubts.append(
            BadInput(
                'rectified image with distortion',
                f'{topic} says that it is rectified, its CameraInfo has distortion, which is undone again',
                'Set image_rectified: true, which uses P of CameraInfo; or publish the CameraInfo of the '
                'rectified image (D of zeros)',
            )
        )
    refused = _refused_share(camera) if camera.lens == PINHOLE else 0.0  # a fisheye may see more than 170 deg
    if refused:
        doubts.append(
            BadInput(
                'lens model without inverse',
                f'in {refused:.0%} of the image, at its rim: hands there get no metric position',
                'Calibrate with the board up to the corners, and with rational_polynomial or equidistant for '
                'a wide lens',
            )
        )
    return doubts


def _lens_of(model: str, distortion: np.ndarray) -> str:
    """The lens model of a distortion_model with coefficients (N,). Raises BadInput."""
    lens = LENSES.get(model)
    if lens != FISHEYE and not np.any(distortion):
        return PINHOLE
    if lens is None or distortion.size not in DISTORTION_SIZES[lens]:
        raise BadInput(
            'unsupported distortion',
            f'{model!r} with {distortion.size} numbers',
            'Rectify the image first (image_proc) and set image_rectified: true',
        )
    return lens


def _check_plausible(matrix: np.ndarray, width: int, height: int, lens: str) -> None:
    """Raises BadInput if the matrix (3, 3) is implausible for a sensor of width x height px. A wrong but
    plausible matrix passes."""
    (fx, fy), (cx, cy) = np.diag(matrix)[:2].tolist(), matrix[:2, 2]
    views = [_view(lens, size / f) for size, f in ((width, fx), (height, fy))]
    low, high = VIEW_DEGREES[lens]
    if not low <= max(views) <= high:
        seen = f'a view of {views[0]:.0f} x {views[1]:.0f} degrees'
    elif max(fx, fy) > MAX_FOCAL_RATIO * min(fx, fy):
        seen = f'fx is {fx:.0f} and fy is {fy:.0f}'
    elif not (0 <= cx <= width and 0 <= cy <= height):
        seen = f'the principal point {cx:.0f}, {cy:.0f} is outside of {width} x {height}'
    else:
        return
    raise BadInput('implausible CameraInfo', seen, RECALIBRATE)


def _view(lens: str, sides: float) -> float:
    """Field of view, degrees, of an undistorted image that is `sides` focal lengths long."""
    return math.degrees(sides if lens == FISHEYE else 2 * math.atan(sides / 2))


@functools.lru_cache(maxsize=16)
def _check_lens(camera: Camera) -> None:
    """Raises BadInput if the distortion of a Camera is implausible: pixels of the inner half have no ray,
    or one that does not project back to them, or the field of view is too small."""
    if not camera.is_distorted:
        return
    spots, pixels = _grid(camera)
    inner = np.abs(spots - 0.5).max(1) <= 0.25
    rays = camera.unproject_rays(pixels)
    reprojection_error = np.abs(camera.project(rays[inner]) - pixels[inner]).max() / max(
        camera.width, camera.height
    )
    given = rays[np.isfinite(rays).all(1), :2]
    view = math.degrees(np.arctan(np.ptp(given, 0)).max()) if len(given) else 0.0
    if not (reprojection_error <= MAX_REPROJECTION_ERROR and view >= VIEW_DEGREES[camera.lens][0]):
        raise BadInput('implausible CameraInfo', 'a distortion that no lens has', RECALIBRATE)


@functools.lru_cache(maxsize=16)
def _refused_share(camera: Camera) -> float:
    """Share of the image for which the lens model has no ray."""
    return float(np.isnan(camera.unproject_rays(_grid(camera)[1])[:, 2]).mean())


def _grid(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Grid points (N, 2) over the image of a Camera, as shares of its size and in pixels."""
    spots = np.stack(np.meshgrid(*[np.linspace(0, 1, 17)] * 2), -1).reshape(-1, 2)
    return spots, spots * [camera.width - 1, camera.height - 1]
