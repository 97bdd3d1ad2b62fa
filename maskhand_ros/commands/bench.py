"""Time of every stage on this machine, on frames of the bundled clip that show the asked number of hands.

With --ros the same images go through a ROS 2 graph of three processes: a camera, hand_node, and a listener
that receives ~/hands (this process). `latency` is from the image's stamp to the HandArray received; `node` is
HandArray.processing_time, from the image received to the answer written; `on the way` is the rest: image and
answer in the middleware. The stages are hand_node's own, from /diagnostics: `wait` is for the worker to be
free. `node over pipeline` is decode + pipeline + publish over the pipeline's stages alone (sums of medians;
without those two). CPU is in cores, user and system, while the images were played. Needs Linux (/proc).
With --teleop, `image to command` is from the image's stamp to the first joint command that follows it,
measured in teleop_node when that is published; `command on the way` is from there to this process.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.clip import clip_frames, read_clip
from maskhand_ros.errors import CommandError
from maskhand_ros.option import short
from maskhand_ros.options import default
from maskhand_ros.perception.frame_checks import MAX_SIDE
from maskhand_ros.perception.pipeline import HandPipeline

WARM_UP_FRAMES = 10
"""The tracker has found its hands when the clock starts."""


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
        help='who has our profile of Fast DDS: `images`, all three (unless you have set one); `node`, '
        'hand_node alone, as with hand.launch.py and a camera of your own; `default`, nobody '
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
    for frame in itertools.islice(frames, WARM_UP_FRAMES):
        pipeline.process(frame)
    stages: dict[str, list[float]] = {}
    hands = []
    for frame in itertools.islice(frames, args.frames):
        begun = time.perf_counter()
        hands.append(len(pipeline.process(frame)))
        for stage, seconds in {**pipeline.timings, 'total': time.perf_counter() - begun}.items():
            stages.setdefault(stage, []).append(seconds)
    _tell(summarise(stages, hands, start_up, args, pipeline), table, args.json)


def summarise(
    stages: dict[str, list[float]],
    hands: list[int],
    start_up: float,
    args: argparse.Namespace,
    pipeline: HandPipeline,
) -> dict[str, Any]:
    """The figures of a run: times in milliseconds, memory in MiB."""
    total = np.array(stages['total'])
    unit = 1024 if sys.platform != 'darwin' else 1024**2  # ru_maxrss is in KiB, on macOS in bytes
    return {
        'stages_ms': {
            stage: {f'p{share}': float(np.percentile(t, share)) * 1000 for share in (50, 95, 99)}
            for stage, t in stages.items()
        },
        'fps': float(len(total) / total.sum()),
        'frames': len(total),
        'mean_hands': float(np.mean(hands)),
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
        f'{"stage":<14}{"p50 ms":>9}{"p95 ms":>9}{"p99 ms":>9}',
    ]
    for stage, times in report['stages_ms'].items():
        lines.append(f'{stage:<14}' + ''.join(f'{times[key]:>9.1f}' for key in ('p50', 'p95', 'p99')))
    return '\n'.join(
        lines
        + [
            '',
            f'{report["fps"]:.1f} frames/s; ready after {report["start_up_s"]:.2f} s; '
            f'peak memory {report["peak_memory_mib"]:.0f} MiB',
        ]
    )


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
