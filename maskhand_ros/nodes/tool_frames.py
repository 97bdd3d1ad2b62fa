"""Frames of the arm by TF: from the camera to the robot's base, and where the tool is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from maskhand_ros.errors import ModelError
from maskhand_ros.nodes.frame_names import tf2_name
from maskhand_ros.nodes.transforms import RigidTransform, TransformTree
from maskhand_ros.teleoperation.records import Pose


def frame_names(values: Mapping[str, Any]) -> tuple[str, str]:
    """The parameters base_frame and tool_frame; both are empty where no arm is moved. ModelError for one
    alone."""
    base, tool = values['base_frame'], values['tool_frame']
    if (base == '') != (tool == ''):
        raise ModelError('base_frame and tool_frame belong together', 'set both, or none (no arm)')
    return base, tool


class TimedTransformTree(TransformTree):
    """A TransformTree that knows when each moving frame was last heard."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[str, float] = {}

    def put_moving(self, msg: TFMessage) -> None:
        """Adds the transforms of a message on /tf (subscription callback)."""
        self.put(msg)
        now = time.monotonic()
        self._heard.update({tf2_name(each.child_frame_id): now for each in msg.transforms})

    def silence(self, target: str, source: str) -> float:
        """Seconds since the frame between `source` and `target` that was not heard for longest; 0 without
        moving ones."""
        of_target, of_source = self._ancestors(tf2_name(target)), self._ancestors(tf2_name(source))
        between = [*_before(of_source, of_target), *_before(of_target, of_source)]
        heard = [self._heard[frame] for frame in between if frame in self._heard]
        return time.monotonic() - min(heard) if heard else 0.0


def _before(chain: dict[str, RigidTransform], other: dict[str, RigidTransform]) -> Iterator[str]:
    """The frames of a chain of ancestors up to the first that is in the other."""
    for frame in chain:
        if frame in other:
            return
        yield frame


class ToolFrames:
    """Subscriptions to /tf and /tf_static, and what teleop_node needs of them."""

    def __init__(self, node: Node, base: str, tool: str, timeout: float) -> None:
        """`base`, `tool`: frame names; `timeout`: longest silence of the tool's frames, seconds."""
        self._node, self._base, self._tool, self._timeout = node, base, tool, timeout
        self._tree = TimedTransformTree()
        static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(TFMessage, '/tf_static', self._tree.put, static),
            node.create_subscription(TFMessage, '/tf', self._tree.put_moving, QoSProfile(depth=100)),
        ]

    def to_base(self, camera: str) -> RigidTransform | None:
        """The transform from a camera's frame to the base; None where TF does not connect them."""
        return self._tree.lookup(self._base, camera) if tf2_name(camera) else None

    def tool_pose(self) -> Pose | None:
        """The tool in the base frame; None where it is unknown, or not heard for the timeout."""
        found = self._tree.lookup(self._base, self._tool)
        if found is None or self._tree.silence(self._base, self._tool) > self._timeout:
            return None
        return Pose(np.array(found.translation), np.array(found.rotation))

    def close(self) -> None:
        """Destroys the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
