"""Messages of ROS 1 as those of ROS 2: Header has no `seq` there, and CameraInfo's K, D, R, P are small."""

from __future__ import annotations

import dataclasses
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from maskhand_ros.errors import CommandError


class Ros1ToCdr:
    """Converts serialized ROS 1 messages to CDR."""

    def __init__(self) -> None:
        self._old, self._new = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_JAZZY)
        self._old.register(
            get_types_from_msg('geometry_msgs/TransformStamped[] transforms', 'tf2_msgs/msg/TFMessage')
        )

    def __call__(self, data: bytes, msgtype: str) -> bytes:
        """CDR of a serialized ROS 1 message. CommandError for a type that both ROS do not share."""
        if msgtype not in self._new.types or msgtype not in self._old.types:
            raise CommandError(
                f'{msgtype} of ROS 1 has no counterpart here', 'convert the bag: rosbags-convert'
            )
        old = self._old.deserialize_ros1(data, msgtype)
        return bytes(self._new.serialize_cdr(self._converted(old, msgtype), msgtype))

    def _converted(self, old: Any, msgtype: str) -> Any:
        kind = self._new.types[msgtype]
        names = [field.name for field in dataclasses.fields(kind) if not field.name.startswith('__')]
        return kind(
            **{
                name: self._value(getattr(old, name if hasattr(old, name) else name.upper()))
                for name in names
            }
        )

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(each) for each in value]
        name = getattr(value, '__msgtype__', None)
        return value if name is None else self._converted(value, name)
