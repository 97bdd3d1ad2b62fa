"""The topic ~/state of teleop_node: state of the engagement and its reason, as
diagnostic_msgs/DiagnosticStatus."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.statuses import OK, WARN
from maskhand_ros.teleoperation.records import DISENGAGED, HOLDING, State

REPEAT = 0.1
"""Seconds after which a state that stays is told again: who hears nothing knows that the node is gone."""


class StateTopic:
    """Publishes every change at once, and the state again and again; latched, in every state of the
    lifecycle."""

    def __init__(self, node: Node) -> None:
        self._context = node.context
        self._name = f'{node.get_name()}: state'
        self._publisher = node.create_publisher(DiagnosticStatus, '~/state', LATCHED)
        self._told: tuple[State, str] | None = None
        self._told_at = 0.0

    def tell(self, state: State, reason: str) -> None:
        """Publishes a state and its reason. `message` is both; HOLDING is a WARN."""
        now = time.monotonic()
        repeated = (state, reason) == self._told and now - self._told_at < REPEAT
        if repeated or not self._context.ok():  # not ok: a signal ends the process
            return
        self._told, self._told_at = (state, reason), now
        values = [KeyValue(key='state', value=str(state)), KeyValue(key='reason', value=reason)]
        level = WARN if state in (HOLDING, DISENGAGED) else OK
        message = f'{state}: {reason}'
        self._publisher.publish(
            DiagnosticStatus(level=level, name=self._name, message=message, values=values)
        )
