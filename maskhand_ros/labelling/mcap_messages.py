"""Standard ROS 2 messages of labelled hands, as rosbags' types, without rclpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from maskhand_ros.geometry import matrix_to_quaternion
from maskhand_ros.labelling.records import HandLabels
from maskhand_ros.lens import FISHEYE
from maskhand_ros.skeleton import KEYPOINT_EDGES, LEFT

CAMERA_FRAME, WORLD_FRAME = 'camera_optical_frame', 'world'
_COLOURS = {True: (0.95, 0.6, 0.1), False: (0.1, 0.6, 0.95)}
"""RGB of left (True) and right hands."""
_FIELDS = ('x', 'y', 'z', 'side', 'track_id', 'keypoint', 'confidence', 'stddev')
"""Fields of a keypoint in the point cloud, float32. side: 1 left, 2 right; stddev: m, across the viewing
ray."""
_FLOAT32, _LINE_LIST, _ADD, _DELETE_ALL = 7, 5, 0, 3
"""Constants of PointField and Marker."""


class Messages:
    """Builder of messages; stamps are ns."""

    def __init__(self) -> None:
        self._types: Any = get_typestore(Stores.ROS2_HUMBLE).types

    def image(self, stamp_ns: int, jpeg: np.ndarray) -> Any:
        """sensor_msgs/CompressedImage."""
        return self._new('sensor_msgs/msg/CompressedImage', self._header(stamp_ns), 'jpeg', jpeg)

    def camera_info(
        self, stamp_ns: int, K: np.ndarray, size: tuple[int, int], camera: dict[str, Any] | None
    ) -> Any:
        """sensor_msgs/CameraInfo. `camera`: lens and distortion of the clip's metadata."""
        distortion = np.array((camera or {}).get('distortion', []), float)
        fisheye = (camera or {}).get('lens') == FISHEYE
        model = 'equidistant' if fisheye else 'rational_polynomial' if len(distortion) > 5 else 'plumb_bob'
        if not len(distortion):
            distortion = np.zeros(5)
        region = self._new('sensor_msgs/msg/RegionOfInterest', 0, 0, 0, 0, False)
        P = np.column_stack([K, np.zeros(3)])
        parts = K.reshape(9), np.eye(3).reshape(9), P.reshape(12)
        header, (width, height) = self._header(stamp_ns), size
        kind = 'sensor_msgs/msg/CameraInfo'
        return self._new(kind, header, height, width, model, distortion, *parts, 0, 0, region)

    def keypoints(self, stamp_ns: int, hands: Sequence[HandLabels]) -> Any:
        """sensor_msgs/PointCloud2 of the keypoints of all metric hands, with _FIELDS."""
        rows = [
            np.column_stack(
                [
                    np.asarray(hand.kp3d),
                    np.full((21, 2), (float(hand.side), hand.track_id)),
                    np.arange(21),
                    np.full(21, hand.confidence),
                    hand.kp_stddev[:, 0],
                ]
            )
            for hand in hands
        ]
        data = np.concatenate(rows or [np.empty((0, len(_FIELDS)))]).astype('<f4')
        fields = [
            self._new('sensor_msgs/msg/PointField', name, 4 * k, _FLOAT32, 1)
            for k, name in enumerate(_FIELDS)
        ]
        step, raw = 4 * len(_FIELDS), np.frombuffer(data.tobytes(), np.uint8)
        layout = 1, len(data), fields, False, step, step * len(data), raw, True
        return self._new('sensor_msgs/msg/PointCloud2', self._header(stamp_ns), *layout)

    def markers(self, stamp_ns: int, hands: Sequence[HandLabels]) -> Any:
        """visualization_msgs/MarkerArray: the old ones are deleted, a skeleton for each metric hand."""
        found = [self._marker(stamp_ns, 0, _DELETE_ALL, np.empty((0, 3)), (0.0, 0.0, 0.0), 0.0)]
        for hand in hands:
            ends = np.asarray(hand.kp3d)[KEYPOINT_EDGES].reshape(-1, 3)
            alpha = 1.0 if hand.observed else 0.4
            found.append(
                self._marker(stamp_ns, hand.track_id, _ADD, ends, _COLOURS[hand.side == LEFT], alpha)
            )
        return self._new('visualization_msgs/msg/MarkerArray', found)

    def transforms(self, stamp_ns: int, hands: Sequence[HandLabels]) -> Any:
        """tf2_msgs/TFMessage: the wrist frames of metric hands in the camera's."""
        found = []
        for hand in hands:
            translation = self._new('geometry_msgs/msg/Vector3', *np.asarray(hand.wrist_position).tolist())
            transform = self._new('geometry_msgs/msg/Transform', translation, self._rotation(hand))
            child = f'hand_{hand.track_id}_{hand.side}'
            header = self._header(stamp_ns)
            found.append(self._new('geometry_msgs/msg/TransformStamped', header, child, transform))
        return self._new('tf2_msgs/msg/TFMessage', found)

    def camera_pose(self, stamp_ns: int, pose: Sequence[float]) -> Any:
        """tf2_msgs/TFMessage: the camera, x, y, z m and quaternion x, y, z, w, in the world."""
        translation = self._new('geometry_msgs/msg/Vector3', *pose[:3])
        rotation = self._new('geometry_msgs/msg/Quaternion', *pose[3:])
        transform = self._new('geometry_msgs/msg/Transform', translation, rotation)
        header = self._header(stamp_ns, WORLD_FRAME)
        stamped = self._new('geometry_msgs/msg/TransformStamped', header, CAMERA_FRAME, transform)
        return self._new('tf2_msgs/msg/TFMessage', [stamped])

    def wrist(self, stamp_ns: int, hand: HandLabels) -> Any:
        """geometry_msgs/PoseStamped of a metric hand's wrist."""
        position = self._new('geometry_msgs/msg/Point', *np.asarray(hand.wrist_position).tolist())
        pose = self._new('geometry_msgs/msg/Pose', position, self._rotation(hand))
        return self._new('geometry_msgs/msg/PoseStamped', self._header(stamp_ns), pose)

    def number(self, value: float) -> Any:
        """std_msgs/Float32."""
        return self._new('std_msgs/msg/Float32', float(value))

    def _marker(
        self,
        stamp_ns: int,
        id: int,
        action: int,
        points: np.ndarray,
        colour: tuple[float, float, float],
        alpha: float,
    ) -> Any:
        new = self._new
        zero = new('geometry_msgs/msg/Point', 0.0, 0.0, 0.0)
        pose = new('geometry_msgs/msg/Pose', zero, new('geometry_msgs/msg/Quaternion', 0.0, 0.0, 0.0, 1.0))
        return new(
            'visualization_msgs/msg/Marker',
            header=self._header(stamp_ns),
            ns='skeleton',
            id=id,
            type=_LINE_LIST,
            action=action,
            pose=pose,
            scale=new('geometry_msgs/msg/Vector3', 0.004, 0.0, 0.0),
            color=new('std_msgs/msg/ColorRGBA', *colour, alpha),
            lifetime=new('builtin_interfaces/msg/Duration', 0, 0),
            frame_locked=False,
            points=[new('geometry_msgs/msg/Point', *point) for point in points.tolist()],
            colors=[],
            texture_resource='',
            texture=new('sensor_msgs/msg/CompressedImage', self._header(stamp_ns), '', np.empty(0, np.uint8)),
            uv_coordinates=[],
            text='',
            mesh_resource='',
            mesh_file=new('visualization_msgs/msg/MeshFile', '', np.empty(0, np.uint8)),
            mesh_use_embedded_materials=False,
        )

    def _rotation(self, hand: HandLabels) -> Any:
        return self._new('geometry_msgs/msg/Quaternion', *matrix_to_quaternion(hand.wrist_rotation).tolist())

    def _header(self, stamp_ns: int, frame: str = CAMERA_FRAME) -> Any:
        stamp = self._new('builtin_interfaces/msg/Time', *divmod(stamp_ns, 1_000_000_000))
        return self._new('std_msgs/msg/Header', stamp, frame)

    def _new(self, kind: str, *values: Any, **fields: Any) -> Any:
        return self._types[kind](*values, **fields)
