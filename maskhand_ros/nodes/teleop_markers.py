"""visualization_msgs/MarkerArray of teleop_node: the workspace, the tool's target with its axes, the
state."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from maskhand_ros.nodes.messages import to_duration, to_point
from maskhand_ros.teleoperation.records import ENGAGED, ENGAGING, HOLDING, Pose, State

LIFETIME = 0.5
"""Seconds after which a viewer deletes markers that are not published again."""
AXIS = 0.1
"""Length of the axes of the target, metres."""
COLOURS = {ENGAGED: (0.1, 0.8, 0.1), ENGAGING: (0.9, 0.8, 0.1), HOLDING: (0.9, 0.4, 0.1)}
"""Of the states; DISENGAGED is grey."""


def teleop_markers(
    header: Header, workspace: tuple[float, ...], target: Pose, state: State, reason: str
) -> MarkerArray:
    """Markers in the base frame of the `header`. `workspace`: lowest x, y, z, highest x, y, z; `target`: pose
    of the tool."""
    colour = COLOURS.get(state, (0.6, 0.6, 0.6))
    lowest, highest = np.array(workspace[:3]), np.array(workspace[3:])
    box = _marker(header, 'workspace', Marker.CUBE, highest - lowest, colour, 0.12)
    box.pose.position = to_point((lowest + highest) / 2)
    axes = _marker(header, 'target', Marker.LINE_LIST, np.array([0.006, 0.0, 0.0]), colour, 1.0)
    for axis, shade in zip(target.rotation.T, np.eye(3).tolist(), strict=True):
        axes.points += [to_point(target.position), to_point(target.position + AXIS * axis)]
        axes.colors += [ColorRGBA(r=shade[0], g=shade[1], b=shade[2], a=1.0)] * 2
    text = _marker(header, 'state', Marker.TEXT_VIEW_FACING, np.array([0.0, 0.0, 0.03]), colour, 1.0)
    text.pose.position = to_point(target.position + [0.0, 0.0, AXIS])
    text.text = f'{state}: {reason}'
    return MarkerArray(markers=[box, axes, text])


def _marker(
    header: Header, name: str, kind: int, scale: np.ndarray, colour: tuple[float, float, float], alpha: float
) -> Marker:
    red, green, blue = colour
    x, y, z = scale.tolist()
    marker = Marker(header=header, ns=name, type=kind, action=Marker.ADD, lifetime=to_duration(LIFETIME))
    marker.pose.orientation.w = 1.0
    marker.scale, marker.color = Vector3(x=x, y=y, z=z), ColorRGBA(r=red, g=green, b=blue, a=alpha)
    return marker
