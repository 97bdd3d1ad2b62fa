"""Message types for rosbags, without rclpy."""

from __future__ import annotations

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from maskhand_ros.nodes.shared_files import share_path


def typestore() -> Typestore:
    """The rosbags types of ROS 2 and of maskhand_ros's messages."""
    store = get_typestore(Stores.ROS2_KILTED)
    for path in sorted(share_path('msg').glob('*.msg')):
        store.register(get_types_from_msg(path.read_text(), f'maskhand_ros/msg/{path.stem}'))
    return store
