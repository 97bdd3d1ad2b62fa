"""Processes with this package's nodes, for a ROS graph on this machine: start, bring up, stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

from maskhand_ros.errors import ModelError
from maskhand_ros.nodes.shared_files import profile_variable, share_path

CONFIGURE_SECONDS = 120
"""Seconds in which a lifecycle transition must be done."""

Process: TypeAlias = 'subprocess.Popen[bytes]'
Processes = dict[str, Process]
"""{name: process}"""


def fastdds_profile() -> tuple[str, str]:
    """(environment variable, value) that loads this package's Fast DDS profile."""
    return profile_variable(), str(share_path('config/fastdds.xml'))


def prepare_environment(profile: bool = True) -> None:
    """Sets the middleware's environment variables of this process and its children, before ROS starts; those
    that the user has set are kept. `profile` False: removes any Fast DDS profile."""
    if profile:
        os.environ.setdefault(*fastdds_profile())
    else:
        os.environ.pop(profile_variable(), None)
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))  # keeps two graphs apart
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    print(f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}, on this machine only.', flush=True)


@contextmanager
def graph() -> Iterator[Processes]:
    """Context with {name: process} to fill with `start`; on exit all are stopped, the last one first.

    SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that it stops the children too.
    """
    children: Processes = {}
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(args=[], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    try:
        yield children
    finally:
        for name in reversed(children):
            stop(name, children[name])
        rclpy.try_shutdown()
        signal.signal(signal.SIGTERM, previous)


def start(
    name: str,
    parameters: dict[str, Any],
    *environment: tuple[str, str],
    remappings: Mapping[str, str] | None = None,
) -> Process:
    """Starts maskhand_ros.nodes.`name` as a process, with parameters {name: value} and remappings {from: to}
    on the command line. `environment`: additional pairs (variable, value)."""
    command = [sys.executable, '-m', f'maskhand_ros.nodes.{name}', '--ros-args', '--log-level', 'warn']
    for key, value in parameters.items():
        command += ['-p', f'{key}:={_as_yaml(value)}']
    for key, value in (remappings or {}).items():
        command += ['-r', f'{key}:={value}']
    # A new session: Ctrl-C reaches this process only, which then stops the others in order.
    return subprocess.Popen(command, start_new_session=True, env={**os.environ, **dict(environment)})


def bring_up(process: Process, name: str = 'hand_node') -> None:
    """Configures and activates the lifecycle node `name` through its services. Raises ModelError if it
    cannot."""
    node = Node('bring_up')
    client = node.create_client(ChangeState, f'/{name}/change_state')
    try:
        for transition, label in (
            (Transition.TRANSITION_CONFIGURE, 'configure'),
            (Transition.TRANSITION_ACTIVATE, 'activate'),
        ):
            deadline = time.monotonic() + CONFIGURE_SECONDS
            while not client.wait_for_service(timeout_sec=0.2):
                expect(_in_time(process, deadline), f'{name} did not start')
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            while not future.done():
                expect(_in_time(process, deadline), f'{name} did not {label}')
                rclpy.spin_once(node, timeout_sec=0.2)
            expect(future.result().success, f'{name} could not {label}')
    finally:
        node.destroy_node()


def expect_running(children: Processes, *names: str) -> None:
    """Raises ModelError if one of the processes has ended."""
    for name in names:
        expect(children[name].poll() is None, f'{name} ended while the clip played')


def stop(name: str, process: Process) -> None:
    """Sends SIGINT, and SIGKILL if the process does not end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=60 if name == 'recorder' else 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode:
        print(f'{name} ended with exit status {process.returncode}', file=sys.stderr, flush=True)


def expect(condition: bool, what: str, fix: str = 'see its message above') -> None:
    """Raises ModelError unless `condition` holds."""
    if not condition:
        raise ModelError(what, fix)


def _as_yaml(value: Any) -> str:
    """A parameter value (bool, number, text, or a list of numbers) as YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


def _in_time(process: Process, deadline: float) -> bool:
    return process.poll() is None and time.monotonic() < deadline
