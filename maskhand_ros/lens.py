"""Lens models: directions in the camera frame to normalised image coordinates, and back.

Normalised coordinates are pixels multiplied by the inverse camera matrix: x = (u - cx) / fx. A model may
fold: beyond some angle from the axis the image radius decreases, so there is no inverse. Beyond the fold both
models are extended linearly in the angle or its tangent, so that points outside of the view project outside
of the image; `undistort` marks such results as not exact.
"""

from __future__ import annotations

import functools
import math

import numpy as np

PINHOLE, FISHEYE = 'pinhole', 'fisheye'
"""Names of the lens models: that of cv2.projectPoints (plumb_bob, rational_polynomial) and that of
cv2.fisheye."""

MAX_ANGLE = math.radians(85)
"""Maximum angle from the axis of an exact ray: rays have z = 1, so 90 degrees would be at infinity."""
_AIM_ANGLE = math.radians(89)
_SAMPLES = 1024
"""Samples of the radial function, for its fold and the start of Newton's method."""
_STEPS, _TOLERANCE = 20, 1e-9
"""Newton's method: maximum steps, and maximum error in normalised coordinates (1e-6 px at f = 1000 px)."""


@functools.lru_cache(maxsize=16)
def lens_model(name: str, coefficients: tuple[float, ...]) -> BrownLens | FisheyeLens:
    """The lens model of this name; coefficients in OpenCV's order."""
    return FisheyeLens(coefficients) if name == FISHEYE else BrownLens(coefficients)


