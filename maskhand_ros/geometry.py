"""Rotations, cameras and alignment in numpy.

Units are metres, radians and pixels. A camera frame is an optical frame (REP-103): x right, y down, z
forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from maskhand_ros.camera_checks import checked_distortion, checked_matrix, checked_size
from maskhand_ros.lens import PINHOLE, BrownLens, FisheyeLens, lens_model
from maskhand_ros.skeleton import RIGHT, Handedness

CROP_SIZE = 224
"""Side of the square crop that the networks see, in pixels."""

C_RIGHT = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
"""(3, 3) wrist axes in a right hand's model axes, as columns: x to the fingers, z out of the back of the
hand."""

C_LEFT = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""(3, 3) the same for a left hand, whose fingers point along the model's +x."""

MIRROR_X = np.array([-1.0, 1.0, 1.0])
"""Factors of polar vectors under a reflection at the plane x = 0."""

_MIRROR = np.diag(MIRROR_X)
_FOUR = [0, 1, 2, 3]

_CROSS = np.zeros((3, 3, 3))
"""cross_matrix of the three axes."""
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _CROSS[_k, _j, _i], _CROSS[_k, _i, _j] = 1, -1
_TURN = np.concatenate([_CROSS, np.eye(3)[None]]).reshape(4, 9).T / 2
"""(9, 4) from the entries of a rotation by an angle a about an axis to sin(a) times the axis, and half of
1 + 2 cos(a)."""


def _quaternion_products() -> np.ndarray:
    """(4, 4, 4, 4): 4 q_i q_j of a unit quaternion q (x, y, z, w) as the sum of the [i, j] entries times
    those of its rotation matrix, extended to (4, 4) by a 1 at the lower right."""
    products = np.zeros((4, 4, 4, 4))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        products[i, i, _FOUR, _FOUR] = [1 if axis in (i, 3) else -1 for axis in _FOUR]
        for one, other, sign in ((i, j, 1), (k, 3, -1)):
            for row, column in ((one, other), (other, one)):
                products[row, column, i, j], products[row, column, j, i] = sign, 1
    products[3, 3, _FOUR, _FOUR] = 1
    return products


_PRODUCTS = _quaternion_products().reshape(16, 16).T
"""(16, 16) _quaternion_products as a matrix that is applied from the right."""


