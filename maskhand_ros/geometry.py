"""Rotations, cameras and alignment in numpy.

Units are metres, radians and pixels. A camera frame is an optical frame (REP-103): x right, y down, z
forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from maskhand_ros.skeleton import RIGHT

CROP_SIZE = 224
"""Side of the square crop that the networks see, in pixels."""

C_RIGHT = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
"""(3, 3) wrist axes in a right hand's model axes, as columns: x to the fingers, z out of the back of the
hand."""

C_LEFT = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""(3, 3) the same for a left hand, whose fingers point along the model's +x."""

MIRROR_X = np.array([-1.0, 1.0, 1.0])
"""What a mirror across the plane x = 0 multiplies polar vectors by."""

_MIRROR = np.diag(MIRROR_X)
_NEXT, _AFTER, _DIAGONAL = [2, 0, 1], [1, 2, 0], [0, 1, 2]


def cross_matrix(points):
    """Matrices (..., 3, 3) of cross products with points (..., 3): `cross_matrix(p) @ v` is p x v, and
    `v @ cross_matrix(p)` is v x p."""
    points = np.asarray(points)
    matrix = np.zeros((*points.shape, 3), points.dtype)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        matrix[..., j, i], matrix[..., i, j] = points[..., k], -points[..., k]
    return matrix


def rotvec_to_matrix(rotvec):
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3) (Rodrigues' formula)."""
    rotvec = np.asarray(rotvec)
    angle = np.sqrt((rotvec * rotvec).sum(-1))[..., None]
    axis = rotvec / np.maximum(angle, 1e-12)
    matrix = cross_matrix(np.sin(angle) * axis)
    matrix += ((1 - np.cos(angle)) * axis)[..., None] * axis[..., None, :]
    matrix[..., _DIAGONAL, _DIAGONAL] += np.cos(angle)
    return matrix


def matrix_to_quaternion(matrix):
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4) as x, y, z, w with w >= 0.

    The largest of the four components is found first, so that no division is by a small number (Shepperd
    1978).
    """
    m = np.asarray(matrix)
    diagonal = np.einsum('...ii->...i', m)
    trace = diagonal.sum(-1)
    squares = np.concatenate([1 + 2 * diagonal - trace[..., None], (1 + trace)[..., None]], -1) / 4
    xy, xz, yz = ((m[..., i, j] + m[..., j, i]) / 4 for i, j in ((0, 1), (0, 2), (1, 2)))
    xw, yw, zw = ((m[..., i, j] - m[..., j, i]) / 4 for i, j in ((2, 1), (0, 2), (1, 0)))
    x2, y2, z2, w2 = np.moveaxis(squares, -1, 0)
    products = np.stack(
        [
            np.stack(row, -1)
            for row in ((x2, xy, xz, xw), (xy, y2, yz, yw), (xz, yz, z2, zw), (xw, yw, zw, w2))
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None]
    quaternion = np.take_along_axis(products, best, -2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def quaternion_to_matrix(quaternion):
    """Quaternions (..., 4) as x, y, z, w, of any length but 0, to rotation matrices (..., 3, 3)."""
    quaternion = np.asarray(quaternion, float)
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    cross, w = cross_matrix(quaternion[..., :3]), quaternion[..., 3, None, None]
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def matrix_to_rotvec(matrix):
    """Rotation matrices (..., 3, 3) to axis-angle (..., 3) with an angle in [0, pi]."""
    m = np.asarray(matrix)
    cosine = (m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2] - 1) / 2
    across = (m[..., _NEXT, _AFTER] - m[..., _AFTER, _NEXT]) / 2
    sine = np.sqrt((across * across).sum(-1))
    rotvec = across * (np.arctan2(sine, cosine) / np.maximum(sine, 1e-12))[..., None]
    rotvec = np.where(sine[..., None] > 1e-8, rotvec, across)
    turned = cosine < -0.9
    if turned.any():  # near half a turn the skew part says little of the axis
        quaternion = matrix_to_quaternion(m[turned])
        length = np.linalg.norm(quaternion[:, :3], axis=-1, keepdims=True)
        rotvec[turned] = quaternion[:, :3] / length * 2 * np.arctan2(length, quaternion[:, 3:])
    return rotvec


def rotation_6d_to_matrix(sixd):
    """6D rotations (..., 6), the first two columns one after the other, to matrices (..., 3, 3) (Zhou et al.
    2019)."""
    first, second = np.asarray(sixd)[..., :3], np.asarray(sixd)[..., 3:]
    x = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-12)
    y = second - (x * second).sum(-1, keepdims=True) * x
    y = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-12)
    z = (cross_matrix(x) @ y[..., None])[..., 0]  # np.cross is slow on few
    return np.stack([x, y, z], -1)


def matrix_to_rotation_6d(matrix):
    """Rotation matrices (..., 3, 3) to their first two columns (..., 6)."""
    matrix = np.asarray(matrix)
    return np.concatenate([matrix[..., 0], matrix[..., 1]], -1)


def mirror_rotation(rotation):
    """Rotations (..., 3, 3) seen in a mirror across the plane x = 0; axis-angle would have y and z
    negated."""
    return _MIRROR @ np.asarray(rotation) @ _MIRROR


def wrist_frame(rotation, side):
    """Orientation (..., 3, 3) of a wrist or joint frame, given its model rotation (..., 3, 3) and
    Handedness."""
    return np.asarray(rotation) @ (C_RIGHT if side == RIGHT else C_LEFT)


def procrustes_align(source, target):
    """The similarity (rotation with det +1, scale, translation) of source (..., N, 3) that is nearest to
    target (..., N, 3)."""
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


def project(points, K):
    """Points (..., 3) in a camera frame to pixels (..., 2) through the pinhole matrix K (3, 3)."""
    points = np.asarray(points)
    return points[..., :2] / points[..., 2:] * np.array([K[0][0], K[1][1]]) + np.array([K[0][2], K[1][2]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV's distortion: matrix K (3, 3) px, picture size px, distortion (0, 4, 5, 8,
    ...)."""

    K: np.ndarray
    width: int
    height: int
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @staticmethod
    def default(width, height):
        """A camera with a 53 degree view along the longer side: a guess that stands in where no CameraInfo
        came."""
        focal = float(max(width, height))
        return Camera(
            np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]]), width, height
        )

    @property
    def _distorted(self):
        return self.distortion.size > 0 and np.any(self.distortion)

    def unproject_rays(self, pixels):
        """Pixels (N, 2) to viewing rays (N, 3) with z = 1 in the camera frame, distortion undone."""
        pixels = np.asarray(pixels, float).reshape(-1, 2)
        if self._distorted:
            flat = cv2.undistortPoints(pixels[:, None], self.K, self.distortion)[:, 0]
        else:
            flat = (pixels - self.K[:2, 2]) / self.K[[0, 1], [0, 1]]
        return np.concatenate([flat, np.ones((len(flat), 1))], 1)

    def project(self, points):
        """Points (N, 3) in the camera frame to pixels (N, 2), distortion applied."""
        points = np.asarray(points, float).reshape(-1, 3)
        if self._distorted:
            return cv2.projectPoints(points, np.zeros(3), np.zeros(3), self.K, self.distortion)[0][:, 0]
        return project(points, self.K)


