"""Placement of predicted hands in the camera's optical frame, by a fit of the 3D keypoints to the 2D
landmarks.

The fit runs in the crop camera, an ideal pinhole camera that differs from the real one by a rotation. It
takes the size of the hand as known; scale.py corrects it from depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from maskhand_ros.geometry import (
    CROP_SIZE,
    MIRROR_X,
    Camera,
    cross_matrix,
    mirror_rotation,
    rotvec_to_matrix,
)
from maskhand_ros.hand_model.numpy_hand import HandModel, HandOutput
from maskhand_ros.perception.calibration import Calibration
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.refinement import (
    LANDMARK_SIGMA_PX,
    landmark_shift,
    misfit_of,
    refine,
    shape_jacobian,
)
from maskhand_ros.perception.scale import PALM_KEYPOINTS, to_scale
from maskhand_ros.perception.track import Observation
from maskhand_ros.perception.types import (
    SCALE_LEARNED,
    SCALE_PARAMETER,
    SCALE_POPULATION,
    Frame,
    PlacedHand,
    ScaleSource,
)
from maskhand_ros.skeleton import LEFT

_EFFECTIVE_LANDMARKS = 6
"""Number of landmarks with independent errors that inform as much as the 21 of a hand, whose errors are
correlated."""
_MIN_DEPTH = 0.02
"""Minimum depth of a point, metres."""
_MAX_ITERATIONS = 8
"""Maximum Gauss-Newton iterations."""
ORIENTATION_SIGMA = 0.1
"""Standard deviation of the network's orientation about each axis, radians."""
_PRIOR = np.diag([0, 0, 0, *[1 / ORIENTATION_SIGMA**2] * 3])
"""Prior information (inverse variance) of translation and rotation."""


@dataclass
class Fit:
    """Rigid transforms of N point sets: `rotation` (N, 3, 3), applied first, then `translation` (N, 3) m;
    `covariance` (N, 6, 6) of both (translation, then rotation vector)."""

    rotation: np.ndarray
    translation: np.ndarray
    covariance: np.ndarray


def fit_pose(
    points: np.ndarray, pixels: np.ndarray, focal: np.ndarray, stddev: np.ndarray | float = 0.0
) -> Fit:
    """Fit of `points` (N, 21, 3) m to `pixels` (N, 21, 2) by weighted Gauss-Newton (perspective-n-point with
    a prior).

    `pixels` are relative to the principal point of a pinhole camera of `focal` (N,) px. `stddev` (N, 21) m is
    that of the points across the viewing ray. Prior: identity rotation, with ORIENTATION_SIGMA about each
    axis.
    """
    count = len(points)
    translation = _translation_onto(points, pixels / focal[:, None, None])
    sigma = np.hypot(LANDMARK_SIGMA_PX, stddev * (focal / translation[:, 2])[:, None])
    information = np.broadcast_to(1 / np.square(sigma), pixels.shape[:2])
    # Scaled so that a hand's landmarks sum to the information of _EFFECTIVE_LANDMARKS independent ones.
    total = _EFFECTIVE_LANDMARKS / LANDMARK_SIGMA_PX**2
    information = total * information / information.sum(1, keepdims=True)
    weight = np.repeat(np.sqrt(information), 2, 1)[..., None]  # (N, 42, 1) of x and y
    rotation, rotation_vector = np.eye(3)[None], np.zeros((count, 3))
    for _ in range(_MAX_ITERATIONS):
        rotated = points @ np.swapaxes(rotation, 1, 2)
        placed = rotated + translation[:, None]
        z = np.maximum(placed[..., 2:], _MIN_DEPTH)
        uv, scale = placed[..., :2] / z, focal[:, None, None] / z
        # Derivative of a projected point by the point, then by translation and a small rotation from the
        # left.
        by_point = np.zeros((*uv.shape, 3))
        by_point[..., 0, 0] = by_point[..., 1, 1] = scale[..., 0]
        by_point[..., 2] = -uv * scale
        jacobian = np.concatenate([by_point, -by_point @ cross_matrix(rotated)], -1)
        jacobian = weight * jacobian.reshape(count, -1, 6)
        residual = weight * (pixels - focal[:, None, None] * uv).reshape(count, -1, 1)
        transposed = np.swapaxes(jacobian, 1, 2)
        covariance = np.linalg.inv(transposed @ jacobian + _PRIOR)
        gradient = transposed @ residual
        gradient[:, 3:, 0] -= rotation_vector / ORIENTATION_SIGMA**2
        change = (covariance @ gradient)[..., 0]
        # A step changes the depth by at most half.
        damping = np.minimum(1, 0.5 * np.abs(translation[:, 2]) / np.maximum(np.abs(change[:, 2]), 1e-9))
        translation = translation + change[:, :3] * damping[:, None]
        rotation = rotvec_to_matrix(change[:, 3:]) @ rotation
        rotation_vector = rotation_vector + change[:, 3:]
        if np.abs(change).max() < 0.02:  # quadratic convergence: the next step is negligible
            break
    return Fit(rotation, translation, covariance)


