"""`maskhand bench --ros`: latency, losses and CPU of camera, hand_node and listener, three processes."""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node

from maskhand_ros.cli_arguments import node_parameters
from maskhand_ros.msg import HandArray
from maskhand_ros.nodes import processes
from maskhand_ros.nodes.messages import stamp_to_ns

WARM_UP_FRAMES = 30
"""Frames before the timed ones, in which the tracker finds the hands and the middleware its peers."""

FEWEST_FRAMES = 30

NODE_STAGES = 'wait', 'decode', 'publish', 'total'
"""Stages of hand_node outside the pipeline."""

DRAIN_SECONDS = 1.5
"""Seconds after the last image in which its hands and its diagnostics are received."""


Percentiles = dict[str, 'float | None']
"""{'p50', 'p95', 'p99'}, in milliseconds; None without values."""


class Answer(NamedTuple):
    """A received HandArray."""

    arrival_ns: int
    processing_seconds: float
    hands: int


@dataclass
class CpuSample:
    """CPU time of the processes at one time."""

    time_ns: int
    seconds: dict[str, float]
    """{process: user and system time}"""


class Listener(Node):
    """Subscriber of hand_node: `answers` {stamp of the image in ns: Answer}, and the last `diagnostics` {key:
    value}."""

    def __init__(self) -> None:
        super().__init__('listener')
        self.answers: dict[int, Answer] = {}
        self.diagnostics: dict[str, str] = {}
        self.create_subscription(HandArray, '/hand_node/hands', self._on_hands, 10)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def _on_hands(self, msg: HandArray) -> None:
        seconds = msg.processing_time.sec + msg.processing_time.nanosec * 1e-9
        self.answers[stamp_to_ns(msg.header.stamp)] = Answer(time.time_ns(), seconds, len(msg.hands))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.diagnostics.update((value.key, value.value) for status in msg.status for value in status.values)


def measure(args: argparse.Namespace, width: int, height: int) -> dict[str, Any]:
    """The figures of `summarise` for `args.frames` images of width x height px.

    `args`: the command line of `maskhand bench`. Raises ModelError if a process fails.
    """
    parameters = node_parameters(args)
    processes.prepare_environment(profile=args.fastdds == 'images')
    with tempfile.TemporaryDirectory() as temporary:
        player_report = Path(temporary) / 'camera.json'
        camera = {
            'width': width,
            'height': height,
            'hands': args.hands,
            'frames': WARM_UP_FRAMES + args.frames,
            'rate': args.rate,
            'wait_for_subscribers': 1,
            'report': str(player_report),
            'qos_overrides./image.publisher.reliability': args.camera_qos,
        }
        with processes.graph() as children:
            environment = [processes.fastdds_profile()] if args.fastdds == 'node' else []
            children['hand_node'] = processes.start('hand_node', parameters, *environment)
            processes.bring_up(children['hand_node'])
            listener, robot = Listener(), None
            if args.teleop:
                from maskhand_ros.nodes.bench_teleop import BenchRobot, start_teleop  # the extra teleop

                children['teleop_node'], robot = start_teleop(), BenchRobot()
            nodes: list[Node] = [listener] if robot is None else [listener, robot]
            children['camera'] = processes.start('bench_camera', camera)
            cpu = _listen(nodes, children)
            for node in nodes:
                node.destroy_node()
        processes.expect(player_report.exists(), 'the camera ended without a report')
        stamps = json.loads(player_report.read_text())['stamps_ns']
        processes.expect(len(stamps) == camera['frames'], 'the camera ended early')
    named = {name: getattr(args, name) for name in ('hands', 'fastdds', 'camera_qos', 'threads')}
    return {
        'size': f'{width}x{height}',
        **named,
        **summarise(np.array(stamps), listener.answers, listener.diagnostics, cpu),
        **({} if robot is None else {'teleop': robot.figures(listener.diagnostics)}),
    }


