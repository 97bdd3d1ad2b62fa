"""Time of every stage on this machine, on frames of the bundled clip that show the asked number of hands."""

from __future__ import annotations

import itertools
import resource
import sys
import time

import cv2
import numpy as np

from maskhand_ros.commands import common
from maskhand_ros.commands.clip import read_clip
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import Frame

WARM_UP_FRAMES = 10
"""The tracker has found its hands when the clock starts."""


def add_arguments(parser):
    parser.add_argument(
        '--hands', type=int, choices=(1, 2), default=2, help='hands in the picture (default 2)'
    )
    parser.add_argument('--size', default='640x480', metavar='WxH', help='of the pictures (default 640x480)')
    parser.add_argument('--frames', type=int, default=300, help='frames to measure (default 300)')
    parser.add_argument('--json', metavar='OUT', help='write the figures to this file')
    common.add_pipeline_arguments(parser)


def run(args):
    width, height = _size(args.size)
    clip = read_clip()
    started = time.perf_counter()
    pipeline = common.build_pipeline(args)
    pipeline.warm_up()
    start_up = time.perf_counter() - started
    frames = clip_frames(clip, width, height, args.hands)
    for frame in itertools.islice(frames, WARM_UP_FRAMES):
        pipeline.process(frame)
    stages, hands = {}, []
    for frame in itertools.islice(frames, args.frames):
        begun = time.perf_counter()
        hands.append(len(pipeline.process(frame)))
        for stage, seconds in {**pipeline.timings, 'total': time.perf_counter() - begun}.items():
            stages.setdefault(stage, []).append(seconds)
    report = summarise(stages, hands, start_up, args, pipeline)
    print(table(report))
    if args.json:
        common.write_json(args.json, report)


def clip_frames(clip, width, height, hands):
    """Frames of the clip without end, scaled to fit width x height with grey bars; the camera is scaled with
    them.

    For one hand the left half is painted over. Decoded as they are used, so that they do not count as memory.
    """
    stamps = itertools.count(0, int(1e9 / clip.rate))
    while True:
        for rgb in clip.frames():
            scale = min(width / rgb.shape[1], height / rgb.shape[0])
            inner = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
            left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
            picture = np.full((height, width, 3), 128, np.uint8)
            small = cv2.resize(rgb, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
            if hands == 1:
                small[:, : inner[0] // 2] = 128
            picture[top : top + inner[1], left : left + inner[0]] = small
            K = np.diag([scale, scale, 1.0]) @ clip.K
            K[:2, 2] += left, top
            yield Frame(rgb=picture, stamp_ns=next(stamps), camera=Camera(K, width, height))


def summarise(stages, hands, start_up, args, pipeline):
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
        'size': args.size,
        'device': args.device,
        'threads': args.threads,
        'model': pipeline.model_name,
    }


def table(report):
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


def _size(text):
    try:
        width, height = map(int, text.lower().split('x'))
        if min(width, height) >= 64:
            return width, height
    except ValueError:
        pass
    raise common.CommandError(
        f'--size {text} is not a size', 'write WIDTHxHEIGHT of at least 64x64, such as 640x480'
    )