class BrownLens:
    """Model of cv2.projectPoints: radial (rational), tangential, thin prism and tilt terms.

    Coefficients: k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tilt x, tilt y; the first 4, 5, 8, 12 or 14.
    https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html
    """

    def __init__(self, coefficients: tuple[float, ...]) -> None:
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, *tilt = (
            *coefficients,
            *[0.0] * (14 - len(coefficients)),
        )
        self._above, self._below = (k1, k2, k3), (k4, k5, k6)
        self._tangential, self._prism = (p1, p2), (s1, s2, s3, s4)
        self._tilt = _tilt_matrix(*tilt) if any(tilt) else None
        radius = np.tan(np.linspace(0, MAX_ANGLE, _SAMPLES))
        with np.errstate(all='ignore'):
            image_radius = radius * self._radial(radius**2)[0]
        end = _rising(image_radius)
        self._radii, self._image_radii = radius[:end], image_radius[:end]
        self.max_tangent = float(self._radii[-1])
        """Tangent of the maximum angle from the axis that has an inverse."""

    def distort(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) with z > 0 to normalised coordinates (N, 2)."""
        flat = points[:, :2] / points[:, 2:]
        beyond = np.maximum(np.hypot(*flat.T) / self._radii[-1], 1.0)[:, None]
        flat = flat / beyond
        flat = beyond * self._terms(flat, self._radial((flat * flat).sum(1))[0])
        return flat if self._tilt is None else _transform(self._tilt, flat)

    def undistort(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised coordinates (N, 2) to rays (x, y) at z = 1 (N, 2), and whether each is exact (N,).

        Without an inverse the ray is an extrapolation in the same direction.
        """
        if self._tilt is not None:
            flat = _transform(np.linalg.inv(self._tilt), flat)
        radius = np.hypot(*flat.T)
        last = self._image_radii[-1]
        guess = np.interp(radius, self._image_radii, self._radii) * np.maximum(radius / last, 1)
        rays = flat * (np.minimum(guess, math.tan(_AIM_ANGLE)) / np.maximum(radius, 1e-12))[:, None]
        exact = np.zeros(len(flat), bool)
        todo = np.flatnonzero(np.isfinite(flat).all(1))
        start = rays.copy()
        for _ in range(_STEPS):
            terms, jacobian, determinant = self._derivatives(rays[todo])
            error = flat[todo] - terms
            good = (np.abs(error).max(1) < _TOLERANCE) & (determinant > 0)
            exact[todo[good]] = True
            todo, error, jacobian, determinant = (
                part[~good] for part in (todo, error, jacobian, determinant)
            )
            if not len(todo):
                break
            (a, b, c, d), (x, y) = jacobian.T, error.T
            with np.errstate(all='ignore'):
                step = np.stack([d * x - b * y, a * y - c * x], 1) / determinant[:, None]
            going = np.isfinite(step).all(1)
            todo = todo[going]
            rays[todo] += step[going]
        exact &= np.hypot(*rays.T) <= self.max_tangent
        rays[~exact] = start[~exact]
        return rays, exact

    def _radial(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The radial factor at squared radii s, and its derivative by s."""
        (a, b, c), (d, e, f) = self._above, self._below
        above, below = 1 + s * (a + s * (b + s * c)), 1 + s * (d + s * (e + s * f))
        factor = above / below
        slope = (a + s * (2 * b + 3 * c * s) - factor * (d + s * (2 * e + 3 * f * s))) / below
        return factor, slope

    def _terms(self, flat: np.ndarray, radial: np.ndarray) -> np.ndarray:
        """Undistorted coordinates (N, 2), with their radial factors (N,), to distorted ones without the
        tilt."""
        x, y = flat.T
        s, xy = x * x + y * y, x * y
        (p1, p2), (s1, s2, s3, s4) = self._tangential, self._prism
        return np.stack(
            [
                x * radial + 2 * p1 * xy + p2 * (s + 2 * x * x) + s * (s1 + s * s2),
                y * radial + p1 * (s + 2 * y * y) + 2 * p2 * xy + s * (s3 + s * s4),
            ],
            1,
        )

    def _derivatives(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`_terms` at (N, 2), their Jacobians (N, 4) as dx/dx, dx/dy, dy/dx, dy/dy, and determinants (N,)."""
        x, y = flat.T
        s = x * x + y * y
        (p1, p2), (s1, s2, s3, s4) = self._tangential, self._prism
        with np.errstate(all='ignore'):
            radial, slope = self._radial(s)
            terms, both = self._terms(flat, radial), 2 * (x * y * slope + p1 * x + p2 * y)
            prism_x, prism_y = 2 * (s1 + 2 * s * s2), 2 * (s3 + 2 * s * s4)
            a = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x + x * prism_x
            b, c = both + y * prism_x, both + x * prism_y
            d = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x + y * prism_y
            return terms, np.stack([a, b, c, d], 1), a * d - b * c


class FisheyeLens:
    """OpenCV's fisheye model, ROS' `equidistant`: the image radius is a polynomial of the angle.

    t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8) for an angle of t radians from the axis (Kannala & Brandt 2006;
    https://docs.opencv.org/4.x/db/d58/group__calib3d__fisheye.html). Coefficients: k1, k2, k3, k4.
    """

    def __init__(self, coefficients: tuple[float, ...]) -> None:
        self._k = coefficients
        angle = np.linspace(0, math.pi, _SAMPLES)
        with np.errstate(all='ignore'):
            image_radius = self._polynomial(angle)[0]
        end = _rising(image_radius)
        self._angles, self._image_radii = angle[:end], image_radius[:end]
        self.max_tangent = math.tan(min(self._angles[-1], MAX_ANGLE))
        """Tangent of the maximum angle from the axis that has an inverse."""

    def distort(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) with z > 0 to normalised coordinates (N, 2)."""
        across = np.hypot(points[:, 0], points[:, 1])
        angle = np.arctan2(across, points[:, 2])
        inside = np.minimum(angle, self._angles[-1])
        radius = self._polynomial(inside)[0] * (angle / np.maximum(inside, 1e-12))
        on_axis = across < 1e-9 * points[:, 2]
        with np.errstate(all='ignore'):
            factor = np.where(on_axis, 1 / points[:, 2], radius / across)
        return points[:, :2] * factor[:, None]

    def undistort(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised coordinates (N, 2) to rays (x, y) at z = 1 (N, 2), and whether each is exact (N,).

        Without an inverse the ray is an extrapolation in the same direction.
        """
        radius = np.hypot(*flat.T)
        last = self._image_radii[-1]
        angle = np.interp(radius, self._image_radii, self._angles)
        inside = np.minimum(radius, last)
        for _ in range(_STEPS):
            value, slope = self._polynomial(angle)
            with np.errstate(all='ignore'):
                step = np.nan_to_num((inside - value) / slope, posinf=0.0, neginf=0.0)
            angle = np.clip(angle + step, 0, self._angles[-1])
            if np.abs(step).max(initial=0) < _TOLERANCE:
                break
        value, slope = self._polynomial(angle)
        exact = (np.abs(radius - value) < _TOLERANCE) & (slope > 0) & (angle <= MAX_ANGLE)
        aim = np.minimum(angle * np.maximum(radius / last, 1), _AIM_ANGLE)
        factor = np.where(radius < 1e-9, 1.0, np.tan(aim) / np.maximum(radius, 1e-12))
        return flat * factor[:, None], exact

    def _polynomial(self, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The image radius at angles in radians, and its derivative."""
        (a, b, c, d), s = self._k, angle * angle
        value = angle * (1 + s * (a + s * (b + s * (c + s * d))))
        return value, 1 + s * (3 * a + s * (5 * b + s * (7 * c + s * 9 * d)))


def _rising(values: np.ndarray) -> int:
    """Number of leading values that are finite and increasing, at least two."""
    with np.errstate(all='ignore'):
        falls = np.flatnonzero(~(np.diff(values) > 0))
    return max(int(falls[0]) + 1 if len(falls) else len(values), 2)


def _tilt_matrix(x: float, y: float) -> np.ndarray:
    """(3, 3) homography of a sensor tilted about its x and y axes, radians (Scheimpflug)."""
    about_x = np.array([[1, 0, 0], [0, math.cos(x), math.sin(x)], [0, -math.sin(x), math.cos(x)]])
    about_y = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    turn = about_y @ about_x
    back = np.array([[turn[2, 2], 0, -turn[0, 2]], [0, turn[2, 2], -turn[1, 2]], [0, 0, 1.0]])
    return back @ turn


def _transform(homography: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Coordinates (N, 2) through a homography (3, 3)."""
    moved = flat @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / np.maximum(moved[:, 2:], 0.1)  # clamped beyond the horizon, far outside of the view
