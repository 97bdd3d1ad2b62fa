"""visualization_msgs/MarkerArray of hands: a mesh and a skeleton each, deleted 0.2 s after the last image."""

from __future__ import annotations

import struct

import numpy as np
from geometry_msgs.msg import Point, Vector3
from rclpy.serialization import serialize_message
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.nodes.messages import to_duration, to_point, to_pose
from maskhand_ros.perception.overlay import FINGER_COLOURS, MESH_COLOURS
from maskhand_ros.perception.types import PREDICTED, Hand
from maskhand_ros.skeleton import KEYPOINT_EDGES, LEFT, RIGHT

LIFETIME = 0.2
"""Seconds after which a viewer deletes a hand that is not published again."""

_PLACEHOLDERS = 3
"""Points in a mesh marker that are replaced by the corners after serialization."""

_MESH_ALPHA = 0.6
"""Opacity of a mesh: the skeleton inside is visible."""

_PREDICTED_ALPHA = 0.35
"""Factor on the opacity of a PREDICTED hand."""


class HandMarkers:
    """Builder of the markers of each image; deletes those of lost hands."""

    def __init__(self, hand_model: HandModel) -> None:
        self._faces = {RIGHT: hand_model.faces, LEFT: hand_model.faces_left}
        self._shown: set[int] = set()

    def build(self, hands: list[Hand], header: Header) -> bytes:
        """Serialized MarkerArray (for `publish`): the hands with a metric position, and DELETE for hands that
        were in the last one and are not in this.

        A mesh is ten thousand Points, which take 15 ms a hand as Python objects. So rclpy serializes the
        message with placeholders, and the corners are inserted into the bytes.
        """
        placed = [hand for hand in hands if hand.wrist_position is not None]
        ids = {hand.id for hand in placed}
        markers = [
            Marker(header=header, ns=ns, id=gone, action=Marker.DELETE)
            for gone in sorted(self._shown - ids)
            for ns in ('mesh', 'skeleton')
        ]
        self._shown = ids
        for number, hand in enumerate(placed):
            markers += [_mesh(hand, header, number), _skeleton(hand, header)]
        data = serialize_message(MarkerArray(markers=markers))
        for number, hand in enumerate(placed):
            data = _fill_in(data, number, _corners(hand, self._faces[hand.side]))
        return data


def _mesh(hand: Hand, header: Header, number: int) -> Marker:
    """Mesh marker `number` of the message, with placeholders for its points."""
    marker = _marker(hand, header, 'mesh', Marker.TRIANGLE_LIST, (1.0, 1.0, 1.0), _MESH_ALPHA)
    x, y, z = _placeholder(number)
    marker.points = [Point(x=x, y=y, z=z)] * _PLACEHOLDERS
    return marker


def _corners(hand: Hand, faces: np.ndarray) -> np.ndarray:
    """Corners (3 F, 3) of the triangles `faces` (F, 3) in the wrist frame, the farthest from the camera
    first.

    RViz draws the triangles of a transparent marker in the given order without a depth test between them:
    in another order the far side of the hand covers the near one.
    """
    depth = (hand.vertices @ hand.wrist_rotation[2])[faces].sum(axis=1)
    corners: np.ndarray = hand.vertices[faces[np.argsort(-depth)].reshape(-1)]
    return corners


def _skeleton(hand: Hand, header: Header) -> Marker:
    marker = _marker(hand, header, 'skeleton', Marker.LINE_LIST, (0.003, 0.0, 0.0), 1.0)
    points = [to_point(p) for p in hand.keypoints_wrist]
    marker.points = [points[k] for k in KEYPOINT_EDGES.reshape(-1)]
    fingers = [ColorRGBA(r=r, g=g, b=b, a=marker.color.a) for r, g, b in FINGER_COLOURS / 255]
    marker.colors = [colour for colour in fingers for _ in range(len(marker.points) // len(fingers))]
    return marker


def _placeholder(number: int) -> tuple[float, float, float]:
    """Placeholder point of mesh `number`, which no real hand contains (6e12 m)."""
    return 6e12 + number, -7e12, 8e12


def _fill_in(data: bytes, number: int, points: np.ndarray) -> bytes:
    """CDR bytes with the placeholders of mesh `number` replaced by points (N, 3).

    A Point has 24 bytes, a multiple of every alignment, so the padding after the sequence is unchanged.
    """
    old = struct.pack('=3d', *_placeholder(number)) * _PLACEHOLDERS
    at = data.index(old)
    count = struct.pack('=I', _PLACEHOLDERS)
    # padding may lie between the length and the points
    length = at - 4 if data[at - 4 : at] == count else at - 8
    if data[length : length + 4] != count:
        raise ValueError(
            'a serialized Marker does not look as expected: report this with the RMW implementation in use'
        )
    new = np.ascontiguousarray(points, np.float64)
    return b''.join(
        [
            data[:length],
            struct.pack('=I', len(new)),
            data[length + 4 : at],
            new.tobytes(),
            data[at + len(old) :],
        ]
    )


def _marker(
    hand: Hand, header: Header, ns: str, kind: int, scale: tuple[float, float, float], alpha: float
) -> Marker:
    """A marker whose points are in the wrist frame; its pose is the wrist's in the frame of `header`."""
    assert hand.wrist_position is not None  # it has a metric position
    red, green, blue = (channel / 255 for channel in MESH_COLOURS[hand.side])
    alpha *= _PREDICTED_ALPHA if hand.state == PREDICTED else 1
    return Marker(
        header=header,
        ns=ns,
        id=int(hand.id),
        type=kind,
        action=Marker.ADD,
        pose=to_pose(hand.wrist_position, hand.wrist_rotation),
        scale=Vector3(x=scale[0], y=scale[1], z=scale[2]),
        color=ColorRGBA(r=red, g=green, b=blue, a=alpha),
        lifetime=to_duration(LIFETIME),
    )
