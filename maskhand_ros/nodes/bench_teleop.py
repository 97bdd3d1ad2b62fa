"""The teleop_node of `maskhand bench --ros --teleop`: one more process, and the robot before it."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from maskhand_ros.nodes import processes
from maskhand_ros.nodes.messages import stamp_to_ns
from maskhand_ros.retargeting import Retargeter, RetargetingConfig

STAGES = 'hand to targets', 'image to command'
"""Stages of teleop_node's diagnostics: from the message of hands to the targets of the joints, and from the
stamp of the image to the first command that follows it, published."""
SIDE = 'left'
"""Of the hand that is followed: with one hand or two, bench_camera shows a left one."""
SHARES = 'p50', 'p95', 'p99'
REPORT_SECONDS = 0.02


def start_teleop() -> processes.Process:
    """Starts teleop_node with the shipped hand, engaged as soon as it can, and brings it up."""
    robot = RetargetingConfig.shipped(f'allegro_{SIDE}').robot_path
    parameters = {'robot': str(robot), 'side': SIDE, 'dead_man': False}
    process = processes.start('teleop_node', parameters, remappings={'hands': '/hand_node/hands'})
    processes.bring_up(process, 'teleop_node')
    return process


class BenchRobot(Node):
    """A robot that is where it was commanded; notes how long commands are on the way."""

    def __init__(self) -> None:
        super().__init__('bench_robot')
        retargeter = Retargeter.shipped(f'allegro_{SIDE}')
        joints, start = retargeter.joint_names, np.clip(0.0, *retargeter.limits[:2])
        self._state = JointState(name=joints, position=start.tolist())
        self._ways: list[float] = []
        self._publisher = self.create_publisher(JointState, 'joint_states', 10)
        self.create_subscription(JointState, '/teleop_node/joint_states', self._on_command, 10)
        self.create_timer(REPORT_SECONDS, lambda: self._publisher.publish(self._state))

    def _on_command(self, msg: JointState) -> None:
        self._ways.append((time.time_ns() - stamp_to_ns(msg.header.stamp)) * 1e-9)
        self._state = JointState(name=msg.name, position=msg.position)

    def figures(self, diagnostics: dict[str, str]) -> dict[str, Any]:
        """{name: figure}: times of teleop_node's `diagnostics` and of the commands here, ms, and the load of
        the machine."""
        times = {
            stage: {share: float(diagnostics[f'{stage} {share} (ms)']) for share in SHARES}
            for stage in STAGES
            if f'{stage} p50 (ms)' in diagnostics
        }
        if self._ways:
            percentiles = np.percentile(self._ways, [50, 95, 99]) * 1e3
            times['command on the way'] = dict(zip(SHARES, percentiles.tolist(), strict=True))
        state = diagnostics.get('state', ''), diagnostics.get('reason', '')
        load = os.getloadavg()[0]
        return {'times_ms': times, 'commands': len(self._ways), 'state': ': '.join(state), 'load_1_min': load}


def teleop_table(figures: dict[str, Any]) -> str:
    """The figures of BenchRobot as text."""
    lines = [f'{"teleop_node, ms":<20}' + ''.join(f'{share:>9}' for share in SHARES)]
    for stage, times in figures['times_ms'].items():
        lines.append(f'{stage:<20}' + ''.join(f'{times[share]:>9.1f}' for share in SHARES))
    foot = f'{figures["commands"]} commands; at the end {figures["state"]}'
    return '\n'.join(['', *lines, foot, f'load of the machine {figures["load_1_min"]:.1f}'])
