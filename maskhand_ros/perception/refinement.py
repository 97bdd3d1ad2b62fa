"""Bends placed hands' fingers a little towards their 2D and 3D landmarks, as far as the network's pose leaves
room; all hands of a picture at once.

On photographs the landmark network's own 3D errs about as much as our network's pose, but otherwise; on
renders, where ours learned how far to trust it, it is far worse. So it comes in here, as a measurement of the
hand's shape."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import C_RIGHT, cross_matrix, procrustes_align, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import JOINT_LEVELS, JOINT_PARENTS, KEYPOINT_JOINT

LANDMARK_SIGMA_PX = 4.0
"""Standard deviation of one 2D landmark, crop pixels, with the difference in joint definition."""
_FREEDOM = 4
SIGMA_PX = 6.0
"""Standard deviation of one 2D landmark against the fingers' own, crop pixels."""
SIGMA_3D = 0.014
"""Standard deviation of one coordinate of a 3D landmark, metres: 6 mm, and as the errors of a hand's 21
landmarks go together, they are worth about four."""
_BEND, _SPREAD, _THUMB = 0.2, 0.12, 0.1
"""Standard deviation of the network's joint angles, radians: bending, sideways; the thumb about any axis."""
_PLACE = (0.01, 0.01, 0.01, 0.05, 0.05, 0.05)
"""How far the whole hand may still move: metres, then radians. Little along the view: the rigid fit tells the
distance, which a bend of the fingers would trade for theirs."""
_SHAPE = 1.0
"""Standard deviation of a shape parameter: the population's, for one picture hardly tells the network any of
it."""

_ANCESTORS = np.zeros((16, 16), bool)
for _joint in range(16):
    _step = _joint
    while _step >= 0:
        _ANCESTORS[_joint, _step] = True
        _step = JOINT_PARENTS[_step]


def _joint_angles() -> tuple[np.ndarray, np.ndarray]:
    """Which of the 15 x (twist, bend, spread) angles of the finger joints may change (K,), and how far
    (K,)."""
    sigma = np.tile([0, _BEND, 0], (15, 1))
    sigma[:12:3, 2] = _SPREAD  # the other joints of the fingers are hinges
    sigma[12:] = _THUMB
    return np.flatnonzero(sigma), sigma[sigma > 0]


_ANGLES, _ANGLE_SIGMA = _joint_angles()
_ANGLE_JOINT = 1 + _ANGLES // 3
_MOVES = _ANCESTORS[KEYPOINT_JOINT][:, _ANGLE_JOINT, None]
_BETAS = 6 + len(_ANGLES)
"""Where the betas begin among what is solved for."""
_PRIOR = 1 / np.square(np.concatenate([_PLACE, _ANGLE_SIGMA, np.full(10, _SHAPE)]))
"""Information of translation, rotation, joint angles and betas."""
_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]


