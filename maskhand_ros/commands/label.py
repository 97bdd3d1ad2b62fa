"""Videos, folders of images and bags to hands, in bulk: one Parquet file a clip, whose columns
docs/labelling.md lists.

A folder stands for all videos and bags in it and in the folders inside; a folder with images is a clip of
these images in the order of their names. DIR/clips/NAME-KEY.parquet holds the hands, DIR/clips.jsonl says
which file is whose, DIR/failed.jsonl what failed, why, and what helps. A run may be stopped or killed at any
time: the same command goes on where it was. Clips of equal content are labelled once. Exit status 1 if a
clip has no labels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from maskhand_ros import camera_arguments, cli_arguments, files
from maskhand_ros.errors import CommandError
from maskhand_ros.labelling import assemble
from maskhand_ros.labelling.clip_input import BUCKET_FIX, ClipInput, find_clips, is_url
from maskhand_ros.labelling.keys import ContentHashes, Keys
from maskhand_ros.labelling.label_options import SEGMENT, LabelOptions
from maskhand_ros.labelling.run import Run, Workers, core_count, write_lists
from maskhand_ros.labelling.run_folder import Failure, RunFolder, Task
from maskhand_ros.progress import progress, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `maskhand label`."""
    parser.add_argument('inputs', nargs='*', metavar='INPUT', help='files, folders or quoted glob patterns')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the results')
    parser.add_argument(
        '--manifest',
        metavar='FILE',
        help='further inputs: in each line a path, or {"path": ..., "intrinsics": [fx, fy, cx, cy], '
        '"topic": ...}',
    )
    parser.add_argument('--topic', metavar='TOPIC', help='image topic of bags (default: the only one)')
    parser.add_argument(
        '--rate',
        type=cli_arguments.number(0.1, 1000, 'Hz'),
        metavar='HZ',
        help='frame rate of folders of images (default 30)',
    )
    parser.add_argument(
        '--stills', action='store_true', help='images are unrelated: each is searched on its own, slower'
    )
    parser.add_argument(
        '--raw', action='store_true', help='labels as each frame gives them, not refined over the whole clip'
    )
    parser.add_argument(
        '--segment',
        type=cli_arguments.number(10, 3600, 's'),
        default=SEGMENT,
        metavar='S',
        help='long clips are labelled in segments of this length (default %(default)g s)',
    )
    engine = parser.add_argument_group('engine')
    engine.add_argument(
        '--workers', type=cli_arguments.whole(1), metavar='N', help='processes (default: one for each core)'
    )
    engine.add_argument(
        '--runner',
        nargs='+',
        default=['native'],
        metavar=('native | ray', 'ADDRESS'),
        help='this machine (default), or the Ray cluster at ADDRESS, which must see all files',
    )
    engine.add_argument('--retry-failed', action='store_true', help='try clips again that failed before')
    assemble.add_arguments(parser)
    camera_arguments.add_camera_arguments(parser)
    camera_arguments.add_mirror_argument(parser)
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(threads=1, smoothing='off')


def run(args: argparse.Namespace) -> int:
    """Labels what is missing; returns the exit status."""
    if args.smoothing != 'off' and not args.raw:
        raise CommandError('--smoothing is for --raw', 'leave it out: refined labels are smooth without lag')
    if is_url(args.out):
        raise CommandError(f'--out {args.out} is an address, and only files are written', BUCKET_FIX)
    workers = _workers(args)
    folder = RunFolder(files.output_folder(args.out))
    found = list(find_clips(args.inputs, args.manifest, folder.folder))
    lost = [Failure('', None, error.what, error.fix) for error in found if isinstance(error, CommandError)]
    inputs = [clip for clip in found if isinstance(clip, ClipInput)]
    if not inputs:
        raise next((e for e in found if isinstance(e, CommandError)), CommandError('no inputs', 'name some'))
    with folder.lock():
        return _label(args, folder, inputs, lost, workers)


def _label(
    args: argparse.Namespace,
    folder: RunFolder,
    inputs: list[ClipInput],
    lost: list[Failure],
    workers: Workers,
) -> int:
    tasks = _tasks(inputs, _options(args), folder, lost)
    unique = {task.key: task for task in reversed(tasks)}  # of equal clips the first
    if args.retry_failed:
        for key in unique:
            folder.forget_failure(key)
    before = len(folder.done().keys() & unique.keys())
    say(f'{len(inputs)} clips, {len(unique)} different, {before} of these already labelled')
    try:
        Run(folder, list(unique.values()), workers)()
    finally:
        failed = write_lists(folder, tasks, lost)
    say(f'{len(tasks) + len(lost) - len(failed)} labelled, {len(failed)} failed: {folder.clips}')
    for failure in failed:
        print(f'failed: {failure.path}: {failure.reason}. Fix: {failure.fix}', file=sys.stderr)
    made = assemble.assemble(folder.folder, args)
    return 1 if failed or not made else 0


def _tasks(
    inputs: list[ClipInput], options: LabelOptions, folder: RunFolder, lost: list[Failure]
) -> list[Task]:
    """A Task for each clip. Their content is read for the keys; what cannot be read is added to `lost`."""
    keys, hashes = Keys(options), ContentHashes(folder.work / 'hashes.jsonl')
    contents = progress(hashes.of_clips(inputs), len(inputs), 'clips read')
    where, tasks = str(folder.folder.resolve()), []
    for clip, content in zip(inputs, contents, strict=True):
        if isinstance(content, OSError):
            lost.append(Failure(clip.path, None, f'it cannot be read ({content})', 'check its permissions'))
        else:
            tasks.append(Task(clip, keys(clip, content), content, options, where))
    return tasks


def _options(args: argparse.Namespace) -> LabelOptions:
    pipeline = {**cli_arguments.pipeline_options(args), 'mirrored_input': args.mirrored}
    for name in ('weights_dir', 'hand_model'):  # a worker may have another current folder
        pipeline[name] = str(Path(pipeline[name]).resolve()) if pipeline[name] else ''
    return LabelOptions(
        pipeline=pipeline,
        intrinsics=tuple(args.intrinsics) if args.intrinsics else None,
        camera_info=str(Path(args.camera_info).resolve()) if args.camera_info else None,
        topic=args.topic,
        rate=args.rate,
        stills=args.stills,
        raw=args.raw,
        segment=args.segment,
    )


def _workers(args: argparse.Namespace) -> Workers:
    kind, *address = args.runner
    if (kind, len(address)) not in (('native', 0), ('ray', 1)):
        raise CommandError(
            f'--runner {" ".join(args.runner)}', 'write --runner native or --runner ray ADDRESS'
        )
    return Workers(args.workers or core_count(), address[0] if address else None)
