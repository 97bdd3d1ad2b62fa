"""Time of every stage on this machine, on frames of the bundled clip that show the asked number of hands.

With --ros the same images go through a ROS 2 graph of three processes: a camera, hand_node, and a listener
that receives ~/hands (this process). `latency` is from the image's stamp to the HandArray received; `node` is
HandArray.processing_time, from the image received to the answer written; `on the way` is the rest: image and
answer in the middleware. The stages are hand_node's own, from /diagnostics: `wait` is for the worker to be
free. `node over pipeline` is decode + pipeline + publish over the pipeline's stages alone (sums of medians;
without those two). CPU is in cores, user and system, while the images were played. Needs Linux (/proc).
With --teleop, `image to command` is from the image's stamp to the first joint command that follows it,
measured in teleop_node when that is published; `command on the way` is from there to this process.
With --peer mediapipe, MediaPipe Hands follows the hands in the same images, as a video and with its own
settings, in a process of its own. Ours and MediaPipe take turns, so that both see the same load.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.clip import clip_frames, read_clip
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation import peer
from maskhand_ros.option import short
from maskhand_ros.options import default
from maskhand_ros.perception.frame_checks import MAX_SIDE
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame

WARM_UP_FRAMES = 10
"""The tracker has found its hands when the clock starts."""

TURNS = 3
"""Times that each of both is measured with --peer."""


@dataclass
class Times:
    """Seconds of each frame, by stage (`total` is their sum and what lies between them), CPU seconds of all
    threads, and hands found."""

    stages: dict[str, list[float]] = field(default_factory=dict)
    cpu: list[float] = field(default_factory=list)
    hands: list[int] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--hands', type=int, choices=(1, 2), default=2, help='hands in the image (default 2)')
    parser.add_argument(
        '--size', type=size, default='640x480', metavar='WxH', help='of the images (default %(default)s)'
    )
    parser.add_argument(
        '--frames',
        type=cli_arguments.whole(1, 1_000_000, 'frames'),
        default=300,
        help='frames to measure (default 300)',
    )
    parser.add_argument('--json', metavar='OUT', help='write the figures to this file')
    parser.add_argument(
        '--peer', choices=('mediapipe',), help="with MediaPipe's time for the same images, by turns"
    )
    ros = parser.add_argument_group('ROS 2')
    ros.add_argument('--ros', action='store_true', help='through a graph of three processes')
    ros.add_argument(
        '--rate',
        type=cli_arguments.number(0.1, 1000, 'Hz'),
        default=30.0,
        help='of the camera in Hz (default 30)',
    )
    ros.add_argument(
        '--camera-qos', choices=('reliable', 'best_effort'), default='reliable', help='default %(default)s'
    )
    ros.add_argument(
        '--fastdds',
        choices=('images', 'node', 'default'),
        default='images',
        help='processes that use config/fastdds.xml: `images`, all three (unless you have set another '
        'profile); `node`, hand_node alone, as with hand.launch.py and your own camera; `default`, none '
        '(default %(default)s)',
    )
    ros.add_argument(
        '--teleop',
        action='store_true',
        help='with a teleop_node too: an Allegro hand follows the left hand (extra teleop)',
    )
    cli_arguments.add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> None:
    width, height = args.size
    if args.teleop and not args.ros:
        raise CommandError('--teleop measures ROS nodes', 'give --ros too')
    if args.peer and args.ros:
        raise CommandError('--peer measures without ROS', 'leave out --ros or --peer')
    if args.ros:
        from maskhand_ros.nodes import bench_graph

        if args.frames < bench_graph.FEWEST_FRAMES:
            fix = f'give {bench_graph.FEWEST_FRAMES} or more: CPU is sampled ten times a second'
            raise CommandError(f'--frames {args.frames} is too few with --ros', fix)
        _tell(bench_graph.measure(args, width, height), bench_graph.table, args.json)
        return
    clip = read_clip()
    started = time.perf_counter()
    pipeline = cli_arguments.build_pipeline(args)
    pipeline.warm_up()
    start_up = time.perf_counter() - started
    frames = clip_frames(clip, width, height, args.hands)
    times, peer_times = Times(), []
    for part in np.array_split(np.arange(args.frames), TURNS if args.peer else 1):
        _measure(pipeline, frames, len(part), times)
        if args.peer:
            peer_times.append(_peer_times(itertools.islice(frames, len(part) + WARM_UP_FRAMES)))
    report = summarise(times, start_up, args, pipeline)
    if peer_times:
        report['peer'] = _peer_report(peer_times, report)
    _tell(report, table, args.json)


def _measure(pipeline: HandPipeline, frames: Iterator[Frame], count: int, times: Times) -> None:
    """Adds `count` frames, after WARM_UP_FRAMES, to `times`."""
    for frame in itertools.islice(frames, WARM_UP_FRAMES):
        pipeline.process(frame)
    for frame in itertools.islice(frames, count):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        times.hands.append(len(pipeline.process(frame)))
        total = time.perf_counter() - begun
        times.cpu.append(time.process_time() - cpu_begun)
        for stage, seconds in {**pipeline.timings, 'total': total}.items():
            times.stages.setdefault(stage, []).append(seconds)


def _peer_times(frames: Iterator[Frame]) -> peer.PeerTimes:
    """MediaPipe's times of `frames`, without the first WARM_UP_FRAMES."""
    with tempfile.TemporaryDirectory() as folder:
        files_of_frames = []
        for number, frame in enumerate(frames):
            files_of_frames.append(Path(folder) / f'{number}.png')
            cv2.imwrite(str(files_of_frames[-1]), frame.rgb[..., ::-1])
        return peer.time_mediapipe(files_of_frames).without_first(WARM_UP_FRAMES)


