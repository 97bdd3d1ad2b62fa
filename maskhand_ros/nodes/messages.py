"""Conversion of hands to messages and back: HandArray, HandTopology, PointCloud2, pose.

`msg_to_hand` reads attributes only and accepts messages of rclpy and of rosbags: hence `Any`. Numbers are
assigned as array.array or ndarray of the field's type, because rclpy checks other sequences element by
element in Python.
"""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, PoseWithCovarianceStamped, Quaternion
from sensor_msgs.msg import PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Header

from maskhand_ros.errors import FieldError
from maskhand_ros.geometry import matrix_to_quaternion, rotvec_to_matrix, wrist_frame
from maskhand_ros.hand_model.numpy_hand import HandModel, forward_kinematics
from maskhand_ros.msg import Hand as HandMsg
from maskhand_ros.msg import HandArray, HandHypothesis, HandTopology
from maskhand_ros.perception.types import Hand, Hypothesis, ScaleSource, TrackState
from maskhand_ros.skeleton import (
    JOINT_NAMES,
    JOINT_PARENTS,
    JOINT_TO_KEYPOINT,
    KEYPOINT_EDGES,
    KEYPOINT_NAMES,
    Handedness,
)

CLOUD_TYPE = np.dtype(
    [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('stddev', '<f4'), ('id', '<u4'), ('keypoint', '<u4')]
)
"""One point of ~/keypoints."""

_CLOUD_OFFSETS = {name: field[1] for name, field in (CLOUD_TYPE.fields or {}).items()}
"""{field: offset in bytes}"""


def stamp_to_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time of rclpy or rosbags."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


def ns_to_stamp(nanoseconds: int) -> Time:
    """builtin_interfaces/Time of nanoseconds."""
    seconds, rest = divmod(int(nanoseconds), 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def to_duration(seconds: float) -> Duration:
    """builtin_interfaces/Duration of seconds."""
    whole, rest = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=int(whole), nanosec=int(rest))


def to_point(xyz: np.ndarray) -> Point:
    """geometry_msgs/Point of a position (3,)."""
    return to_points(xyz[None])[0]


def to_points(points: np.ndarray) -> list[Point]:
    """geometry_msgs/Point of each of points (N, 3)."""
    return [Point(x=x, y=y, z=z) for x, y, z in np.asarray(points, float).tolist()]


def to_quaternion(rotation: np.ndarray) -> Quaternion:
    """geometry_msgs/Quaternion of a rotation (3, 3)."""
    x, y, z, w = matrix_to_quaternion(rotation).tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


def to_pose(position: np.ndarray, rotation: np.ndarray) -> Pose:
    """geometry_msgs/Pose of a position (3,) and a rotation (3, 3)."""
    return Pose(position=to_point(position), orientation=to_quaternion(rotation))


def is_finite(hand: Hand) -> bool:
    """Whether every number of a Hand is finite; other hands are not published."""
    fields = {**vars(hand), 'hypotheses': None}
    values = [*fields.values(), *(value for each in hand.hypotheses for value in vars(each).values())]
    return bool(np.isfinite(np.concatenate([np.ravel(each) for each in values if each is not None])).all())


def hand_to_msg(hand: Hand, with_vertices: bool = True) -> HandMsg:
    """Hand.msg of a perception Hand."""
    x, y, width, height = (int(v) for v in hand.roi)
    msg = HandMsg(
        id=int(hand.id),
        side=int(hand.side),
        side_probability=float(hand.side_probability),
        state=int(hand.state),
        is_operator=bool(hand.operator),
        score=float(hand.score),
        confidence=float(hand.confidence),
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height),
        scale_source=int(hand.scale_source),
        keypoints_wrist=to_points(hand.keypoints_wrist),
        keypoint_stddev=_floats(hand.keypoint_stddev),
        keypoint_stddev_depth=_floats(hand.keypoint_stddev_depth),
        keypoints_px=_floats(hand.keypoints_px),
        keypoint_visibility=() if hand.keypoint_visibility is None else _floats(hand.keypoint_visibility),
        mano_pose=_floats(hand.mano_pose),
        betas=_floats(hand.betas),
        hypotheses=[_hypothesis_msg(hypothesis) for hypothesis in hand.hypotheses],
        filter_delay=to_duration(hand.filter_delay),
    )
    if hand.keypoints is not None:
        msg.wrist = [_pose_with_covariance(hand)]
        msg.keypoints = to_points(hand.keypoints)
    if with_vertices:
        msg.vertices = array.array('f', _floats(hand.vertices).tobytes())
    return msg


