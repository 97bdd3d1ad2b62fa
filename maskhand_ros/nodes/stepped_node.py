"""A hand_node in this process that receives one message at a time and finishes it before the next."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from tf2_msgs.msg import TFMessage

from maskhand_ros.errors import CommandError, ModelError
from maskhand_ros.msg import HandArray
from maskhand_ros.nodes.hand_node import HandNode
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.option import OptionError

ANSWER_TIMEOUT = 60.0
"""Seconds within which hand_node must have processed a message."""

NO_TIME_LIMITS = {'image_timeout': ANSWER_TIMEOUT, 'max_latency': 0.0}
"""Parameters with which results do not depend on the speed of the machine."""


class CountingNode(HandNode):
    """hand_node that counts its messages: `received`, by full topic name."""

    def __init__(self, **options: Any) -> None:
        """`options`: those of rclpy's Node."""
        self.received: Counter[str] = Counter()
        super().__init__(**options)

    def create_subscription(
        self, msg_type: type, topic: str, callback: Callable[..., None], *args: Any, **kwargs: Any
    ) -> Subscription:
        """A subscription of rclpy whose messages are counted after the callback. Other arguments are passed
        through."""
        name = self.resolve_topic_name(topic)

        @functools.wraps(callback)  # rclpy inspects the callback's parameters
        def counted(*message: Any) -> None:
            callback(*message)
            self.received[name] += 1

        return super().create_subscription(msg_type, topic, counted, *args, **kwargs)


class SteppedNode:
    """An active hand_node with publishers of its inputs and subscriptions to its outputs, on one executor
    that runs only inside these methods. rclpy must be initialized."""

    def __init__(
        self, topics: dict[str, type], parameters: dict[str, Any], params_file: str | Path | None = None
    ) -> None:
        """`topics` {name: message type} of the inputs; `parameters` {name: value} override those of
        `params_file`. Raises CommandError, or ModelError if hand_node cannot be configured."""
        arguments = ['--ros-args', '--params-file', params_file] if params_file else []
        try:
            self.node = CountingNode(
                cli_args=arguments,
                parameter_overrides=[
                    Parameter(name, value=value) for name, value in {**NO_TIME_LIMITS, **parameters}.items()
                ],
            )
        except (OptionError, ParameterException, RuntimeError) as error:
            raise CommandError(f'{params_file}: {error}', 'see config/hand.yaml') from error
        self._player = Node('replay')
        self._executor = SingleThreadedExecutor()
        for node in (self._player, self.node):
            self._executor.add_node(node)
        self._published: Counter[str] = Counter()
        self._answers: list[HandArray] = []
        self._transforms: list[TFMessage] = []
        self._answered = 0
        self._publishers = {
            topic: self._player.create_publisher(kind, topic, LATCHED if topic == '/tf_static' else 10)
            for topic, kind in topics.items()
        }
        self._player.create_subscription(TFMessage, '/tf', self._transforms.append, QoSProfile(depth=100))
        self._player.create_subscription(
            HandArray, f'{self.node.get_fully_qualified_name()}/hands', self._answers.append, 10
        )
        self._start()

    def publish(self, topic: str, data: bytes) -> None:
        """Publishes a serialized message; returns once hand_node has received it."""
        publisher = self._publishers[topic]
        publisher.publish(data)
        self._published[publisher.topic_name] += 1
        self._wait(
            lambda: self.node.received[publisher.topic_name] == self._published[publisher.topic_name],
            f'hand_node did not receive {topic}',
        )

    def process_image(self, topic: str, data: bytes) -> HandArray | None:
        """Publishes a serialized image; returns the HandArray of it, None if hand_node rejected it."""
        self.publish(topic, data)
        diagnostics, published = self.node.diagnostics, self._published[self._publishers[topic].topic_name]
        self._wait(
            lambda: (
                diagnostics.taken == published
                and not diagnostics.busy
                and self._answered + len(self._answers) == diagnostics.processed
            ),
            'hand_node did not answer',
        )
        self._answered = diagnostics.processed
        return self._answers.pop() if self._answers else None

    def take_transforms(self) -> list[TFMessage]:
        """The messages on /tf since the last call."""
        self._executor.spin_once(timeout_sec=0)
        taken = list(self._transforms)
        self._transforms.clear()
        return taken

    def close(self) -> None:
        """Destroys the nodes."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._player.destroy_node()

    def _start(self) -> None:
        """Configures and activates hand_node; returns once all topics are connected."""
        if self.node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            failure = self.node.diagnostics.failure
            self.close()
            raise ModelError(*(failure or ('hand_node cannot be configured', 'see the log above')))
        self.node.trigger_activate()
        outputs = [
            publisher
            for publisher in self.node.publishers
            if publisher.topic_name.endswith(('/hands', '/tf'))
        ]
        needed = [*outputs, *self._publishers.values()]
        self._wait(
            lambda: all(publisher.get_subscription_count() for publisher in needed),
            'the topics did not connect',
        )

    def _wait(self, condition: Callable[[], bool], failure: str) -> None:
        """Spins until `condition` holds. Raises ModelError with `failure` after ANSWER_TIMEOUT."""
        end = time.monotonic() + ANSWER_TIMEOUT
        while not condition():
            self._executor.spin_once(timeout_sec=0.05)
            if time.monotonic() > end:
                raise ModelError(f'{failure} within {ANSWER_TIMEOUT:.0f} s', 'report this')