def _peer_report(turns: list[peer.PeerTimes], ours: dict[str, Any]) -> dict[str, Any]:
    """MediaPipe's figures, in milliseconds, and the ratio of ours to them."""
    total, cpu = (
        np.concatenate([getattr(turn, name) for turn in turns]) for name in ('seconds', 'cpu_seconds')
    )
    times, cpu_ms = _percentiles(total), float(np.median(cpu)) * 1000
    return {
        'name': f'MediaPipe {turns[0].version}',
        'total_ms': times,
        'cpu_ms': cpu_ms,
        'mean_hands': float(np.mean(np.concatenate([turn.hands for turn in turns]))),
        'p50_ratio': ours['stages_ms']['total']['p50'] / times['p50'],
        'cpu_ratio': ours['cpu_ms'] / cpu_ms,
    }


def _percentiles(seconds: np.ndarray | list[float]) -> dict[str, float]:
    return {f'p{share}': float(np.percentile(seconds, share)) * 1000 for share in (50, 95, 99)}


def summarise(
    times: Times,
    start_up: float,
    args: argparse.Namespace,
    pipeline: HandPipeline,
) -> dict[str, Any]:
    """The figures of a run: times in milliseconds, memory in MiB."""
    total = np.array(times.stages['total'])
    unit = 1024 if sys.platform != 'darwin' else 1024**2  # ru_maxrss is in KiB, on macOS in bytes
    return {
        'stages_ms': {stage: _percentiles(seconds) for stage, seconds in times.stages.items()},
        'cpu_ms': float(np.median(times.cpu)) * 1000,
        'fps': float(len(total) / total.sum()),
        'frames': len(total),
        'mean_hands': float(np.mean(times.hands)),
        'start_up_s': start_up,
        'peak_memory_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        'hands': args.hands,
        'size': f'{args.size[0]}x{args.size[1]}',
        'device': args.device,
        'threads': args.threads,
        'network': pipeline.model_name,
        'hand_model': pipeline.hand_model.name,
    }


def table(report: dict[str, Any]) -> str:
    lines = [
        f'{report["frames"]} frames of {report["size"]}, {report["mean_hands"]:.2f} hands found on average, '
        f'{report["device"]}, {report["threads"]} threads',
        '',
        f'{"stage":<18}{"p50 ms":>9}{"p95 ms":>9}{"p99 ms":>9}',
    ]
    peers = report.get('peer')
    rows = {**report['stages_ms'], **({peers['name']: peers['total_ms']} if peers else {})}
    for stage, times in rows.items():
        lines.append(f'{stage:<18}' + ''.join(f'{times[key]:>9.1f}' for key in ('p50', 'p95', 'p99')))
    lines += [
        '',
        f'{report["fps"]:.1f} frames/s; CPU time {report["cpu_ms"]:.1f} ms a frame; ready after '
        f'{report["start_up_s"]:.2f} s; peak memory {report["peak_memory_mib"]:.0f} MiB',
    ]
    if peers:
        lines.append(
            f'ours over {peers["name"]}: {peers["p50_ratio"]:.2f} of its p50, {peers["cpu_ratio"]:.2f} of '
            f'its CPU time ({peers["cpu_ms"]:.1f} ms); it found {peers["mean_hands"]:.2f} hands'
        )
    return '\n'.join(lines)


def _tell(report: dict[str, Any], as_table: Callable[[dict[str, Any]], str], path: str | None) -> None:
    print(as_table(report))
    if path:
        files.write_json(path, report)


def size(text: str) -> tuple[int, int]:
    """An argparse type: the width and height of images, WIDTHxHEIGHT, as hand_node accepts them."""
    most = default('max_image_pixels')
    sides = text.lower().split('x')
    if len(sides) == 2 and all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides):
        width, height = map(int, sides)
        if min(width, height) >= 64 and max(width, height) <= MAX_SIDE and width * height <= most:
            return width, height
    raise argparse.ArgumentTypeError(
        f'{short(text)} is not a size: write WIDTHxHEIGHT in pixels, such as 640x480, 64 to {MAX_SIDE} a '
        f'side, {most} together at most'
    )
