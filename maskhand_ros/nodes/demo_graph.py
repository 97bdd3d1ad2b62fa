"""A whole ROS 2 graph on this machine: clip player -> hand_node -> recorder, then the figures.

Writes hands.mp4 (mesh and skeleton over the pictures), hands.mcap (for Foxglove or Lichtblick, no ROS
needed) and summary.json. Three processes, as on a robot; this one only starts, configures and stops them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

from maskhand_ros.nodes.demo_report import report
from maskhand_ros.nodes.shared_files import share_path
from maskhand_ros.perception.errors import ModelError

CONFIGURE_SECONDS = 120
CAMERA_SECONDS = 20.0


def add_arguments(parser):
    """The command line of `maskhand demo`."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--video', help='a video file (default: the bundled clip, whose truth is known)')
    source.add_argument('--camera', type=int, help='number of a webcam, such as 0')
    parser.add_argument(
        '--seconds',
        type=float,
        default=0.0,
        help=f'stop after so long (default: to the end; {CAMERA_SECONDS:.0f} '
        'for a camera; Ctrl-C stops as well)',
    )
    parser.add_argument('--out', default='demo_out', help='folder for what is written (default: %(default)s)')
    parser.add_argument(
        '--device', default='cpu', choices=('cpu', 'cuda', 'tensorrt'), help='default: %(default)s'
    )


def run(args=None, video=None, camera=None, out='demo_out', seconds=0.0, device='cpu'):
    """Runs the demo and prints its table; returns the exit status. `args`: the parsed command line in place
    of the rest."""
    if args is not None:
        video, camera, out, seconds, device = args.video, args.camera, args.out, args.seconds, args.device
    if video and not Path(video).is_file():
        raise FileNotFoundError(f'no video at {video}')
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    # a failed run must not leave an older run's files
    for name in (
        'hands.mcap',
        'hands.mp4',
        'summary.json',
    ):
        (folder / name).unlink(missing_ok=True)
    _prepare_environment()
    with tempfile.TemporaryDirectory() as temporary:
        player_report = Path(temporary) / 'player.json'
        player = {
            'video': str(Path(video).resolve()) if video else '',
            'camera': -1 if camera is None else camera,
            'seconds': float(seconds or (0.0 if camera is None else CAMERA_SECONDS)),
            'wait_for_subscribers': 2,
            'report': str(player_report),
        }
        _run_graph(player, folder / 'hands.mcap', device)
        if not player_report.exists():
            raise ModelError('the clip player ended without a report', 'see its message above')
        print('Reading hands.mcap back and drawing hands.mp4 ...', flush=True)
        report(folder, player_report)
    return 0


def _prepare_environment():
    """The middleware's settings for this process and its children, before ROS starts."""
    os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(share_path('config/fastdds.xml')))
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))  # two demos at once must not meet
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    print(f'The graph lives in ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]} on this machine only.', flush=True)


def _run_graph(player, bag, device):
    """Plays once through the graph and stops it. Raises ModelError where a process does not do its part."""
    children = {}
    # so that SIGTERM stops the children as well
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(args=[], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    try:
        children['hand_node'] = _start('hand_node', {'device': device})
        children['recorder'] = _start('recorder', {'output': str(bag), 'progress': True})
        print('Loading the models ...', flush=True)
        _bring_up(children['hand_node'])
        print('Playing:', flush=True)
        children['clip_player'] = _start('clip_player', player)
        _wait_for_end(children)
    finally:
        for name in ('clip_player', 'recorder', 'hand_node'):
            if name in children:
                _stop(name, children[name])
        rclpy.try_shutdown()
        signal.signal(signal.SIGTERM, previous)


def _start(name, parameters):
    """Starts a node of ours as a process; parameters go as command-line values."""
    command = [sys.executable, '-m', f'maskhand_ros.nodes.{name}', '--ros-args', '--log-level', 'warn']
    for key, value in parameters.items():
        text = (
            str(value).lower()
            if isinstance(value, bool)
            else f"'{value}'"
            if isinstance(value, str)
            else str(value)
        )
        command += ['-p', f'{key}:={text}']
    # A session of its own: Ctrl-C reaches this process only, which then stops the others in order.
    return subprocess.Popen(command, start_new_session=True)


def _bring_up(process):
    """Configures and activates hand_node through its lifecycle services."""
    node = Node('demo')
    client = node.create_client(ChangeState, '/hand_node/change_state')
    try:
        for transition, label in (
            (Transition.TRANSITION_CONFIGURE, 'configure'),
            (Transition.TRANSITION_ACTIVATE, 'activate'),
        ):
            deadline = time.monotonic() + CONFIGURE_SECONDS
            while not client.wait_for_service(timeout_sec=0.2):
                _expect(
                    process.poll() is None and time.monotonic() < deadline,
                    'hand_node did not come up',
                    'see its message above',
                )
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            while not future.done():
                _expect(
                    process.poll() is None and time.monotonic() < deadline,
                    f'hand_node did not {label}',
                    'see its message above',
                )
                rclpy.spin_once(node, timeout_sec=0.2)
            _expect(future.result().success, f'hand_node could not {label}', 'see its message above')
    finally:
        node.destroy_node()


def _wait_for_end(children):
    """Until the player is through or Ctrl-C; then long enough for the last picture and the last
    diagnostics."""
    try:
        while children['clip_player'].poll() is None:
            for name in ('hand_node', 'recorder'):
                _expect(
                    children[name].poll() is None,
                    f'{name} ended while the clip played',
                    'see its message above',
                )
            time.sleep(0.1)
    except KeyboardInterrupt:
        print('Stopping ...', flush=True)
        _stop('clip_player', children['clip_player'])
    time.sleep(2.0)


def _stop(name, process):
    """SIGINT, and SIGKILL for one that does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=60 if name == 'recorder' else 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode:
        print(f'{name} ended with exit status {process.returncode}', file=sys.stderr, flush=True)


def _expect(condition, what, fix):
    if not condition:
        raise ModelError(what, fix)