@dataclass(frozen=True)
class CropCamera:
    """A virtual pinhole camera at the real one's centre that looks at a hand: its picture is the crop.

    `rotation` (3, 3) takes camera-frame vectors into the crop camera's frame; `focal` px; `size` px side of
    the square.
    """

    rotation: np.ndarray
    focal: float
    size: int = CROP_SIZE

    @property
    def matrix(self):
        """(3, 3) pinhole matrix of the crop."""
        centre = (self.size - 1) / 2
        return np.array([[self.focal, 0, centre], [0, self.focal, centre], [0, 0, 1.0]])

    def homography(self, K):
        """(3, 3) map from pixels of an undistorted picture with matrix K (3, 3) to pixels of the crop."""
        return self.matrix @ self.rotation @ np.linalg.inv(K)

    def project(self, points):
        """Points (..., 3) in the real camera's frame to crop pixels (..., 2)."""
        return project(np.asarray(points) @ self.rotation.T, self.matrix)


def crop_camera_for(camera, center_px, size_px, roll, size=CROP_SIZE):
    """The CropCamera that looks at `center_px`, where a square of `size_px` fills the crop.

    `roll` (radians, clockwise in the picture as seen) is the angle of the hand's direction from wrist to
    fingers against "up" in the picture: 0 for fingers up, pi/2 for fingers to the right. In the crop the
    fingers point up.
    """
    ray = camera.unproject_rays(center_px)[0]
    distance = np.linalg.norm(ray)
    z = ray / distance
    cos, sin = np.cos(roll), np.sin(roll)
    x = np.array([cos, sin, 0.0])  # picture direction that becomes "right" in the crop
    x = x - (x @ z) * z
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    focal_real = (camera.K[0, 0] + camera.K[1, 1]) / 2
    return CropCamera(rotation, float(focal_real * distance * size / size_px), size)