def cross_matrix(points: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of cross products with points (..., 3): `cross_matrix(p) @ v` is p x v, and
    `v @ cross_matrix(p)` is v x p."""
    points = np.asarray(points)
    flat: np.ndarray = points @ _CROSS.reshape(3, 9).astype(points.dtype)
    return flat.reshape(*points.shape, 3)


def rotvec_to_matrix(rotvec: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3) (Rodrigues' formula)."""
    rotvec = np.asarray(rotvec)
    angle = np.sqrt((rotvec * rotvec).sum(-1))[..., None]
    axis = rotvec / np.maximum(angle, 1e-12)
    matrix = cross_matrix(np.sin(angle) * axis)
    matrix += ((1 - np.cos(angle)) * axis)[..., None] * axis[..., None, :]
    matrix.reshape(*matrix.shape[:-2], 9)[..., ::4] += np.cos(angle)  # the diagonal
    return matrix


def matrix_to_quaternion(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4) as x, y, z, w with w >= 0.

    The largest of the four components is computed first, which avoids division by small numbers (Shepperd
    1978).
    """
    m = np.asarray(matrix)
    extended = np.zeros((m.size // 9, 4, 4))
    extended[:, :3, :3], extended[:, 3, 3] = m.reshape(-1, 3, 3), 1
    products = (extended.reshape(-1, 16) @ _PRODUCTS).reshape(-1, 4, 4)
    best = products[:, _FOUR, _FOUR].argmax(1)
    quaternion = products[np.arange(len(products)), best]
    quaternion /= np.sqrt((quaternion * quaternion).sum(1, keepdims=True))
    quaternion[quaternion[:, 3] < 0] *= -1
    return quaternion.reshape(*m.shape[:-2], 4)


def quaternion_to_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) as x, y, z, w, of any length but 0, to rotation matrices (..., 3, 3)."""
    quaternion = np.asarray(quaternion, float)
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    cross, w = cross_matrix(quaternion[..., :3]), quaternion[..., 3, None, None]
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def matrix_to_rotvec(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to axis-angle (..., 3) with an angle in [0, pi]."""
    m = np.asarray(matrix)
    turn = m.reshape(*m.shape[:-2], 9) @ _TURN
    across, cosine = turn[..., :3], turn[..., 3] - 0.5
    sine = np.sqrt((across * across).sum(-1))
    rotvec = across * (np.arctan2(sine, cosine) / np.maximum(sine, 1e-12))[..., None]
    rotvec = np.where(sine[..., None] > 1e-8, rotvec, across)
    turned = cosine < -0.9
    if turned.any():  # near pi the skew-symmetric part vanishes, so the axis comes from the quaternion
        quaternion = matrix_to_quaternion(m[turned])
        length = np.linalg.norm(quaternion[:, :3], axis=-1, keepdims=True)
        rotvec[turned] = quaternion[:, :3] / length * 2 * np.arctan2(length, quaternion[:, 3:])
    return rotvec


def rotation_6d_to_matrix(sixd: np.ndarray) -> np.ndarray:
    """6D rotations (..., 6), the concatenated first two columns, to matrices (..., 3, 3) (Zhou et al.
    2019)."""
    first, second = np.asarray(sixd)[..., :3], np.asarray(sixd)[..., 3:]
    x = first / np.maximum(np.sqrt((first * first).sum(-1, keepdims=True)), 1e-12)
    y = second - (x * second).sum(-1, keepdims=True) * x
    y = y / np.maximum(np.sqrt((y * y).sum(-1, keepdims=True)), 1e-12)
    z = (cross_matrix(x) @ y[..., None])[..., 0]  # faster than np.cross for small arrays
    return np.stack([x, y, z], -1)


def matrix_to_rotation_6d(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to their first two columns (..., 6)."""
    matrix = np.asarray(matrix)
    return np.concatenate([matrix[..., 0], matrix[..., 1]], -1)


def mirror_rotation(rotation: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) reflected at the plane x = 0 (an axis-angle vector has y and z negated)."""
    return _MIRROR @ np.asarray(rotation) @ _MIRROR


def wrist_frame(rotation: np.ndarray, side: Handedness) -> np.ndarray:
    """Orientation (..., 3, 3) of wrist or joint frames, given their rotations in the hand model (..., 3,
    3)."""
    return np.asarray(rotation) @ (C_RIGHT if side == RIGHT else C_LEFT)


def procrustes_align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Procrustes alignment: source (..., N, 3) under the similarity transform (rotation without
    reflection, scale, translation) that brings it nearest to target (..., N, 3)."""
    source, target = np.asarray(source, float), np.asarray(target, float)
    middle = target.mean(-2, keepdims=True)
    centred, goal = source - source.mean(-2, keepdims=True), target - middle
    u, s, vt = np.linalg.svd(np.swapaxes(centred, -1, -2) @ goal)
    sign = np.ones_like(s)
    sign[..., 2] = np.sign(np.linalg.det(u @ vt))
    scale = (s * sign).sum(-1) / np.maximum((centred**2).sum((-1, -2)), 1e-12)
    return scale[..., None, None] * centred @ (u * sign[..., None, :]) @ vt + middle


def kabsch(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation R (3, 3) for which source (N, 3) @ R is nearest to target (N, 3) (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(source.T @ target)
    return (u * [1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt


def project(points: np.ndarray, K: np.ndarray | list[list[float]]) -> np.ndarray:
    """Points (..., 3) in a camera frame to pixels (..., 2) through the pinhole matrix K (3, 3)."""
    points, K = np.asarray(points), np.asarray(K)
    return points[..., :2] / points[..., 2:] * K.diagonal()[:2] + K[:2, 2]


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera: matrix K (3, 3) px, image size px, distortion coefficients and their lens model.

    lens 'pinhole': OpenCV's main model with 0, 4, 5, 8, 12 or 14 coefficients (plumb_bob,
    rational_polynomial). lens 'fisheye': that of cv2.fisheye with 4 (equidistant). Skew of up to 1 % of fx is
    dropped. CameraError (a ValueError) says what is wrong. Cameras of the same numbers are equal.
    """

    K: np.ndarray
    width: int
    height: int
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))
    lens: str = PINHOLE

    def __post_init__(self) -> None:
        object.__setattr__(self, 'distortion', checked_distortion(self.distortion, self.lens))
        object.__setattr__(self, 'K', checked_matrix(self.K))
        for name in ('width', 'height'):
            object.__setattr__(self, name, checked_size(name, getattr(self, name)))

    @staticmethod
    def default(width: int, height: int) -> Camera:
        """Camera with a field of view of 53 degrees along the longer side, for images without CameraInfo."""
        focal = float(max(width, height))
        return Camera(
            np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]]), width, height
        )

    @cached_property
    def is_distorted(self) -> bool:
        """Whether straight lines are bent in the image."""
        return self.lens != PINHOLE or bool(self.distortion.any())

    def unproject_rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) to viewing rays (N, 3) with z = 1 in the camera frame, distortion undone.

        NaN where the lens model has no inverse: beyond its fold, or over 85 degrees from the axis.
        """
        rays, exact = self._rays(pixels)
        rays[~exact] = np.nan
        return rays

    def nearest_rays(self, pixels: np.ndarray) -> np.ndarray:
        """Like `unproject_rays`, but with a guess in place of NaN: to look at a pixel, not to measure."""
        return self._rays(pixels)[0]

    def can_measure(self, points: np.ndarray) -> bool:
        """Whether every one of points (N, 3) lies where the lens model has an inverse."""
        if not self.is_distorted:
            return True
        return bool((np.hypot(points[:, 0], points[:, 1]) <= self._model.max_tangent * points[:, 2]).all())

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) in the camera frame to pixels (N, 2), distortion applied; NaN where z is not
        positive."""
        points = np.asarray(points, float).reshape(-1, 3)
        if (points[:, 2] <= 0).any():
            points = np.where(points[:, 2:] > 0, points, np.nan)
        if self.is_distorted:
            return self._model.distort(points) * self.K.diagonal()[:2] + self.K[:2, 2]
        return project(points, self.K)

    def _rays(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays (N, 3) of pixels (N, 2), and whether each is exact (N,)."""
        pixels = np.asarray(pixels, float).reshape(-1, 2)
        flat, exact = (pixels - self.K[:2, 2]) / self.K.diagonal()[:2], np.ones(len(pixels), bool)
        if self.is_distorted:
            flat, exact = self._model.undistort(flat)
        return np.concatenate([flat, np.ones((len(flat), 1))], 1), exact

    @property
    def _model(self) -> BrownLens | FisheyeLens:
        return lens_model(self.lens, tuple(self.distortion.tolist()))

    @property
    def _numbers(self) -> tuple:
        return self.K.tobytes(), self.width, self.height, self.distortion.tobytes(), self.lens

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Camera) and self._numbers == other._numbers

    def __hash__(self) -> int:
        return hash(self._numbers)


def tight_box(points: np.ndarray) -> np.ndarray:
    """Bounding box (x, y, w, h) of points (N, 2)."""
    points = np.asarray(points, float)
    low, high = points.min(0), points.max(0)
    return np.array([*low, *(high - low)])
