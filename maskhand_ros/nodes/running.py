"""The main loop of a node in a process of its own."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.rcutils_logger import RcutilsLogger

from maskhand_ros.nodes.faults import Faults
from maskhand_ros.nodes.memory import limit_arenas
from maskhand_ros.option import OptionError


class CountingFaults(Protocol):
    """A node of rclpy that counts what its callbacks raise."""

    @property
    def callback_faults(self) -> Faults:
        """Faults that its diagnostics show."""

    def get_logger(self) -> RcutilsLogger:
        """As of rclpy's Node."""

    def destroy_node(self) -> None:
        """As of rclpy's Node."""


def run_node(name: str, make_node: Callable[[], CountingFaults], args: list[str] | None = None) -> None:
    """Runs a node until SIGINT or SIGTERM; exit code 0, or 1 for an invalid parameter. `make_node`: function
    that makes it, after rclpy is initialized with `args`."""
    limit_arenas()
    node = None
    try:
        rclpy.init(args=args)
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        _spin(executor, node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (OptionError, ParameterException) as error:
        sys.exit(f'{name}: {error}')
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the shutdown
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


def _spin(executor: Executor, node: CountingFaults) -> None:
    """Spins until shutdown. A callback that raises is logged and counted: rclpy raises for requests that any
    peer can send, such as one for a parameter of an unknown type."""
    while rclpy.ok():
        try:
            executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:
            if rclpy.ok():  # otherwise the shutdown interrupted the callback
                remedy = f'{str(error)[:200]}; report this with the log'
                if node.callback_faults.add(f'{type(error).__name__} in a callback', remedy):
                    node.get_logger().error(traceback.format_exc())