def shape_growth(model: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """How the bones (15, 3, 10) of a HandModel and the keypoints that ride on its joints (21, 3, 10) grow
    with each of its betas, metres, in the joints' own frames."""
    out = model.flat_hands()
    joints, keypoints = (
        np.moveaxis(part[1:] - part[:1], 0, -1).astype(float) for part in (out.joints, out.keypoints)
    )
    return joints[1:] - joints[JOINT_PARENTS[1:]], keypoints - joints[KEYPOINT_JOINT]


def _chain(local: np.ndarray, bones: np.ndarray, riders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 16, 3, C) and riding points (N, 21, 3, C) of local rotations (N, 16, 3, 3), with bones (N,
    15, 3, C) and riders (N, 21, 3, C) in the frames they are in."""
    rotations, joints = local.copy(), np.zeros((len(local), 16, *bones.shape[2:]))
    for level, parents in JOINT_LEVELS:
        rotations[:, level] = rotations[:, parents] @ local[:, level]
        joints[:, level] = joints[:, parents] + rotations[:, parents] @ bones[:, level.start - 1 :: 3]
    return joints, joints[:, KEYPOINT_JOINT] + rotations[:, KEYPOINT_JOINT] @ riders


def _shape_only(
    moves: np.ndarray, keypoints: np.ndarray, measured: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, 63, M) and residuals (N, 63) of keypoints (N, 21, 3), which `moves` (N, 21, M, 3), shifts
    and turns first, change, against `measured` (N, 21, 3), whose place, turn and size count for nothing."""
    count = len(moves)
    rows = moves.transpose(0, 1, 3, 2).reshape(count, 63, -1)
    residual = (measured - keypoints).reshape(count, 63, 1)
    # Shift, turn, growth.
    free = np.concatenate([rows[..., :6], keypoints.reshape(count, 63, 1)], 2)
    both = np.concatenate([rows, residual], 2)
    transposed = np.swapaxes(free, 1, 2)
    both = both - free @ np.linalg.solve(transposed @ free, transposed @ both)
    return both[..., :-1], both[..., -1]


def _moves_of(
    local: np.ndarray,
    rotations: np.ndarray,
    joints: np.ndarray,
    keypoints: np.ndarray,
    growth: list[np.ndarray],
) -> np.ndarray:
    """(N, 21, M, 3): how keypoints (N, 21, 3) move with what is solved for: shift and turn of the hand,
    angles of the joints, betas."""
    count = len(local)
    axes = np.swapaxes((rotations @ C_RIGHT)[:, 1:], 2, 3)  # rows: twist, bend, spread
    axes = axes.reshape(count, 1, 45, 3)[:, :, _ANGLES]
    arms = (keypoints[:, :, None] - joints[:, None, _ANGLE_JOINT]) * _MOVES
    by_joint = axes[..., _NEXT] * arms[..., _AFTER] - axes[..., _AFTER] * arms[..., _NEXT]
    by_shape = np.swapaxes(_chain(local, *growth)[1], 2, 3)
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
    growth: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A Gauss-Newton step on all joints and the shape of N hands: (hand_pose (N, 15, 3, 3), turn (N, 3, 3),
    translation (N, 3), change of betas (N, 10), keypoints (N, 21, 3)); all but the betas with the change
    applied. A second step changes nothing that could be measured.

    `rotations` (N, 16, 3, 3), `joints` (N, 16, 3) and `keypoints` (N, 21, 3) are the posed right hands',
    wrist at the origin, in the frame of the crop; `hand_pose` (N, 15, 3, 3) their local rotations;
    `translation` (N, 3) their places. `pixels` (N, 21, 2) are relative to the principal point, `focal` (N,)
    px; `measured` (N, 21, 3) are 3D landmarks, their place, turn and size open; `growth` is shape_growth with
    a leading axis of N, in the same sizes. `turn` is to be applied to the hand on the left. Each keypoint is
    taken to ride on one joint, which is nearly so.
    """
    count = len(hand_pose)
    local = np.concatenate([rotations[:, :1], hand_pose], 1)
    moves = _moves_of(local, rotations, joints, keypoints, growth)
    points = keypoints + translation[:, None]
    uv, z = points[..., :2] / points[..., 2:], points[..., 2]
    # Derivatives of u and v, (N, 21, 2, M), in pixels over their spread.
    rows = np.swapaxes(moves[..., :2], 2, 3) - uv[..., None] * moves[..., None, :, 2]
    jacobian = (rows * (focal[:, None] / z / SIGMA_PX)[..., None, None]).reshape(count, 42, -1)
    residual = ((pixels - focal[:, None, None] * uv) / SIGMA_PX).reshape(count, 42)
    rows, apart = _shape_only(moves, keypoints, procrustes_align(measured, keypoints))
    jacobian = np.concatenate([jacobian, rows / SIGMA_3D], 1)
    residual = np.concatenate([residual, apart / SIGMA_3D], 1)
    transposed = np.swapaxes(jacobian, 1, 2)
    information = transposed @ jacobian + np.diag(_PRIOR)
    change = np.linalg.solve(information, transposed @ residual[..., None])[..., 0]

    turn, bent, betas = rotvec_to_matrix(change[:, 3:6]), np.zeros((count, 45)), change[:, _BETAS:]
    bent[:, _ANGLES] = change[:, 6:_BETAS]
    local[:, 0] = turn @ local[:, 0]
    local[:, 1:] = local[:, 1:] @ rotvec_to_matrix(bent.reshape(count, 15, 3) @ C_RIGHT.T)
    parents = JOINT_PARENTS[1:]
    bones = ((joints[:, 1:] - joints[:, parents])[..., None, :] @ rotations[:, parents])[..., 0, :]
    riders = (keypoints - joints[:, KEYPOINT_JOINT])[..., None, :] @ rotations[:, KEYPOINT_JOINT]
    grown = [part @ betas[:, None, :, None] for part in growth]
    keypoints = _chain(local, bones[..., None] + grown[0], riders[..., 0, :, None] + grown[1])[1][..., 0]
    return local[:, 1:], turn, translation + change[:, :3], betas, keypoints


def seen_shift(
    keypoints: np.ndarray,
    translation: np.ndarray,
    pixels: np.ndarray,
    focal: np.ndarray,
    stddev: np.ndarray,
) -> np.ndarray:
    """(N, 21, 3) metres, across the viewing ray: from where `keypoints` at `translation` project to where
    their landmarks `pixels` are seen, as far as these are to be trusted beside a hand whose keypoints have
    the lateral `stddev` (N, 21) metres.

    A mesh cannot take on every hand's shape, and on photographs a landmark tells a keypoint's place better
    than the fit. A landmark's error is taken to be Student's t with _FREEDOM degrees of freedom, so that one
    far off counts less. Arguments as in `refine`.
    """
    points = keypoints + translation[:, None]
    metres = points[..., 2:] / focal[:, None, None]
    apart = pixels * metres - points[..., :2]
    spread = _FREEDOM * (LANDMARK_SIGMA_PX * metres) ** 2 + np.square(apart).mean(-1, keepdims=True)
    variance = stddev[..., None] ** 2
    trust = variance / (variance + spread / (_FREEDOM + 1))
    trust[:, 0] = 0  # the wrist is where its frame is
    return np.concatenate([trust * apart, np.zeros((*apart.shape[:2], 1))], -1)