def _translation_onto(points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Translations (N, 3), without rotation, that bring points (N, K, 3) nearest to rays (N, K, 2) at z =
    1: the least-squares solution of x + tx = ray (z + tz)."""
    difference = rays * points[..., 2:] - points[..., :2]
    mean_ray, centre = rays.mean(1), difference.mean(1)
    centred_rays = rays - mean_ray[:, None]
    depth = -(centred_rays * (difference - centre[:, None])).sum((1, 2)) / np.maximum(
        (centred_rays**2).sum((1, 2)), 1e-12
    )
    depth = np.maximum(depth, _MIN_DEPTH)
    return np.concatenate([centre + mean_ray * depth[:, None], depth[:, None]], 1)


class Placement:
    """Places hands in the camera frame. `landmark_model` is `hand_model` with the keypoint set of the 2D
    landmarks. `hand_length` is in metres from wrist to middle fingertip; 0: population mean. `calibration`
    says what the misfit to the landmarks and the disagreement of crops do to the confidence."""

    def __init__(
        self,
        hand_model: HandModel,
        landmark_model: HandModel,
        hand_length: float = 0.0,
        calibration: Calibration | None = None,
    ) -> None:
        self._model, self._landmark_model, self._hand_length = hand_model, landmark_model, hand_length
        self._calibration = calibration or Calibration.identity()
        # An image shows a hand's proportions, not its size: the length is removed from the predicted betas.
        self._to_fixed_length = self._length_projection()
        self._mean_length = float(hand_model.length(np.zeros(10)))
        self._by_beta = [part @ self._to_fixed_length for part in shape_jacobian(landmark_model)]

    def _length_projection(self) -> np.ndarray:
        """Projection (10, 10) of betas onto those of constant hand length, which is linear in betas to
        within 1 %."""
        longer = self._model.length(np.eye(10)) - self._model.length(np.zeros(10))
        return np.eye(10) - np.outer(longer, longer) / (longer @ longer)

    def __call__(
        self, prediction: HandPrediction, observations: list[Observation], frame: Frame, camera: Camera
    ) -> list[PlacedHand]:
        """PlacedHands of a HandPrediction of N hands with their N Observations, in a Frame with
        its Camera."""
        if not observations:
            return []
        orient, pose, betas = (
            np.array(part, float)
            for part in (prediction.global_orient, prediction.hand_pose, prediction.betas)
        )
        betas = betas @ self._to_fixed_length
        known_lengths = [self._known_length(observation) for observation in observations]
        lengths = np.array([length for length, _ in known_lengths])
        initial_sizes = lengths / self._model.length(betas)
        fit, pose, betas_change, shift, palms, misfit = self._fit(
            prediction,
            self._landmark_model(betas, orient, pose, vertices=False),
            pose,
            initial_sizes,
            observations,
        )
        betas, orient = betas + betas_change, fit.rotation @ orient
        # The fit changed the shape and so the length. Scaling about the camera centre restores the length
        # and leaves the projection as it is.
        sizes = lengths / self._model.length(betas)
        rescaling = sizes / initial_sizes
        fit.translation *= rescaling[:, None]
        disagreements = np.array([observation.disagreement for observation in observations])
        confidences = self._calibration.after_fit(prediction.confidence, misfit, disagreements)
        placed = []
        for k, observation in enumerate(observations):
            in_crop = PlacedHand(
                observation.side,
                fit.translation[k],
                orient[k],
                pose[k],
                betas[k],
                sizes[k],
                rescaling[k] * shift[k],
                fit.covariance[k],
                known_lengths[k][1],
                float(confidences[k]),
                float(misfit[k]),
            )
            axes = _camera_from_crop(observation)
            hand = _to_camera(in_crop, axes)
            hand, ratio = to_scale(hand, rescaling[k] * palms[k] @ axes.T, frame, camera)
            if ratio is not None:
                hand.measured_length = ratio * lengths[k]
            placed.append(hand)
        return placed

    def _known_length(self, observation: Observation) -> tuple[float, ScaleSource]:
        """Length of the hand in an Observation (wrist to middle fingertip, metres) and its ScaleSource."""
        if observation.learned_length:
            return observation.learned_length, SCALE_LEARNED
        if self._hand_length:
            return self._hand_length, SCALE_PARAMETER
        return self._mean_length, SCALE_POPULATION

    def _fit(
        self,
        prediction: HandPrediction,
        posed: HandOutput,
        pose: np.ndarray,
        sizes: np.ndarray,
        observations: list[Observation],
    ) -> tuple[Fit, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rigid fit, then one refinement of fingers and shape, of N hands scaled by `sizes` (N,). Returns
        the Fit, poses (N, 15, 3, 3), changes of betas (N, 10), landmark_shift (N, 21, 3),
        PALM_KEYPOINTS from the wrist (N, 6, 3) and misfit_of (N,)."""
        joints, keypoints = (
            sizes[:, None, None] * part.astype(float) for part in (posed.joints, posed.keypoints)
        )
        landmarks = np.stack([observation.landmarks[:, :2] for observation in observations]).astype(float)
        pixels = (landmarks + 0.5) * CROP_SIZE - (CROP_SIZE - 1) / 2
        focal = np.array([observation.crop_camera.focal for observation in observations], float)
        stddev = np.asarray(prediction.keypoint_stddev[..., 0], float)
        # Standard deviations are relative to the wrist, so the wrist's own is 0; in the image it is as
        # uncertain as the others.
        all_stddev = np.concatenate([stddev[:, 1:].mean(1, keepdims=True), stddev[:, 1:]], 1)
        fit = fit_pose(keypoints, pixels, focal, all_stddev)
        transposed = np.swapaxes(fit.rotation, 1, 2)
        pose, rotation, translation, betas_change, keypoints = refine(
            pose,
            fit.rotation[:, None] @ posed.joint_rotations,
            joints @ transposed,
            keypoints @ transposed,
            fit.translation,
            pixels,
            np.concatenate([observation.cues['world_landmarks'] for observation in observations]).astype(
                float
            ),
            focal,
            [sizes[:, None, None, None] * part for part in self._by_beta],
        )
        shift = landmark_shift(keypoints, translation, pixels, focal, stddev)
        fit = Fit(rotation @ fit.rotation, translation, fit.covariance)
        misfit = misfit_of(keypoints, translation, pixels, focal)
        return fit, pose, betas_change, shift, keypoints[:, PALM_KEYPOINTS], misfit


def _camera_from_crop(observation: Observation) -> np.ndarray:
    """Matrix (3, 3) from the axes of an Observation's crop to those of the camera. Crops of left hands are
    mirrored, so theirs is a rotation with a reflection."""
    rotation = observation.crop_camera.rotation.T
    return rotation * MIRROR_X if observation.side == LEFT else rotation


def _to_camera(hand: PlacedHand, axes: np.ndarray) -> PlacedHand:
    """A PlacedHand from its crop, where every hand is a right one, to the camera frame and its own side.
    `axes` (3, 3): _camera_from_crop."""
    left = hand.side == LEFT
    blocks = np.zeros((6, 6))
    blocks[:3, :3], blocks[3:, 3:] = axes, -axes if left else axes  # a reflection negates rotation vectors
    orient = axes @ hand.orient
    return replace(
        hand,
        position=axes @ hand.position,
        orient=orient * MIRROR_X if left else orient,
        pose=mirror_rotation(hand.pose) if left else hand.pose,
        shift=hand.shift @ axes.T,
        covariance=blocks @ hand.covariance @ blocks.T,
    )
