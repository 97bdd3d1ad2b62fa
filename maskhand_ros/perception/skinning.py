"""Skinning: placed hand parameters to Hands with mesh, keypoints, joint frames and pixels."""

from __future__ import annotations

import math

import numpy as np

from maskhand_ros.geometry import C_LEFT, C_RIGHT, MIRROR_X, Camera, matrix_to_rotvec, mirror_rotation
from maskhand_ros.hand_model.numpy_hand import HandModel, HandOutput
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.track import Observation
from maskhand_ros.perception.types import SCALE_NONE, TENTATIVE, Frame, Hand, Hypothesis, PlacedHand
from maskhand_ros.skeleton import LEFT


def skin(
    model: HandModel,
    placed: list[PlacedHand],
    prediction: HandPrediction,
    observations: list[Observation],
    frame: Frame,
    camera: Camera,
) -> list[Hand]:
    """Hands of the PlacedHands `placed`, with uncertainty from the HandPrediction and side and
    presence from the Observations `observations`.

    `id`, `state` and `operator` are set later (Continuity.finish, Operator).
    """
    if not placed:
        return []
    orient, pose, betas = (
        np.stack([getattr(hand, name) for hand in placed]) for name in ('orient', 'pose', 'betas')
    )
    left = np.array([hand.side == LEFT for hand in placed])
    orient[left], pose[left] = mirror_rotation(orient[left]), mirror_rotation(pose[left])
    skinned = model(betas, orient, pose)
    return [
        _hand(placed[k], skinned, k, prediction, observation, frame, camera)
        for k, observation in enumerate(observations)
    ]


def _hand(
    placed: PlacedHand,
    skinned: HandOutput,
    index: int,
    prediction: HandPrediction,
    observation: Observation,
    frame: Frame,
    camera: Camera,
) -> Hand:
    left = placed.side == LEFT
    flip = placed.size * (MIRROR_X if left else np.ones(3))
    vertices, joints, keypoints = (
        np.asarray(part[index], np.float64) * flip
        for part in (skinned.vertices, skinned.joints, skinned.keypoints)
        if part is not None
    )
    keypoints = keypoints + placed.shift
    rotations = np.asarray(skinned.joint_rotations[index], float)
    rotations = (mirror_rotation(rotations) if left else rotations) @ (C_LEFT if left else C_RIGHT)
    wrist = rotations[0]
    pixels = camera.project(keypoints + placed.position)
    metric = placed.source != SCALE_NONE
    from_crop = observation.crop_camera.rotation.T
    return Hand(
        id=0,
        side=placed.side,
        side_probability=observation.side_probability,
        state=TENTATIVE,
        operator=False,
        score=observation.presence,
        confidence=placed.confidence,
        roi=_box(pixels, frame.rgb.shape),
        scale_source=placed.source,
        wrist_position=placed.position if metric else None,
        wrist_rotation=wrist,
        wrist_covariance=placed.covariance if metric else None,
        keypoints=keypoints + placed.position if metric else None,
        keypoints_wrist=keypoints @ wrist,
        keypoint_stddev=np.asarray(prediction.keypoint_stddev[index, :, 0], float),
        keypoint_stddev_depth=np.asarray(prediction.keypoint_stddev[index, :, 1], float),
        keypoints_px=pixels,
        joint_rotations=rotations,
        joints_wrist=joints @ wrist,
        mano_pose=matrix_to_rotvec(placed.rotations).reshape(48),
        betas=placed.betas,
        vertices=vertices @ wrist,
        hypotheses=[
            _hypothesis(drawn, index, placed.size, left, from_crop, wrist)
            for drawn in prediction.hypotheses or ()
        ],
        size=placed.size,
        keypoint_visibility=_visibility(observation, pixels, frame),
    )


def _visibility(observation: Observation, pixels: np.ndarray, frame: Frame) -> np.ndarray | None:
    """The network's probabilities (21,), 0 for keypoints whose `pixels` (21, 2) lie outside the image."""
    found = observation.cues.get('visibility')
    if found is None:
        return None
    height, width = frame.rgb.shape[:2]
    inside = ((pixels > -0.5) & (pixels < [width - 0.5, height - 0.5])).all(1)
    return np.where(inside, found[0].astype(float), 0.0)


def _hypothesis(
    drawn: HandPrediction, index: int, size: float, left: bool, from_crop: np.ndarray, wrist: np.ndarray
) -> Hypothesis:
    """Hypothesis of hand `index` of a HandPrediction, scaled by `size`. `from_crop` (3, 3): rotation from
    the crop camera to the camera; `wrist` (3, 3): rotation of the wrist frame in the camera."""
    rotations = np.concatenate([drawn.global_orient[index, None], drawn.hand_pose[index]]).astype(float)
    keypoints = size * drawn.keypoints[index].astype(float)
    if left:
        rotations, keypoints = mirror_rotation(rotations), keypoints * MIRROR_X
    rotations[0] = from_crop @ rotations[0]
    return Hypothesis(
        probability=float(drawn.confidence[index]),
        keypoints_wrist=keypoints @ from_crop.T @ wrist,
        mano_pose=matrix_to_rotvec(rotations).reshape(48),
        betas=np.asarray(drawn.betas[index], float),
    )


def _box(pixels: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Bounding box x, y, w, h in whole pixels of `pixels` (N, 2), clipped to an image of `shape`; NaN is
    ignored."""
    pixels = pixels[np.isfinite(pixels).all(1)]
    edges = zip(pixels.min(0).tolist(), pixels.max(0).tolist(), shape[1::-1], strict=True)
    spans = []
    for low, high, size in edges:
        start = min(max(math.floor(low), 0), size - 1)
        spans.append((start, min(max(math.ceil(high), start + 1), size) - start))
    (x, width), (y, height) = spans
    return x, y, width, height
