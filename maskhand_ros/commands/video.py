"""A video to hands: an overlay video, and one JSON line a frame with the fields of Hand.msg.

NAME_overlay.mp4 and the lines of NAME.jsonl keep the times of the video; NAME.json explains the fields. The
mesh is in the lines only with --vertices.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import pathlib
import time

from maskhand_ros import camera_arguments, cli_arguments, files
from maskhand_ros.commands import hand_json
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.types import Frame
from maskhand_ros.progress import progress, say
from maskhand_ros.video_reader import VideoReader
from maskhand_ros.video_writer import VideoWriter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `maskhand video`."""
    parser.add_argument('input', metavar='VIDEO')
    parser.add_argument(
        '--out', default='maskhand_out', metavar='DIR', help='folder to write to (default maskhand_out)'
    )
    cli_arguments.add_max_frames(parser)
    parser.add_argument(
        '--vertices', action='store_true', help='write the mesh into the JSON lines too (large)'
    )
    camera_arguments.add_camera_arguments(parser)
    camera_arguments.add_mirror_argument(parser)
    cli_arguments.add_pipeline_arguments(parser)
    cli_arguments.add_hypothesis_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Reads the video frame by frame and writes what was found."""
    pipeline = cli_arguments.build_offline_pipeline(
        args, **cli_arguments.hypothesis_options(args), mirrored_input=args.mirrored
    )
    started, with_hands, number = time.monotonic(), 0, 0
    with contextlib.ExitStack() as stack:
        video = stack.enter_context(VideoReader(args.input))
        camera = camera_arguments.camera_from(args, video.width, video.height)
        folder, stem = files.output_folder(args.out), pathlib.Path(args.input).stem
        target = folder / f'{stem}_overlay.mp4'
        writer = stack.enter_context(VideoWriter(target, video.width, video.height, video.rate))
        lines = stack.enter_context(open(folder / f'{stem}.jsonl', 'w'))
        header = hand_json.header(pipeline, video.width, video.height, camera)
        files.write_json(folder / f'{stem}.json', {'video': str(args.input), 'header': header})
        total = min(filter(None, (video.frame_count, args.max_frames)), default=None)
        frames = itertools.islice(video, args.max_frames or None)
        for number, (rgb, stamp_ns) in enumerate(progress(frames, total, 'frames'), 1):
            hands = pipeline.process(Frame(rgb=rgb, stamp_ns=stamp_ns, camera=camera))
            record = {
                'frame': number - 1,
                'stamp_ns': stamp_ns,
                'lost_ids': [int(i) for i in pipeline.lost_ids],
                'hands': [hand_json.hand_to_json(hand, args.vertices) for hand in hands],
            }
            lines.write(json.dumps(record) + '\n')
            overlay = draw_hands(rgb, hands, camera, pipeline.hand_model.faces, mirrored=args.mirrored)
            writer.write(overlay, stamp_ns)
            with_hands += bool(hands)
        if video.damaged:
            say(f'{video.damaged} damaged packets of {args.input} were left out')
    seconds = time.monotonic() - started
    say(
        f'{number} frames, {with_hands} with hands, '
        f'{number / seconds:.1f} frames/s with drawing and writing: {target}'
    )
