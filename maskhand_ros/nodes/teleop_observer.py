"""Observer of a run of `maskhand teleop --ros`: video, states and delay of teleop_node, the cube."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from maskhand_ros.nodes.images import decode_image
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.sim_node import CUBE
from maskhand_ros.options import default
from maskhand_ros.side_by_side import PANE, fit, write
from maskhand_ros.video_writer import VideoWriter

STAGES = 'hand to targets', 'image to command'
SHARES = 'p50', 'p95', 'p99'


class TeleopObserver:
    """Subscriptions of its `node`, and the video. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """`path` of the video."""
        self.node = Node('teleop_observer')
        self._writer = VideoWriter(path, 2 * PANE[0], PANE[1], 10.0)
        self._operator = np.zeros((PANE[1], PANE[0], 3), np.uint8)
        self._states: list[tuple[float, str, str]] = []
        self._values: dict[str, str] = {}
        self._heights: list[float] = []
        self._began = time.monotonic()
        for kind, topic, callback, qos in (
            (Image, '/image', self._on_image, 1),
            (Image, '/sim_node/view', self._on_view, 1),
            (DiagnosticStatus, '/teleop_node/state', self._on_state, LATCHED),
            (DiagnosticArray, '/diagnostics', self._on_diagnostics, 10),
            (TFMessage, '/tf', self._on_tf, 10),
        ):
            self.node.create_subscription(kind, topic, callback, qos)

    def __enter__(self) -> TeleopObserver:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self.node.destroy_node()

    def report(self) -> dict[str, Any]:
        """{name: figure}: times in ms, heights in mm."""
        end = time.monotonic() - self._began
        seconds: dict[str, float] = {}
        for (since, state, _), (until, _, _) in zip(
            self._states, [*self._states[1:], (end, '', '')], strict=True
        ):
            seconds[state] = seconds.get(state, 0.0) + until - since
        before = [state for _, state, _ in self._states]
        losses = Counter(
            reason.split(';')[0].split(':')[0]
            for last, (_, state, reason) in zip(['', *before], self._states, strict=False)
            if last in ('engaging', 'engaged') and state in ('holding', 'disengaged')
        )
        times = {
            stage: {share: float(self._values[f'{stage} {share} (ms)']) for share in SHARES}
            for stage in STAGES
            if f'{stage} p50 (ms)' in self._values
        }
        start, highest, last = (
            (self._heights[0], max(self._heights), self._heights[-1]) if self._heights else (0.0, 0.0, 0.0)
        )
        return {
            'seconds_in_state': {state: round(spent, 2) for state, spent in seconds.items()},
            'losses': dict(losses),
            'refused': {
                key.removesuffix(': count'): int(value)
                for key, value in self._values.items()
                if key.endswith(': count')
            },
            'times_ms': times,
            'cube_highest_mm': 1e3 * (highest - start),
            'cube_at_the_end_mm': 1e3 * (last - start),
            'load_1_min': os.getloadavg()[0],
        }

    def _on_image(self, msg: Image) -> None:
        self._operator = fit(decode_image(msg, default('max_image_pixels')))

    def _on_view(self, msg: Image) -> None:
        robot = fit(decode_image(msg, default('max_image_pixels')))
        both, now = np.hstack([self._operator, robot]), time.monotonic() - self._began
        said = ': '.join(self._states[-1][1:]) if self._states else ''
        write(both, f'{now:6.2f} s', (8, 20))
        write(both, said[:70], (8, PANE[1] - 10))
        self._writer.write(both, round(now * 1e9))

    def _on_state(self, msg: DiagnosticStatus) -> None:
        values = {value.key: value.value for value in msg.values}
        told = values['state'], values['reason']
        if not self._states or self._states[-1][1:] != told:
            self._states.append((time.monotonic() - self._began, *told))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.startswith('teleop_node'):
                self._values.update((value.key, value.value) for value in status.values)

    def _on_tf(self, msg: TFMessage) -> None:
        self._heights += [
            each.transform.translation.z for each in msg.transforms if each.child_frame_id == CUBE
        ]


def table(report: dict[str, Any]) -> str:
    """The figures of a TeleopObserver as text."""
    lines = [f'{"ms":<20}' + ''.join(f'{share:>9}' for share in SHARES)]
    for stage, times in report['times_ms'].items():
        lines.append(f'{stage:<20}' + ''.join(f'{times[share]:>9.1f}' for share in SHARES))
    for name in ('seconds_in_state', 'losses', 'refused'):
        said = ', '.join(f'{key} {value}' for key, value in report[name].items())
        lines.append(f'{name.replace("_", " ")}: {said or "none"}')
    lines.append(
        f'cube: lifted by {report["cube_highest_mm"]:.0f} mm, at the end by '
        f'{report["cube_at_the_end_mm"]:.0f} mm'
    )
    return '\n'.join([*lines, f'load of the machine {report["load_1_min"]:.1f}'])
