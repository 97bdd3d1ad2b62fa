"""Hands as JSON: the fields of Hand.msg under their names, and a header that explains them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from maskhand_ros.geometry import Camera, matrix_to_quaternion
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Hand, Hypothesis
from maskhand_ros.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_EDGES, KEYPOINT_NAMES

SINGLE_IMAGE = 'single_image'
"""`state` of a hand in an image on its own. It is not followed over images, so that none of Hand.msg's states
would be true of it."""

_METRES, _RADIANS, _PIXELS, _PROBABILITY, _COEFFICIENTS, _SECONDS, _QUATERNION = 5, 5, 2, 4, 4, 6, 6
"""Decimals that are written: 10 micrometres, a hundredth of a pixel, ..."""
_COVARIANCE_DIGITS = 4
"""Significant digits of a covariance, whose entries are small numbers."""

ABOUT = (
    'Fields of hands are those of maskhand_ros/msg/Hand; null stands for what is absent there. '
    'keypoint_names and joint_names give the orders of keypoints and joints, keypoint_edges pairs of '
    "keypoint indices, parents each joint's parent (-1: none). width, height: pixels. camera: null if "
    "unknown; K in pixels, distortion in OpenCV's order (k1, k2, p1, p2, k3, ...; lens fisheye: "
    'k1 to k4 of cv2.fisheye).'
)

FRAMES = {
    'camera': 'optical frame of the camera (REP 103): x right, y down, z forward; origin in its centre',
    'wrist': 'origin at the wrist: x towards the fingers, z out of the back of the hand, y = z cross x (the '
    'thumb side on a right hand, the little-finger side on a left hand)',
    'image': 'pixels of the image as received: u right, v down, (0, 0) in the centre of the top left pixel',
}

FIELDS = {
    'id': 'number of the hand: of the track in a video, from 1 in each single image',
    'side': '"left" or "right"',
    'side_probability': 'probability that `side` is right, 0.5 to 1',
    'state': '"tentative": seen in too few frames to be believed yet; "tracked": measured in this frame; '
    '"predicted": not measured in this frame; "single_image": measured in an image on its own, nothing is '
    'followed',
    'is_operator': "whether it is the operator's hand of this side; never in single images",
    'score': 'probability that this is a hand, 0 to 1',
    'confidence': 'probability that the mean keypoint error from the wrist is below 20 mm, 0 to 1',
    'roi': 'box around the hand, cut to the image: whole pixels',
    'scale_source': 'source of the metric scale: "none" (no camera matrix), "population" (an average adult '
    'hand), "parameter" (--hand-length), "learned" or "depth" (from depth images)',
    'wrist': 'pose of the wrist frame in the camera frame; null where the scale is unknown. position: [x, y, '
    'z] m; orientation: quaternion [x, y, z, w]; covariance: 6 x 6 of x, y, z and of the rotation about the '
    "camera frame's fixed x, y, z (m^2, m rad, rad^2)",
    'keypoints': '21 x [x, y, z] m, camera frame; null where the scale is unknown',
    'keypoints_wrist': '21 x [x, y, z] m, wrist frame',
    'keypoint_stddev': '21, m, relative to the wrist: standard deviation of each axis across the viewing ray',
    'keypoint_stddev_depth': '21, m, relative to the wrist: standard deviation along the viewing ray',
    'keypoints_px': '21 x [u, v] pixels, image frame',
    'keypoint_visibility': '21, 0 to 1: probability that the keypoint can be seen, so that it is neither '
    'hidden (by the hand itself, or by an object) nor outside the image; null for a predicted hand, and '
    'where the landmark network does not say',
    'mano_pose': '48, rad: axis-angle of 16 joints; the first 3 are global_orient in the camera frame (axes '
    'of the hand model)',
    'betas': '10 shape coefficients of the hand model, no unit',
    'vertices': 'mesh, V x [x, y, z] m, wrist frame; null where it is left out',
    'hypotheses': 'other poses that the image allows, most probable first, at the wrist of this hand: '
    'probability (0 to 1), keypoints_wrist, mano_pose, betas',
    'filter_delay': 's, lag that the smoothing adds',
}
"""Meaning, unit and frame of each field, in the order of Hand.msg."""


def header(pipeline: HandPipeline, width: int, height: int, camera: Camera | None) -> dict[str, Any]:
    """What all hands of an image, or of a video, have in common: versions, camera, names, orders, units.

    width, height: pixels of the image. camera: None where it is unknown. Names are those of HandArray.msg and
    HandTopology.msg where these have the same.
    """
    return {
        'about': ABOUT,
        'network': pipeline.model_name,
        'hand_model': pipeline.hand_model.name,
        'keypoint_set': pipeline.hand_model.keypoint_set,
        'mirrored_input': pipeline.config.mirrored_input,
        'width': width,
        'height': height,
        'camera': None if camera is None else _camera(camera),
        'frames': FRAMES,
        'keypoint_names': list(KEYPOINT_NAMES),
        'keypoint_edges': KEYPOINT_EDGES.ravel().tolist(),
        'joint_names': list(JOINT_NAMES),
        'parents': JOINT_PARENTS.tolist(),
        'fields': FIELDS,
    }


def hand_to_json(hand: Hand, vertices: bool = True, single_image: bool = False) -> dict[str, Any]:
    """The fields of Hand.msg as JSON types, in their order and rounded (FIELDS says units and frames).

    vertices: False leaves the mesh out (null). single_image: the hand is of an image on its own.
    """
    x, y, width, height = (int(value) for value in hand.roi)
    return {
        'id': int(hand.id),
        'side': str(hand.side),
        'side_probability': _rounded(hand.side_probability, _PROBABILITY),
        'state': SINGLE_IMAGE if single_image else str(hand.state),
        'is_operator': bool(hand.operator),
        'score': _rounded(hand.score, _PROBABILITY),
        'confidence': _rounded(hand.confidence, _PROBABILITY),
        'roi': {'x_offset': x, 'y_offset': y, 'width': width, 'height': height},
        'scale_source': str(hand.scale_source),
        'wrist': _wrist(hand),
        'keypoints': None if hand.keypoints is None else _rounded(hand.keypoints, _METRES),
        'keypoints_wrist': _rounded(hand.keypoints_wrist, _METRES),
        'keypoint_stddev': _rounded(hand.keypoint_stddev, _METRES),
        'keypoint_stddev_depth': _rounded(hand.keypoint_stddev_depth, _METRES),
        'keypoints_px': _rounded(hand.keypoints_px, _PIXELS),
        'keypoint_visibility': _visibility(hand),
        'mano_pose': _rounded(hand.mano_pose, _RADIANS),
        'betas': _rounded(hand.betas, _COEFFICIENTS),
        'vertices': _rounded(hand.vertices, _METRES) if vertices else None,
        'hypotheses': [_hypothesis(drawn) for drawn in hand.hypotheses],
        'filter_delay': _rounded(hand.filter_delay, _SECONDS),
    }


def _visibility(hand: Hand) -> list[float] | None:
    visibility = hand.keypoint_visibility
    return None if visibility is None else _rounded(visibility, _PROBABILITY)


def _wrist(hand: Hand) -> dict[str, Any] | None:
    """geometry_msgs/PoseWithCovariance of the wrist, or None where the scale is unknown."""
    if hand.wrist_position is None:
        return None
    return {
        'pose': {
            'position': _rounded(hand.wrist_position, _METRES),
            'orientation': _rounded(matrix_to_quaternion(hand.wrist_rotation), _QUATERNION),
        },
        'covariance': [[_significant(value) for value in row] for row in np.asarray(hand.wrist_covariance)],
    }


def _hypothesis(drawn: Hypothesis) -> dict[str, Any]:
    """The fields of HandHypothesis.msg."""
    return {
        'probability': _rounded(drawn.probability, _PROBABILITY),
        'keypoints_wrist': _rounded(drawn.keypoints_wrist, _METRES),
        'mano_pose': _rounded(drawn.mano_pose, _RADIANS),
        'betas': _rounded(drawn.betas, _COEFFICIENTS),
    }


def _camera(camera: Camera) -> dict[str, Any]:
    """K (3 x 3, pixels), the distortion in OpenCV's order, empty for none, and the lens model."""
    return {
        'K': camera.K.tolist(),
        'distortion': camera.distortion.tolist(),
        'lens': camera.lens,
    }


def _rounded(value: Any, decimals: int) -> Any:
    """Floats of the same shape, rounded; 0.0 in place of -0.0."""
    return (np.round(np.asarray(value, float), decimals) + 0.0).tolist()


def _significant(value: float) -> float:
    """A number with _COVARIANCE_DIGITS significant digits."""
    if value == 0 or not math.isfinite(value):
        return float(value)
    return round(float(value), _COVARIANCE_DIGITS - 1 - math.floor(math.log10(abs(value))))
