"""Names of frames as tf2 takes them: not empty, and without a leading slash.

Source: BufferCore::validateFrameId of geometry2, and https://wiki.ros.org/tf2/Migration. tf2 refuses nothing
else. Drivers and bags of ROS 1 have names with a slash.
"""

from __future__ import annotations

from maskhand_ros.errors import BadInput
from maskhand_ros.option import short


def tf2_name(frame_id: str) -> str:
    """The name of the frame in tf2: without leading slashes; '' for a name that has nothing but white
    space."""
    name = frame_id.lstrip('/')
    return name if name.strip() else ''


def camera_frame(frame_id: str, override: str) -> tuple[str, BadInput | None]:
    """Name of the camera's frame: that of `override` (the parameter camera_frame) where it is set, else that
    of `frame_id` in an image message; '' where there is none. With it, what is wrong with it, if anything."""
    field, given = ('camera_frame', override) if override else ('header.frame_id', frame_id)
    name, seen = tf2_name(given), f'{field} is {short(given)}'
    if not name:
        return '', BadInput(
            'empty frame_id',
            seen,
            'Without TF, wrist poses, markers and points: set the parameter `camera_frame`, or frame_id in '
            'the camera driver',
        )
    if name != given:
        remedy = f'{short(name)} is published: tf2 refuses the slash. Set {field} without it'
        if not override:
            remedy += ' in the camera driver, or the parameter `camera_frame`'
        return name, BadInput('frame_id with a leading slash', seen, remedy)
    if name != name.strip() or not name.isprintable():
        remedy = 'For tf2 it is another frame than one without: set the parameter `camera_frame`'
        return name, BadInput('frame_id with white space or control characters', seen, remedy)
    return name, None