def _hypothesis_msg(hypothesis: Hypothesis) -> HandHypothesis:
    return HandHypothesis(
        probability=float(hypothesis.probability),
        keypoints_wrist=to_points(hypothesis.keypoints_wrist),
        mano_pose=_floats(hypothesis.mano_pose),
        betas=_floats(hypothesis.betas),
    )


def hands_to_msg(
    hands: Iterable[Hand],
    lost_ids: Iterable[int],
    header: Header,
    width: int,
    height: int,
    processing_time: float,
    hand_model: str,
    network: str,
    with_vertices: bool = True,
) -> HandArray:
    """HandArray of the hands of an image of width x height px; `processing_time` in seconds; `hand_model` and
    `network`: names with versions."""
    return HandArray(
        header=header,
        hands=[hand_to_msg(hand, with_vertices) for hand in hands],
        lost_ids=array.array('I', [int(i) for i in lost_ids]),
        width=width,
        height=height,
        processing_time=to_duration(processing_time),
        hand_model=hand_model,
        network=network,
    )


def msg_to_hand(msg: Any) -> Hand:
    """Perception Hand of a Hand.msg of rclpy or rosbags.

    The message has no joint positions: `joints_wrist` are the joints' keypoints, which for the `mano`
    keypoint set are some millimetres from the joints. Joint rotations come from the pose. `vertices` is empty
    (0, 3) if the message has none. FieldError for a message recorded with an older Hand.msg.
    """
    missing = [name for name in HandMsg.get_fields_and_field_types() if not hasattr(msg, name)]
    if missing:
        raise FieldError(
            f'the Hand message lacks {", ".join(missing)}: it was recorded with an older Hand.msg',
            'run its images through hand_node again, with `maskhand replay`',
        )
    placed = len(msg.wrist) > 0
    visibility = np.array(msg.keypoint_visibility, float)
    keypoints_wrist = _points(msg.keypoints_wrist)
    rotations = _global_rotations(np.array(msg.mano_pose, float))
    frames = wrist_frame(rotations, msg.side)
    return Hand(
        id=msg.id,
        side=Handedness(msg.side),
        side_probability=msg.side_probability,
        state=TrackState(msg.state),
        operator=msg.is_operator,
        score=msg.score,
        confidence=msg.confidence,
        roi=(msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height),
        scale_source=ScaleSource(msg.scale_source),
        wrist_position=_points([msg.wrist[0].pose.position])[0] if placed else None,
        wrist_rotation=frames[0],
        wrist_covariance=np.array(msg.wrist[0].covariance, float).reshape(6, 6) if placed else None,
        keypoints=_points(msg.keypoints) if placed else None,
        keypoints_wrist=keypoints_wrist,
        keypoint_stddev=np.array(msg.keypoint_stddev, float),
        keypoint_stddev_depth=np.array(msg.keypoint_stddev_depth, float),
        keypoints_px=np.array(msg.keypoints_px, float).reshape(21, 2),
        joint_rotations=frames,
        joints_wrist=keypoints_wrist[JOINT_TO_KEYPOINT],
        mano_pose=np.array(msg.mano_pose, float),
        betas=np.array(msg.betas, float),
        vertices=np.array(msg.vertices, float).reshape(-1, 3),
        hypotheses=[
            Hypothesis(
                float(hypothesis.probability),
                _points(hypothesis.keypoints_wrist),
                np.array(hypothesis.mano_pose, float),
                np.array(hypothesis.betas, float),
            )
            for hypothesis in msg.hypotheses
        ],
        filter_delay=msg.filter_delay.sec + msg.filter_delay.nanosec * 1e-9,
        keypoint_visibility=visibility if len(visibility) else None,
    )


