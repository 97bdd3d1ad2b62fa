"""A prediction in the frame of its crop to a hand in the camera's optical frame, on its own side.

The crop camera only turns the real camera, so its picture obeys the same pinhole law and the fit is made
there; metric size, which the picture does not show, is the matter of scale.py.
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
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.refinement import LANDMARK_SIGMA_PX, refine, seen_shift, shape_growth
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

_INDEPENDENT = 6
"""The errors of 21 landmarks of one hand go together: they are worth about this many independent ones."""
_NEAREST = 0.02
"""Least distance in front of the camera, metres."""
_STEPS = 8
"""Maximum Gauss-Newton iterations."""
ORIENTATION_SIGMA = 0.1
"""Standard deviation of the network's orientation about each axis, radians."""


@dataclass
class Fit:
    """Where N rigid sets of points lie: turn (N, 3, 3) applied to them, then translation (N, 3) m; covariance
    (N, 6, 6) of both (translation first, then the rotation vector)."""

    turn: np.ndarray
    translation: np.ndarray
    covariance: np.ndarray


def fit_pose(
    points: np.ndarray, pixels: np.ndarray, focal: np.ndarray, stddev: np.ndarray | float = 0.0
) -> Fit:
    """Weighted Gauss-Newton on rotation and translation: Fit of `points` (N, 21, 3) m to centred `pixels` (N,
    21, 2).

    `pixels` are relative to the principal points of pinhole cameras with `focal` (N,) px; `stddev` (N, 21) m
    is how sure the points are across the view. The prior says that they are turned already, up to
    ORIENTATION_SIGMA about each axis.
    """
    count = len(points)
    translation = _shift_onto(points, pixels / focal[:, None, None])
    sigma = np.hypot(LANDMARK_SIGMA_PX, stddev * (focal / translation[:, 2])[:, None])
    sigma = np.broadcast_to(sigma, pixels.shape[:2])
    weight = np.repeat(1 / sigma, 2, 1)[..., None]
    weight *= np.sqrt(_INDEPENDENT / np.square(weight[:, ::2]).sum(1, keepdims=True)) / LANDMARK_SIGMA_PX
    turn, turned_by = np.eye(3)[None], np.zeros((count, 3))
    prior = np.concatenate([np.zeros(3), np.full(3, 1 / ORIENTATION_SIGMA**2)])
    for _ in range(_STEPS):
        turned = points @ np.swapaxes(turn, 1, 2)
        placed = turned + translation[:, None]
        z = np.maximum(placed[..., 2:], _NEAREST)
        uv, scale = placed[..., :2] / z, focal[:, None, None] / z
        # Derivative of a projected point by the point, then by translation and by a small turn on the left.
        by_point = np.zeros((*uv.shape, 3))
        by_point[..., 0, 0] = by_point[..., 1, 1] = scale[..., 0]
        by_point[..., 2] = -uv * scale
        jacobian = np.concatenate([by_point, -by_point @ cross_matrix(turned)], -1)
        jacobian = weight * jacobian.reshape(count, -1, 6)
        residual = weight * (pixels - focal[:, None, None] * uv).reshape(count, -1, 1)
        transposed = np.swapaxes(jacobian, 1, 2)
        information = transposed @ jacobian + np.diag(prior)
        gradient = transposed @ residual
        gradient[:, 3:, 0] -= prior[3:] * turned_by
        change = np.linalg.solve(information, gradient)[..., 0]
        # A step in depth that would pass the camera is shortened.
        short = np.minimum(1, 0.5 * np.abs(translation[:, 2]) / np.maximum(np.abs(change[:, 2]), 1e-9))
        translation = translation + change[:, :3] * short[:, None]
        turn, turned_by = rotvec_to_matrix(change[:, 3:]) @ turn, turned_by + change[:, 3:]
        if np.abs(change).max() < 0.02:  # the next step is of its square
            break
    return Fit(turn, translation, np.linalg.inv(information))


