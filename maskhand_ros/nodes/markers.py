"""Hands as visualization_msgs/MarkerArray: a mesh and a skeleton each, gone 0.2 s after the last picture."""
from __future__ import annotations

from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from maskhand_ros.nodes.messages import to_duration, to_point, to_pose
from maskhand_ros.perception.types import RIGHT
from maskhand_ros.skeleton import KEYPOINT_EDGES

LIFETIME = 0.2
"""Seconds; a viewer forgets a hand that is not sent again."""

_COLOURS = {True: (0.43, 0.66, 1.0), False: (0.98, 0.65, 0.38)}      # right, left


class HandMarkers:
    """Builds the markers of each picture and deletes those of hands that are gone."""

    def __init__(self, hand_model):
        self._faces = {True: hand_model.faces.reshape(-1).tolist(), False: hand_model.faces_left.reshape(-1).tolist()}
        self._shown = set()

    def build(self, hands, header):
        """Markers of the placed hands, and DELETE for hands that were shown before and are not among them."""
        placed = [hand for hand in hands if hand.wrist_position is not None]
        ids = {hand.id for hand in placed}
        markers = [Marker(header=header, ns=ns, id=gone, action=Marker.DELETE)
                   for gone in sorted(self._shown - ids) for ns in ('mesh', 'skeleton')]
        self._shown = ids
        for hand in placed:
            markers += [self._mesh(hand, header), self._skeleton(hand, header)]
        return MarkerArray(markers=markers)

    def clear(self, header):
        """DELETE for everything shown."""
        return self.build([], header)

    def _mesh(self, hand, header):
        marker = _marker(hand, header, 'mesh', Marker.TRIANGLE_LIST, (1., 1., 1.), 0.85)
        vertices = [to_point(v) for v in hand.vertices]
        # Each vertex is one Point object that its triangles share: building is ten times faster than a Point per corner.
        marker.points = [vertices[v] for v in self._faces[hand.side == RIGHT]]
        return marker

    def _skeleton(self, hand, header):
        marker = _marker(hand, header, 'skeleton', Marker.LINE_LIST, (0.003, 0., 0.), 1.)
        points = [to_point(p) for p in hand.keypoints_wrist]
        marker.points = [points[k] for k in KEYPOINT_EDGES.reshape(-1)]
        return marker


def _marker(hand, header, ns, kind, scale, alpha):
    """A marker in the wrist frame, placed by its pose (header.frame_id is the camera's)."""
    red, green, blue = _COLOURS[hand.side == RIGHT]
    return Marker(header=header, ns=ns, id=int(hand.id), type=kind, action=Marker.ADD,
                  pose=to_pose(hand.wrist_position, hand.wrist_rotation), scale=Vector3(x=scale[0], y=scale[1], z=scale[2]),
                  color=ColorRGBA(r=red, g=green, b=blue, a=alpha), lifetime=to_duration(LIFETIME))