def topology_msg(hand_model: HandModel) -> HandTopology:
    """Constant part of the hand model: names, bones, triangles of both sides."""
    return HandTopology(
        hand_model=hand_model.name,
        license=hand_model.license,
        keypoint_names=list(KEYPOINT_NAMES),
        keypoint_edges=array.array('B', KEYPOINT_EDGES.astype(np.uint8).tobytes()),
        joint_names=list(JOINT_NAMES),
        parents=JOINT_PARENTS.astype(np.int8),
        triangles_right=array.array('I', np.asarray(hand_model.faces, np.uint32).tobytes()),
        triangles_left=array.array('I', np.asarray(hand_model.faces_left, np.uint32).tobytes()),
    )


def wrist_msg(hand: Hand, header: Header) -> PoseWithCovarianceStamped:
    """geometry_msgs/PoseWithCovarianceStamped of the wrist of a hand with a metric position."""
    return PoseWithCovarianceStamped(header=header, pose=_pose_with_covariance(hand))


def cloud_msg(hands: Iterable[Hand], header: Header) -> PointCloud2:
    """PointCloud2 of the keypoints of the hands with a metric position: camera frame, one row, fields of
    CLOUD_TYPE."""
    placed = [(hand, hand.keypoints) for hand in hands if hand.keypoints is not None]
    points = np.zeros((len(placed), 21), CLOUD_TYPE)
    for row, (hand, keypoints) in zip(points, placed, strict=True):
        row['x'], row['y'], row['z'] = keypoints.T
        row['stddev'], row['id'], row['keypoint'] = hand.keypoint_stddev, hand.id, range(21)
    fields = [
        PointField(
            name=name,
            offset=_CLOUD_OFFSETS[name],
            count=1,
            datatype=PointField.FLOAT32 if CLOUD_TYPE[name] == '<f4' else PointField.UINT32,
        )
        for name in _CLOUD_OFFSETS
    ]
    return PointCloud2(
        header=header,
        height=1,
        width=points.size,
        fields=fields,
        is_bigendian=False,
        point_step=CLOUD_TYPE.itemsize,
        row_step=points.nbytes,
        is_dense=True,
        data=array.array('B', points.tobytes()),
    )


def _pose_with_covariance(hand: Hand) -> PoseWithCovariance:
    assert hand.wrist_position is not None and hand.wrist_covariance is not None  # it has a metric position
    return PoseWithCovariance(
        pose=to_pose(hand.wrist_position, hand.wrist_rotation),
        covariance=np.ascontiguousarray(hand.wrist_covariance, np.float64).reshape(36),
    )


def _floats(values: np.ndarray) -> np.ndarray:
    """Values (...,) as (N,) float32."""
    return np.ascontiguousarray(values, np.float32).reshape(-1)


def _points(points: Sequence[Any]) -> np.ndarray:
    """(N, 3) of N geometry_msgs/Point of rclpy or rosbags."""
    return np.array([(p.x, p.y, p.z) for p in points], float).reshape(-1, 3)


def _global_rotations(pose: np.ndarray) -> np.ndarray:
    """Rotations (16, 3, 3) of the joints in the camera frame of a MANO pose (48,)."""
    local = rotvec_to_matrix(pose.reshape(16, 3))
    rotations: np.ndarray = forward_kinematics(local[None], np.zeros((1, 16, 3)))[0][0]
    return rotations
