"""A video to a simulated robot hand: an operator's hand moves an Allegro hand above a table with a cube.

Writes teleop.mp4, operator beside robot, and teleop.json with the figures that are printed. Hands are found,
retargeted and bounded as by hand_node and teleop_node, without ROS, on the clock of the video. Without
--video the bundled clip is used, in which the hand grasps, lifts and releases; it is then replayed with the
cube displaced, and how often the hand lifted it and put it down is printed.

With --ros the video, or a webcam, goes through a ROS 2 graph in real time: clip_player, hand_node,
teleop_node, sim_node, and this process, which writes the same files; the figures are then the delay from the
image's stamp to the joint command, the states of teleop_node and the height of the cube. Needs Linux.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import numpy as np

from maskhand_ros import camera_arguments, cli_arguments, files
from maskhand_ros.clip import TELEOP_CLIP, read_clip
from maskhand_ros.commands import teleop_report
from maskhand_ros.commands.teleop_frames import Watched, calibrate, watch
from maskhand_ros.commands.teleop_run import OfflineRun
from maskhand_ros.commands.teleop_video import TeleopVideo
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import Camera
from maskhand_ros.progress import progress, say
from maskhand_ros.retargeting import Retargeter
from maskhand_ros.simulation import HandSimulation
from maskhand_ros.skeleton import Handedness

SEEDS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `maskhand teleop`."""
    parser.add_argument('--video', metavar='FILE', help='video of the operator (default: the bundled clip)')
    parser.add_argument(
        '--out', default='teleop_out', metavar='DIR', help='folder to write to (default teleop_out)'
    )
    parser.add_argument(
        '--seeds',
        type=cli_arguments.whole(0, 1000),
        default=SEEDS,
        metavar='N',
        help=f'replays of the bundled clip with the cube displaced (default {SEEDS})',
    )
    cli_arguments.add_max_frames(parser)
    parser.add_argument('--ros', action='store_true', help='through a ROS 2 graph, in real time')
    parser.add_argument(
        '--camera', type=cli_arguments.whole(0), metavar='N', help='number of a webcam, such as 0; with --ros'
    )
    camera_arguments.add_camera_arguments(parser)
    camera_arguments.add_mirror_argument(parser)
    cli_arguments.add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Watches the video, replays it in the simulation, reports."""
    if args.camera is not None and not args.ros:
        raise CommandError('--camera is live', 'give --ros too')
    if args.ros:
        from maskhand_ros.nodes import teleop_live

        return teleop_live.run(args)
    path = args.video or TELEOP_CLIP
    simulation = HandSimulation()
    simulation.render()  # what is missing for it is said before minutes of work
    watched = watch(args, path, _camera_of_clip() if args.video is None else None)
    retargeter = Retargeter.shipped(f'allegro_{Handedness.RIGHT}')
    said = calibrate(retargeter, watched)
    say(said)
    folder = files.output_folder(args.out)
    with contextlib.ExitStack() as stack:
        video = stack.enter_context(TeleopVideo(folder / 'teleop.mp4', path, watched))
        first = OfflineRun(simulation, retargeter)
        for hand in progress(watched.frames, len(watched.frames), 'frames'):
            first.frame(hand)
            video.add(hand, simulation.render(), first.label)
    report: dict[str, Any] = {
        'video': str(path),
        'calibration': said,
        **first.figures(),
        'machine': teleop_report.machine(),
    }
    if args.video is None and args.seeds and not args.max_frames:
        report['grasp'] = _grasps(simulation, retargeter, watched, args.seeds)
    files.write_json(folder / 'teleop.json', report)
    print(teleop_report.table(report))
    say(f'{folder / "teleop.mp4"}, {folder / "teleop.json"}')


def _camera_of_clip() -> Camera:
    clip = read_clip(TELEOP_CLIP)
    return Camera(clip.K, *(2 * clip.K[:2, 2] + 1).astype(int))


def _grasps(
    simulation: HandSimulation, retargeter: Retargeter, watched: Watched, seeds: int
) -> dict[str, Any]:
    """What became of the cube in each replay."""
    outcomes = []
    for seed in range(seeds):
        replay = OfflineRun(simulation, retargeter, seed)
        for hand in watched.frames:
            replay.frame(hand)
        outcomes.append(replay.grasp.outcome())
    return {
        'seeds': seeds,
        'lifted_and_put_down': sum(outcome == 'lifted and put down' for outcome in outcomes),
        'outcomes': outcomes,
        'lift_mm': float(np.round(1e3 * replay.grasp.lift, 1)),
    }
