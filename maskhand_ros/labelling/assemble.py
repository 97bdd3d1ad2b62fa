"""Results of `maskhand label` beside the Parquet files of finished clips: other formats, and world frames."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from maskhand_ros import cli_arguments
from maskhand_ros.errors import CommandError
from maskhand_ros.labelling.camera_poses import add_world, poses_for, read_poses
from maskhand_ros.labelling.finished import FinishedClip, finished_clips
from maskhand_ros.progress import progress, say

LEROBOT, MCAP = 'lerobot', 'mcap'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of formats and camera poses."""
    group = parser.add_argument_group('formats')
    group.add_argument(
        '--format',
        nargs='+',
        choices=(LEROBOT, MCAP),
        default=[],
        help='also write DIR/lerobot, LeRobotDatasets v3.0, or DIR/mcap, an MCAP file a clip',
    )
    group.add_argument(
        '--fps',
        type=cli_arguments.whole(1, 1000),
        metavar='N',
        help='frame rate of the LeRobotDatasets (default: the most frequent one of the clips)',
    )
    group.add_argument(
        '--task', default='human hands', help='what people do, as text (default "%(default)s")'
    )
    group.add_argument('--no-videos', action='store_true', help='LeRobotDatasets without videos')
    group.add_argument(
        '--camera-poses',
        type=Path,
        metavar='FILE',
        help='lines t x y z qx qy qz qw of the camera in a world frame, or a folder with such a file for '
        'each clip (NAME.txt, .tum or .csv): adds columns in the world frame',
    )


def assemble(folder: Path, args: argparse.Namespace) -> bool:
    """Adds to the folder of a run what the arguments ask for; returns whether all of it could be made."""
    if not (args.format or args.camera_poses):
        return True
    clips = list(finished_clips(folder))
    if args.camera_poses:
        _add_world(clips, args.camera_poses)
    if LEROBOT in args.format:
        from maskhand_ros.labelling.lerobot_dataset import LeRobotOptions, write_datasets

        options = LeRobotOptions(args.fps, args.task, not args.no_videos)
        roots = write_datasets(clips, folder / LEROBOT, options)
        say(f'LeRobotDatasets: {", ".join(map(str, roots))}')
    if MCAP in args.format:
        from maskhand_ros.labelling.mcap_file import write_mcap

        failed = 0
        for clip in progress(clips, len(clips), 'clips to MCAP'):
            try:
                write_mcap(clip, folder / MCAP / f'{clip.file.stem}.mcap')
            except CommandError as error:
                failed += 1
                print(f'no MCAP file: {error}', file=sys.stderr)
        say(f'{len(clips) - failed} MCAP files: {folder / MCAP}')
        return not failed
    return True


def _add_world(clips: list[FinishedClip], path: Path) -> None:
    without = 0
    for clip in clips:
        file = poses_for(path, clip.source)
        if file is None:
            without += 1
            continue
        add_world(clip.file, read_poses(file))
    say(f'{len(clips) - without} clips in the world frame, {without} without a file of camera poses')