def summarise(
    stamps: np.ndarray, answers: dict[int, Answer], diagnostics: dict[str, str], cpu: list[CpuSample]
) -> dict[str, Any]:
    """{name: figure} of a run: times in milliseconds, CPU in cores; None where there is no value.

    `stamps` (N,) ns of the published images; `answers`, `diagnostics`: the Listener's; `cpu`: samples taken
    during the run.
    """
    begin = stamps[WARM_UP_FRAMES]
    timed = [(stamp, answers[stamp]) for stamp in stamps.tolist() if stamp >= begin and stamp in answers]
    latency = np.array([answer.arrival_ns - stamp for stamp, answer in timed]) * 1e-6
    processing = np.array([answer.processing_seconds for _, answer in timed]) * 1e3
    hands = [answer.hands for _, answer in timed]
    first, last = next(sample for sample in cpu if sample.time_ns >= begin), cpu[-1]
    span = (last.time_ns - first.time_ns) * 1e-9
    stages = _stages(diagnostics)
    pipeline = sum(times['p50'] for stage, times in stages.items() if stage not in NODE_STAGES)
    node = sum(stages[stage]['p50'] for stage in ('decode', 'publish')) if stages else 0.0
    return {
        'frames': {
            'sent': len(stamps) - WARM_UP_FRAMES,
            'rate_hz': 1e9 * (len(stamps) - 1) / float(stamps[-1] - stamps[0]),
            'processed': len(timed),
            'dropped': int(diagnostics.get('dropped', 0)),
            'lost': int(diagnostics.get('lost', 0)),
        },
        'mean_hands': float(np.mean(hands)) if hands else None,
        'latency_ms': _percentiles(latency),
        'node_ms': _percentiles(processing),
        'transport_ms': _percentiles(latency - processing),
        'stages_ms': stages,
        'node_over_pipeline': (node + pipeline) / pipeline if pipeline else None,
        'cpu_cores': {name: (last.seconds[name] - first.seconds[name]) / span for name in last.seconds},
    }


def table(report: dict[str, Any]) -> str:
    """The figures of `measure` as text."""
    frames, keys = report['frames'], ('p50', 'p95', 'p99')
    rows = [
        ('latency', report['latency_ms']),
        ('= node', report['node_ms']),
        ('+ transport', report['transport_ms']),
        *report['stages_ms'].items(),
    ]
    cores = ', '.join(f'{name} {used:.2f}' for name, used in report['cpu_cores'].items())
    ratio, hands = report['node_over_pipeline'], report['mean_hands']
    teleop = []
    if 'teleop' in report:
        from maskhand_ros.nodes.bench_teleop import teleop_table

        teleop = [teleop_table(report['teleop'])]
    return '\n'.join(
        [
            f'{frames["sent"]} frames of {report["size"]} at {frames["rate_hz"]:.1f} Hz, a '
            f'{report["camera_qos"]} camera, Fast DDS profile: {report["fastdds"]}',
            f'{frames["processed"]} processed ({100 * frames["processed"] / frames["sent"]:.1f} %), '
            f'{frames["dropped"]} dropped for newer ones, {frames["lost"]} lost by the middleware (of '
            f'all, with {WARM_UP_FRAMES} to warm up); '
            f'{_number(hands, ".2f")} hands found on average',
            '',
            f'{"ms":<14}' + ''.join(f'{key:>9}' for key in keys),
            *(f'{name:<14}' + ''.join(f'{_number(t.get(k), ".1f"):>9}' for k in keys) for name, t in rows),
            '',
            f'node over pipeline {_number(ratio, ".2f")}; CPU in cores: {cores}',
            *teleop,
        ]
    )


def _listen(nodes: list[Node], children: processes.Processes) -> list[CpuSample]:
    """Spins until the camera has ended and its last image is processed; returns samples of the CPU time."""
    executor = SingleThreadedExecutor()
    samples: list[CpuSample] = []
    for node in nodes:
        executor.add_node(node)
    pids = {name: process.pid for name, process in children.items()} | {'listener': os.getpid()}
    running = True
    while running:
        samples.append(CpuSample(time.time_ns(), {name: cpu_seconds(pid) for name, pid in pids.items()}))
        _spin(executor, 0.1)
        processes.expect_running(children, *(name for name in children if name != 'camera'))
        running = children['camera'].poll() is None
    _spin(executor, DRAIN_SECONDS)
    executor.shutdown()
    return samples


def _spin(executor: Executor, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def cpu_seconds(pid: int) -> float:
    """User and system time (s) of a process so far; proc(5)."""
    # The second field, a name in parentheses, may contain spaces.
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')


def _stages(diagnostics: dict[str, str]) -> dict[str, dict[str, float]]:
    """{stage: {'p50': ms, ...}} of hand_node's diagnostics."""
    stages: dict[str, dict[str, float]] = {}
    for key, value in diagnostics.items():
        match = re.fullmatch(r'(\w+) (p\d+) \(ms\)', key)
        if match:
            stages.setdefault(match[1], {})[match[2]] = float(value)
    return stages


def _percentiles(values: np.ndarray) -> Percentiles:
    """Percentiles of values (N,)."""
    return {
        f'p{share}': float(np.percentile(values, share)) if len(values) else None for share in (50, 95, 99)
    }


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else format(value, form)
