"""`maskhand demo`: a ROS 2 graph on this machine, clip_player -> hand_node -> recorder, then a report.

Writes hands.mp4 (mesh and skeleton over the images), hands.mcap (for Foxglove or Lichtblick, no ROS needed)
and summary.json. The nodes are three processes, as on a robot; this one starts, configures and stops them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from maskhand_ros.cli_arguments import number, whole
from maskhand_ros.files import output_folder
from maskhand_ros.nodes import processes
from maskhand_ros.nodes.demo_report import report
from maskhand_ros.options import OPTIONS
from maskhand_ros.video_reader import VideoReader

CAMERA_SECONDS = 20.0

RESULTS = 'hands.mcap', 'hands.mp4', 'summary.json'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `maskhand demo`."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--video', help='a video file (default: the bundled clip, which has ground truth)')
    source.add_argument('--camera', type=whole(0), help='number of a webcam, such as 0')
    parser.add_argument(
        '--seconds',
        type=number(0, 86_400, 'seconds'),
        default=0.0,
        help=f'stop after so long (default: to the end; {CAMERA_SECONDS:.0f} for a camera; Ctrl-C stops too)',
    )
    parser.add_argument('--out', default='demo_out', help='output folder (default: %(default)s)')
    parser.add_argument(
        '--device',
        default=OPTIONS['device'].default,
        choices=OPTIONS['device'].choices,
        help='default: %(default)s',
    )


def run(args: argparse.Namespace) -> int:
    """Runs the demo and prints its table; returns the exit status."""
    if args.video:
        VideoReader(args.video).close()  # an unreadable file is reported before the graph starts
    folder = output_folder(args.out)
    processes.prepare_environment()
    # Results are moved into place at the end: a run that fails keeps those of the last one.
    with tempfile.TemporaryDirectory(prefix='.running-', dir=folder) as temporary:
        results = Path(temporary)
        player_report = results / 'player.json'
        player = {
            'video': str(Path(args.video).resolve()) if args.video else '',
            'camera': -1 if args.camera is None else args.camera,
            'seconds': float(args.seconds or (0.0 if args.camera is None else CAMERA_SECONDS)),
            'wait_for_subscribers': 2,
            'report': str(player_report),
        }
        _run_graph(player, results / 'hands.mcap', args.device)
        processes.expect(player_report.exists(), 'the clip player ended without a report')
        print('Reading hands.mcap back and drawing hands.mp4 ...', flush=True)
        report(results, player_report, folder)
        for name in RESULTS:
            if (results / name).exists():
                (results / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    return 0


def _run_graph(player: dict[str, Any], bag: Path, device: str) -> None:
    """Plays the source once and stops the graph. `player`: parameters of clip_player. Raises ModelError if a
    process fails."""
    with processes.graph() as children:
        children['hand_node'] = processes.start('hand_node', {'device': device})
        children['recorder'] = processes.start('recorder', {'output': str(bag), 'progress': True})
        print('Loading the models ...', flush=True)
        processes.bring_up(children['hand_node'])
        print('Playing:', flush=True)
        children['clip_player'] = processes.start('clip_player', player)
        _wait_for_end(children)


def _wait_for_end(children: processes.Processes) -> None:
    """Waits until the player ends or Ctrl-C, then for the last image and the last diagnostics."""
    try:
        while children['clip_player'].poll() is None:
            processes.expect_running(children, 'hand_node', 'recorder')
            time.sleep(0.1)
    except KeyboardInterrupt:
        print('Stopping ...', flush=True)
        processes.stop('clip_player', children['clip_player'])
    time.sleep(2.0)
