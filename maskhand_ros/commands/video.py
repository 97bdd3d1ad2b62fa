"""A video to hands: an overlay video, and one JSON line a frame with what Hand.msg holds.

The mesh is in the lines only with --vertices.
"""

from __future__ import annotations

import json
import pathlib
import time

import cv2

from maskhand_ros.commands import common, hand_json
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.types import Frame


def add_arguments(parser):
    parser.add_argument('input', metavar='VIDEO')
    parser.add_argument(
        '--out', default='maskhand_out', metavar='DIR', help='folder to write to (default maskhand_out)'
    )
    parser.add_argument(
        '--max-frames',
        type=common.whole(0),
        default=0,
        metavar='N',
        help='stop after N frames (default 0: all)',
    )
    parser.add_argument(
        '--vertices', action='store_true', help='write the mesh into the JSON lines too (large)'
    )
    common.add_camera_arguments(parser)
    common.add_pipeline_arguments(parser)
    common.add_hypothesis_arguments(parser)


def run(args):
    source = pathlib.Path(args.input)
    if not source.is_file():
        raise common.CommandError(f'no file {source}', 'check the path')
    video = cv2.VideoCapture(str(source))
    ok, bgr = video.read()
    if not ok:
        raise common.CommandError(
            f'{source} is not a video that OpenCV reads', 'convert it: ffmpeg -i IN -c:v libx264 OUT.mp4'
        )
    rate = video.get(cv2.CAP_PROP_FPS)
    rate = rate if 1 <= rate <= 1000 else 30.0
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    total = min(total, args.max_frames) if args.max_frames else total
    height, width = bgr.shape[:2]
    camera = common.camera_from(args, width, height)
    folder = common.output_folder(args.out)
    pipeline = common.build_pipeline(args, **common.hypothesis_options(args), mirrored_input=args.mirrored)
    target = folder / f'{source.stem}_overlay.mp4'
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*'mp4v'), rate, (width, height))
    if not writer.isOpened():
        raise common.CommandError(f'cannot write {target}', 'check that the folder is writable')
    number = with_hands = 0
    started = time.monotonic()
    with open(folder / f'{source.stem}.jsonl', 'w') as lines:
        while ok and not (args.max_frames and number >= args.max_frames):
            stamp = int(round(number / rate * 1e9))
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            hands = pipeline.process(Frame(rgb=rgb, stamp_ns=stamp, camera=camera))
            lines.write(
                json.dumps(
                    {
                        'frame': number,
                        'stamp_ns': stamp,
                        'lost_ids': [int(i) for i in pipeline.lost_ids],
                        'hands': [hand_json.hand_to_json(hand, args.vertices) for hand in hands],
                    }
                )
                + '\n'
            )
            overlay = draw_hands(rgb, hands, camera, pipeline.hand_model.faces, mirrored=args.mirrored)
            writer.write(cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
            number += 1
            with_hands += bool(hands)
            if number % 100 == 0:
                print(f'{number} of {total or "?"} frames', flush=True)
            ok, bgr = video.read()
    writer.release()
    seconds = time.monotonic() - started
    print(
        f'{number} frames, {with_hands} with hands, '
        f'{number / seconds:.1f} frames/s with drawing and writing: {target}'
    )
