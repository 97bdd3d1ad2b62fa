"""`maskhand bench --ros`: latency, losses and CPU of a camera, hand_node and a listener, three processes."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from maskhand_ros.cli_arguments import pipeline_options
from maskhand_ros.msg import HandArray
from maskhand_ros.nodes import processes
from maskhand_ros.nodes.messages import stamp_to_ns

WARM_UP_FRAMES = 30
"""Neither timed nor expected to arrive: the tracker finds its hands, and the middleware its peers."""

FEWEST_FRAMES = 30

AROUND = 'wait', 'decode', 'publish', 'total'
"""Stages of hand_node that are not the pipeline's."""

AFTER = 1.5
"""Seconds after the last picture: for its answer, and for diagnostics that count it."""


class Listener(Node):
    """Hears what hand_node says: `answers` {stamp of the image in ns: (arrival in ns, processing time in s,
    hands)}, `told` {key: value} of its last diagnostics."""

    def __init__(self):
        super().__init__('listener')
        self.answers, self.told = {}, {}
        self.create_subscription(HandArray, '/hand_node/hands', self._hear, 10)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._be_told, 10)

    def _hear(self, msg):
        took = msg.processing_time.sec + msg.processing_time.nanosec * 1e-9
        self.answers[stamp_to_ns(msg.header.stamp)] = time.time_ns(), took, len(msg.hands)

    def _be_told(self, msg):
        self.told.update((value.key, value.value) for status in msg.status for value in status.values)


def measure(args, width, height):
    """Plays `args.frames` pictures of width x height through the graph; the figures of `summarise`.

    `args`: the command line of `maskhand bench`. Raises ModelError where a process does not do its part.
    """
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
            environment = [processes.our_profile()] if args.fastdds == 'node' else []
            children['hand_node'] = processes.start('hand_node', pipeline_options(args), *environment)
            processes.bring_up(children['hand_node'])
            listener = Listener()
            children['camera'] = processes.start('bench_camera', camera)
            cpu = _listen(listener, children)
            listener.destroy_node()
        processes.expect(player_report.exists(), 'the camera ended without a report', 'see its message above')
        stamps = json.loads(player_report.read_text())['stamps_ns']
        processes.expect(len(stamps) == camera['frames'], 'the camera ended early', 'see its message above')
    named = {name: getattr(args, name) for name in ('hands', 'fastdds', 'camera_qos', 'threads')}
    return {
        'size': f'{width}x{height}',
        **named,
        **summarise(np.array(stamps), listener.answers, listener.told, cpu),
    }


def summarise(stamps, answers, told, cpu):
    """The figures of a run: times in milliseconds, CPU in cores; None for what there is nothing of.

    `stamps` (N,) ns of the pictures sent; `answers`, `told`: the Listener's; `cpu`: {name: seconds of CPU}
    with `time` in ns, sampled on the way.
    """
    begin = stamps[WARM_UP_FRAMES]
    timed = [(stamp, *answers[stamp]) for stamp in stamps.tolist() if stamp >= begin and stamp in answers]
    latency = np.array([arrival - stamp for stamp, arrival, *_ in timed]) * 1e-6
    took, hands = np.array([rest for _, _, *rest in timed]).reshape(-1, 2).T
    first, last = next(sample for sample in cpu if sample['time'] >= begin), cpu[-1]
    span = (last['time'] - first['time']) * 1e-9
    stages = _stages(told)
    pipeline = sum(times['p50'] for stage, times in stages.items() if stage not in AROUND)
    around = sum(stages[stage]['p50'] for stage in ('decode', 'publish')) if stages else 0.0
    return {
        'frames': {
            'sent': len(stamps) - WARM_UP_FRAMES,
            'rate_hz': 1e9 * (len(stamps) - 1) / float(stamps[-1] - stamps[0]),
            'processed': len(timed),
            'dropped': int(told.get('dropped', 0)),
            'lost': int(told.get('lost', 0)),
        },
        'mean_hands': float(hands.mean()) if len(hands) else None,
        'latency_ms': _percentiles(latency),
        'node_ms': _percentiles(took * 1e3),
        'on_the_way_ms': _percentiles(latency - took * 1e3),
        'stages_ms': stages,
        'node_over_pipeline': (around + pipeline) / pipeline if pipeline else None,
        'cpu_cores': {name: (last[name] - first[name]) / span for name in last if name != 'time'},
    }


def table(report):
    """The figures as text."""
    frames, keys = report['frames'], ('p50', 'p95', 'p99')
    rows = [
        ('latency', report['latency_ms']),
        ('= node', report['node_ms']),
        ('+ on the way', report['on_the_way_ms']),
        *report['stages_ms'].items(),
    ]
    cores = ', '.join(f'{name} {used:.2f}' for name, used in report['cpu_cores'].items())
    ratio, hands = report['node_over_pipeline'], report['mean_hands']
    return '\n'.join(
        [
            f'{frames["sent"]} frames of {report["size"]} at {frames["rate_hz"]:.1f} Hz, a '
            f'{report["camera_qos"]} camera, Fast DDS profile: {report["fastdds"]}',
            f'{frames["processed"]} processed ({100 * frames["processed"] / frames["sent"]:.1f} %), '
            f'{frames["dropped"]} dropped for newer ones, {frames["lost"]} lost on the way (of all, with '
            f'{WARM_UP_FRAMES} to warm up); '
            f'{_number(hands, ".2f")} hands found on average',
            '',
            f'{"ms":<14}' + ''.join(f'{key:>9}' for key in keys),
            *(f'{name:<14}' + ''.join(f'{_number(t.get(k), ".1f"):>9}' for k in keys) for name, t in rows),
            '',
            f'node over pipeline {_number(ratio, ".2f")}; CPU in cores: {cores}',
        ]
    )


def _listen(listener, children):
    """Until the camera has ended and its last picture is answered; the CPU used on the way, by process."""
    executor, samples = SingleThreadedExecutor(), []
    executor.add_node(listener)
    pids = {name: process.pid for name, process in children.items()} | {'listener': os.getpid()}
    running = True
    while running:
        samples.append({'time': time.time_ns(), **{name: cpu_seconds(pid) for name, pid in pids.items()}})
        _spin(executor, 0.1)
        processes.expect_running(children, 'hand_node')
        running = children['camera'].poll() is None
    _spin(executor, AFTER)
    executor.shutdown()
    return samples


def _spin(executor, seconds):
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def cpu_seconds(pid):
    """User and system time of a process so far."""
    # The name, in brackets, may hold spaces: what follows it are the fields from the third on.
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')


def _stages(told):
    """{stage: {'p50': ms, ...}} of hand_node's diagnostics."""
    stages = {}
    for key, value in told.items():
        match = re.fullmatch(r'(\w+) (p\d+) \(ms\)', key)
        if match:
            stages.setdefault(match[1], {})[match[2]] = float(value)
    return stages


def _percentiles(values):
    return {
        f'p{share}': float(np.percentile(values, share)) if len(values) else None for share in (50, 95, 99)
    }


def _number(value, form):
    return '-' if value is None else format(value, form)
