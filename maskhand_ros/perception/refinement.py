"""Refinement of finger joints and shape of placed hands towards their 2D and 3D landmarks, with the
network's pose as prior; all hands of an image in one batch.

On photographs the landmark network's 3D landmarks are about as accurate as our pose, with independent
errors. On renders, the training data, they are far worse, so the network learned to ignore them. Therefore
they are used here, as a measurement."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import C_RIGHT, cross_matrix, procrustes_align, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import JOINT_LEVELS, JOINT_PARENTS, KEYPOINT_JOINT

LANDMARK_SIGMA_PX = 4.0
"""Standard deviation of a 2D landmark in crop pixels, which includes the different definitions of
keypoints."""
_DEGREES_OF_FREEDOM = 4
"""Degrees of freedom of the t distribution of landmark errors in landmark_shift."""
SIGMA_PX = 6.0
"""Standard deviation of a 2D landmark in `refine`, crop pixels, relative to the priors below."""
SIGMA_3D = 0.014
"""Standard deviation of one coordinate of a 3D landmark, metres: 6 mm measured, times sqrt(21 / 4),
because the correlated errors of 21 landmarks count as about 4 independent ones."""
_BEND_SIGMA, _SPREAD_SIGMA, _THUMB_SIGMA = 0.2, 0.12, 0.1
"""Prior standard deviations of joint angles, radians: flexion, abduction, and any axis of the thumb."""
_POSE_SIGMA = (0.01, 0.01, 0.01, 0.05, 0.05, 0.05)
"""Prior standard deviations of the translation (metres) and rotation (radians) of the whole hand. Small,
because the rigid fit has determined them, and in one image a change of distance is hard to distinguish
from flexed fingers."""
_BETA_SIGMA = 1.0
"""Prior standard deviation of a beta: that of the population, because one image tells little of the shape."""

_ANCESTORS = np.zeros((16, 16), bool)
"""(16, 16) whether a joint (row) is moved by another joint or itself (column)."""
for _joint in range(16):
    _step = _joint
    while _step >= 0:
        _ANCESTORS[_joint, _step] = True
        _step = JOINT_PARENTS[_step]


def _joint_angles() -> tuple[np.ndarray, np.ndarray]:
    """Indices (K,) of the free ones of 15 x (twist, flexion, abduction) joint angles, and their prior
    standard deviations (K,)."""
    sigma = np.tile([0, _BEND_SIGMA, 0], (15, 1))
    sigma[:12:3, 2] = _SPREAD_SIGMA  # MCP joints; the other finger joints are hinges
    sigma[12:] = _THUMB_SIGMA
    return np.flatnonzero(sigma), sigma[sigma > 0]


_ANGLES, _ANGLE_SIGMA = _joint_angles()
"""(K,) indices of the free joint angles, and their prior standard deviations."""
_ANGLE_JOINT = 1 + _ANGLES // 3
_MOVED_BY = _ANCESTORS[KEYPOINT_JOINT][:, _ANGLE_JOINT, None]
"""(21, K, 1) whether a keypoint is moved by a free joint angle."""
_BETAS = 6 + len(_ANGLES)
"""Index of the first beta in the solution vector."""
_PRIOR = np.diag(1 / np.square(np.concatenate([_POSE_SIGMA, _ANGLE_SIGMA, np.full(10, _BETA_SIGMA)])))
"""Prior information (inverse variance) of translation, rotation, joint angles and betas."""
_AROUND, _NEXT, _AFTER = [0, 1, 2, 0, 1], slice(1, 4), slice(2, 5)
"""Axis indices of a cross product, of a and b taken at AROUND: a[NEXT] * b[AFTER] - a[AFTER] * b[NEXT]."""


def shape_jacobian(model: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives by betas, metres: of the bones (15, 3, 10) of a HandModel, and of its keypoints relative
    to their joints (21, 3, 10), in the frames of the joints."""
    out = model.flat_hands()
    joints, keypoints = (
        np.moveaxis(part[1:] - part[:1], 0, -1).astype(float) for part in (out.joints, out.keypoints)
    )
    return joints[1:] - joints[JOINT_PARENTS[1:]], keypoints - joints[KEYPOINT_JOINT]