def _shift_onto(points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Translations (N, 3) that bring points (N, K, 3), as they are turned, nearest to rays (N, K, 2) with z =
    1: the least squares of x + tx = ray (z + tz)."""
    apart = rays * points[..., 2:] - points[..., :2]
    middle, centre = rays.mean(1), apart.mean(1)
    across = rays - middle[:, None]
    depth = -(across * (apart - centre[:, None])).sum((1, 2)) / np.maximum((across**2).sum((1, 2)), 1e-12)
    depth = np.maximum(depth, _NEAREST)
    return np.concatenate([centre + middle * depth[:, None], depth[:, None]], 1)


class Placement:
    """Places hands. `hand_model` skins them, `landmark_model` is the same hand with its keypoints where the
    2D landmarks sit; `hand_length` is metres from wrist to middle fingertip, 0 for the population's."""

    def __init__(self, hand_model: HandModel, landmark_model: HandModel, hand_length: float = 0.0) -> None:
        self._model, self._landmark_model, self._hand_length = hand_model, landmark_model, hand_length
        # One picture tells a hand's proportions, not its size.
        self._shapes, self._population = self._without_length(), hand_model.length(np.zeros(10))
        self._growth = [part @ self._shapes for part in shape_growth(landmark_model)]

    def _without_length(self) -> np.ndarray:
        """(10, 10) that takes out of betas what they say of the hand's length (which is linear in them to
        within a percent)."""
        longer = self._model.length(np.eye(10)) - self._model.length(np.zeros(10))
        return np.eye(10) - np.outer(longer, longer) / (longer @ longer)

    def __call__(
        self, prediction: HandPrediction, views: list[Observation], frame: Frame, camera: Camera
    ) -> list[PlacedHand]:
        """PlacedHand[] from a HandPrediction of N hands and their N views (track.Observation), in a Frame and
        its Camera."""
        if not views:
            return []
        orient, pose, betas = (
            np.array(part, float)
            for part in (prediction.global_orient, prediction.hand_pose, prediction.betas)
        )
        betas = betas @ self._shapes
        known = [self._known_length(view) for view in views]
        lengths = np.array([length for length, _ in known])
        before = lengths / self._model.length(betas)
        fit, pose, change, shift, palms = self._fit(
            prediction, self._landmark_model(betas, orient, pose, vertices=False), pose, before, views
        )
        betas, orient = betas + change, fit.turn @ orient
        # The shape that the fit found has a length of its own: scaled about the camera, the picture stays.
        sizes = lengths / self._model.length(betas)
        grown = sizes / before
        fit.translation *= grown[:, None]
        placed = []
        for k, view in enumerate(views):
            in_crop = PlacedHand(
                view.side,
                fit.translation[k],
                orient[k],
                pose[k],
                betas[k],
                sizes[k],
                grown[k] * shift[k],
                fit.covariance[k],
                known[k][1],
            )
            hand = _to_camera(in_crop, view.crop_camera.rotation.T)
            hand, ratio = to_scale(hand, grown[k] * palms[k] @ _axes(view).T, frame, camera)
            if ratio is not None:
                hand.measured_length = ratio * lengths[k]
            placed.append(hand)
        return placed

    def _known_length(self, view: Observation) -> tuple[float, ScaleSource]:
        """Metres from wrist to middle fingertip of the hand in an Observation, and where they come from
        (SCALE_*)."""
        if view.learned_length:
            return view.learned_length, SCALE_LEARNED
        if self._hand_length:
            return self._hand_length, SCALE_PARAMETER
        return self._population, SCALE_POPULATION

    def _fit(
        self,
        prediction: HandPrediction,
        posed: HandOutput,
        pose: np.ndarray,
        sizes: np.ndarray,
        views: list[Observation],
    ) -> tuple[Fit, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Fit of N hands, their poses (N, 15, 3, 3) and changes of betas (N, 10): first as rigid bodies, then
        with their fingers; how far their keypoints are seen beside them (N, 21, 3), and the palms' (N, 6, 3)
        from the wrist."""
        joints, keypoints = (
            sizes[:, None, None] * part.astype(float) for part in (posed.joints, posed.keypoints)
        )
        landmarks = np.stack([view.landmarks[:, :2] for view in views]).astype(float)
        pixels = (landmarks + 0.5) * CROP_SIZE - (CROP_SIZE - 1) / 2
        focal = np.array([view.crop_camera.focal for view in views], float)
        stddev = np.asarray(prediction.keypoint_stddev[..., 0], float)
        # Deviations are from the wrist; in the picture it is as unsure as the others.
        of_all = np.concatenate([stddev[:, 1:].mean(1, keepdims=True), stddev[:, 1:]], 1)
        fit = fit_pose(keypoints, pixels, focal, of_all)
        turned = np.swapaxes(fit.turn, 1, 2)
        pose, turn, translation, change, keypoints = refine(
            pose,
            fit.turn[:, None] @ posed.joint_rotations,
            joints @ turned,
            keypoints @ turned,
            fit.translation,
            pixels,
            np.concatenate([view.cues['world_landmarks'] for view in views]).astype(float),
            focal,
            [sizes[:, None, None, None] * part for part in self._growth],
        )
        shift = seen_shift(keypoints, translation, pixels, focal, stddev)
        fit = Fit(turn @ fit.turn, translation, fit.covariance)
        return fit, pose, change, shift, keypoints[:, PALM_KEYPOINTS]


def _axes(view: Observation) -> np.ndarray:
    """(3, 3) from the (mirrored) crop of an Observation to the camera, for polar vectors."""
    return view.crop_camera.rotation.T * (MIRROR_X if view.side == LEFT else np.ones(3))


def _to_camera(hand: PlacedHand, back: np.ndarray) -> PlacedHand:
    """A PlacedHand of the (mirrored) crop, the right hand that it shows, on its own side in the camera;
    `back` (3, 3) turns the crop's frame to the camera's."""
    left = hand.side == LEFT
    mirror = MIRROR_X if left else np.ones(3)
    polar, axial = (
        back * mirror,
        back * (-mirror if left else mirror),
    )  # a mirror turns rotations the other way
    blocks = np.zeros((6, 6))
    blocks[:3, :3], blocks[3:, 3:] = polar, axial
    return replace(
        hand,
        position=polar @ hand.position,
        orient=back @ (mirror_rotation(hand.orient) if left else hand.orient),
        pose=mirror_rotation(hand.pose) if left else hand.pose,
        shift=hand.shift @ polar.T,
        covariance=blocks @ hand.covariance @ blocks.T,
    )
