"""`maskhand teleop --ros`: clip_player -> hand_node -> teleop_node -> sim_node, five processes with this one,
which writes teleop.mp4 (operator beside robot, ten images a second) and teleop.json."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor

from maskhand_ros import files
from maskhand_ros.cli_arguments import pipeline_options
from maskhand_ros.clip import TELEOP_CLIP
from maskhand_ros.nodes import processes
from maskhand_ros.nodes.sim_node import TOOL, WORLD
from maskhand_ros.nodes.teleop_observer import TeleopObserver, table
from maskhand_ros.video_reader import VideoReader

CONTROLLERS = {
    'hands': '/hand_node/hands',
    '~/joint_trajectory': '/hand_controller/joint_trajectory',
    '~/arm_target': '/arm_controller/target_pose',
}
"""Remappings of teleop_node."""
WORKSPACE = -0.3, -0.3, 0.1, 0.3, 0.3, 0.5
DRAIN_SECONDS = 1.5
"""Seconds after the last image in which its commands and diagnostics arrive."""


def run(args: argparse.Namespace) -> None:
    """Runs the graph until the video ends, or Ctrl-C, and reports. ModelError if a process fails."""
    if args.video:
        VideoReader(args.video).close()  # an unreadable file is reported before the graph starts
    folder = files.output_folder(args.out)
    processes.prepare_environment()
    report = _run_graph(args, folder / 'teleop.mp4')
    files.write_json(folder / 'teleop.json', report)
    print(table(report))
    print(f'{folder / "teleop.mp4"}, {folder / "teleop.json"}', flush=True)


def _run_graph(args: argparse.Namespace, video: Path) -> dict[str, Any]:
    """The report of a run whose video is written to `video`."""
    player = {
        'video': str(Path(args.video or TELEOP_CLIP).resolve()),
        'camera': -1 if args.camera is None else args.camera,
        'wait_for_subscribers': 2,
    }
    hand = {**pipeline_options(args), 'mirrored_input': args.mirrored, 'publish_vertices': False}
    with processes.graph() as children:
        children['sim_node'] = processes.start('sim_node', {})
        children['hand_node'] = processes.start('hand_node', hand)
        children['teleop_node'] = processes.start(
            'teleop_node',
            {'base_frame': WORLD, 'tool_frame': TOOL, 'workspace': list(WORKSPACE), 'dead_man': False},
            remappings=CONTROLLERS,
        )
        print('Loading the models ...', flush=True)
        processes.bring_up(children['hand_node'])
        processes.bring_up(children['teleop_node'], 'teleop_node')
        with TeleopObserver(video) as observer:
            children['clip_player'] = processes.start('clip_player', player)
            print('Playing; Ctrl-C ends it.', flush=True)
            _observe(observer, children)
            return observer.report()


def _observe(observer: TeleopObserver, children: processes.Processes) -> None:
    """Spins until the player ends or Ctrl-C, and for DRAIN_SECONDS more."""
    executor = SingleThreadedExecutor()
    executor.add_node(observer.node)
    try:
        while children['clip_player'].poll() is None:
            processes.expect_running(children, 'sim_node', 'hand_node', 'teleop_node')
            executor.spin_once(timeout_sec=0.1)
    except KeyboardInterrupt:
        print('Stopping ...', flush=True)
        processes.stop('clip_player', children['clip_player'])
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