def _chain(local: np.ndarray, bones: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics: joints (N, 16, 3, C) and keypoints (N, 21, 3, C) from local rotations (N, 16, 3,
    3), bones (N, 15, 3, C) in the parents' frames and keypoint `offsets` (N, 21, 3, C) in the joints'
    frames."""
    rotations, joints = local.copy(), np.zeros((len(local), 16, *bones.shape[2:]))
    for level, parents in JOINT_LEVELS:
        rotations[:, level] = rotations[:, parents] @ local[:, level]
        joints[:, level] = joints[:, parents] + rotations[:, parents] @ bones[:, level.start - 1 :: 3]
    return joints, joints[:, KEYPOINT_JOINT] + rotations[:, KEYPOINT_JOINT] @ offsets


def _up_to_similarity(
    moves: np.ndarray, keypoints: np.ndarray, measured: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobian (N, 63, M) and residual (N, 63) of keypoints (N, 21, 3) against `measured` (N, 21, 3), with
    translation, rotation and scale projected out. `moves` (N, 21, M, 3): derivatives of the keypoints,
    those by translation and rotation first."""
    count = len(moves)
    rows = moves.transpose(0, 1, 3, 2).reshape(count, 63, -1)
    residual = (measured - keypoints).reshape(count, 63, 1)
    # Directions to project out: translation, rotation, scale.
    free = np.concatenate([rows[..., :6], keypoints.reshape(count, 63, 1)], 2)
    both = np.concatenate([rows, residual], 2)
    transposed = np.swapaxes(free, 1, 2)
    both = both - free @ np.linalg.solve(transposed @ free, transposed @ both)
    return both[..., :-1], both[..., -1]


def _keypoint_jacobian(
    local: np.ndarray,
    rotations: np.ndarray,
    joints: np.ndarray,
    keypoints: np.ndarray,
    by_beta: list[np.ndarray],
) -> np.ndarray:
    """Derivatives (N, 21, M, 3) of keypoints (N, 21, 3) by translation, rotation, joint angles and betas."""
    count = len(local)
    axes = np.swapaxes((rotations @ C_RIGHT)[:, 1:], 2, 3)  # rows: twist, flexion, abduction
    axes = axes.reshape(count, 1, 45, 3)[:, :, _ANGLES][..., _AROUND]
    arms = (keypoints[:, :, None, _AROUND] - joints[:, None, _ANGLE_JOINT][..., _AROUND]) * _MOVED_BY
    by_joint = axes[..., _NEXT] * arms[..., _AFTER] - axes[..., _AFTER] * arms[..., _NEXT]
    by_shape = np.swapaxes(_chain(local, *by_beta)[1], 2, 3)
    by_shift = np.broadcast_to(np.eye(3), (count, 21, 3, 3))
    return np.concatenate([by_shift, cross_matrix(keypoints), by_joint, by_shape], 2)


def refine(
    hand_pose: np.ndarray,
    rotations: np.ndarray,
    joints: np.ndarray,
    keypoints: np.ndarray,
    translation: np.ndarray,
    pixels: np.ndarray,
    measured: np.ndarray,
    focal: np.ndarray,
    by_beta: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One Gauss-Newton step on pose and shape of N hands. Returns the new hand_pose (N, 15, 3, 3), the
    rotation of the hand (N, 3, 3, to be applied from the left), the new translation (N, 3), the change of
    betas (N, 10) and the new keypoints (N, 21, 3). A second step has no measurable effect.

    `rotations` (N, 16, 3, 3), `joints` (N, 16, 3) and `keypoints` (N, 21, 3) are of posed right hands, in the
    crop camera's axes with the wrist at the origin; `hand_pose` (N, 15, 3, 3) are their local rotations and
    `translation` (N, 3) the wrists. `pixels` (N, 21, 2) are relative to the principal point, `focal` (N,) in
    px. `measured` (N, 21, 3) are 3D landmarks up to a similarity transform. `by_beta` is shape_jacobian,
    scaled like the hands, with a leading axis of N. Approximation: each keypoint is fixed to one joint.
    """
    count = len(hand_pose)
    local = np.concatenate([rotations[:, :1], hand_pose], 1)
    moves = _keypoint_jacobian(local, rotations, joints, keypoints, by_beta)
    points = keypoints + translation[:, None]
    uv, z = points[..., :2] / points[..., 2:], points[..., 2]
    # Derivatives of u and v (N, 21, 2, M), in standard deviations.
    rows = np.swapaxes(moves[..., :2], 2, 3) - uv[..., None] * moves[..., None, :, 2]
    jacobian = (rows * (focal[:, None] / z / SIGMA_PX)[..., None, None]).reshape(count, 42, -1)
    residual = ((pixels - focal[:, None, None] * uv) / SIGMA_PX).reshape(count, 42)
    rows, difference = _up_to_similarity(moves, keypoints, procrustes_align(measured, keypoints))
    jacobian = np.concatenate([jacobian, rows / SIGMA_3D], 1)
    residual = np.concatenate([residual, difference / SIGMA_3D], 1)
    transposed = np.swapaxes(jacobian, 1, 2)
    information = transposed @ jacobian + _PRIOR
    change = np.linalg.solve(information, transposed @ residual[..., None])[..., 0]

    angles, betas = np.zeros((count, 48)), change[:, _BETAS:]
    angles[:, 3 + _ANGLES] = change[:, 6:_BETAS]
    turns = angles.reshape(count, 16, 3) @ C_RIGHT.T
    turns[:, 0] = change[:, 3:6]
    steps = rotvec_to_matrix(turns)
    rotation = steps[:, 0]
    local[:, 0] = rotation @ local[:, 0]
    local[:, 1:] = local[:, 1:] @ steps[:, 1:]
    parents = JOINT_PARENTS[1:]
    bones = ((joints[:, 1:] - joints[:, parents])[..., None, :] @ rotations[:, parents])[..., 0, :]
    offsets = (keypoints - joints[:, KEYPOINT_JOINT])[..., None, :] @ rotations[:, KEYPOINT_JOINT]
    growth = [part @ betas[:, None, :, None] for part in by_beta]
    keypoints = _chain(local, bones[..., None] + growth[0], offsets[..., 0, :, None] + growth[1])[1][..., 0]
    return local[:, 1:], rotation, translation + change[:, :3], betas, keypoints


def misfit_of(
    keypoints: np.ndarray, translation: np.ndarray, pixels: np.ndarray, focal: np.ndarray
) -> np.ndarray:
    """Misfit (N,) of fitted keypoints to their landmarks: root mean square distance in the image, over the
    longer side of the landmarks' box. Arguments as in `refine`.

    The landmark network and ours see the same crop, with independent errors: where they disagree by more than
    either usually errs, the pose is wrong or the landmarks are.
    """
    points = keypoints + translation[:, None]
    projected = focal[:, None, None] * points[..., :2] / points[..., 2:]
    distance = np.sqrt(np.square(projected - pixels).sum(-1).mean(1))
    return distance / np.maximum(np.ptp(pixels, axis=1).max(1), 1.0)


def landmark_shift(
    keypoints: np.ndarray,
    translation: np.ndarray,
    pixels: np.ndarray,
    focal: np.ndarray,
    stddev: np.ndarray,
) -> np.ndarray:
    """Shifts (N, 21, 3), metres across the viewing ray, of the fitted keypoints towards their landmarks. Each
    is weighted by the variance of the keypoint (`stddev` (N, 21) m, lateral) against that of the landmark.

    The mesh cannot take every hand's shape, and on photographs landmarks are more accurate than the fit.
    Landmark errors follow Student's t with _DEGREES_OF_FREEDOM, so outliers count less. Other arguments as in
    `refine`.
    """
    points = keypoints + translation[:, None]
    metres = points[..., 2:] / focal[:, None, None]
    difference = pixels * metres - points[..., :2]
    scale = _DEGREES_OF_FREEDOM * (LANDMARK_SIGMA_PX * metres) ** 2 + np.square(difference).mean(
        -1, keepdims=True
    )
    variance = stddev[..., None] ** 2
    weight = variance / (variance + scale / (_DEGREES_OF_FREEDOM + 1))
    weight[:, 0] = 0  # the wrist stays at the origin of its frame
    return np.concatenate([weight * difference, np.zeros((*difference.shape[:2], 1))], -1)
