"""A hand_node in this process that is given one message after another and is waited for after each."""

from __future__ import annotations

import functools
import time
from collections import Counter

from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from maskhand_ros.errors import CommandError, ModelError
from maskhand_ros.msg import HandArray
from maskhand_ros.nodes.hand_node import HandNode
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.option import OptionError

PATIENCE = 60.0
"""Seconds in which hand_node must have taken a message."""

UNHURRIED = {'image_timeout': PATIENCE, 'max_latency': 0.0}
"""Parameters with which nothing hangs on how fast the machine is."""


class CountingNode(HandNode):
    """hand_node that counts what has reached it: `received`, by full name of the topic."""

    def __init__(self, **options):
        self.received = Counter()
        super().__init__(**options)

    def create_subscription(self, msg_type, topic, callback, *args, **kwargs):
        """As rclpy's, with the count raised after the callback."""
        name = self.resolve_topic_name(topic)

        @functools.wraps(callback)  # rclpy looks at its arguments
        def counted(*message):
            callback(*message)
            self.received[name] += 1

        return super().create_subscription(msg_type, topic, counted, *args, **kwargs)


class SteppedNode:
    """An active hand_node, the publishers before it and the ears behind it, all on one executor that runs
    only inside of these methods. rclpy must be initialized."""

    def __init__(self, topics, parameters, params_file=None):
        """`topics` {name: message type} that will be given; `parameters` {name: value} go before those of
        `params_file`. Raises CommandError, or ModelError where hand_node cannot be configured."""
        arguments = ['--ros-args', '--params-file', params_file] if params_file else []
        try:
            self.node = CountingNode(
                cli_args=arguments,
                parameter_overrides=[
                    Parameter(name, value=value) for name, value in {**UNHURRIED, **parameters}.items()
                ],
            )
        except (OptionError, ParameterException, RuntimeError) as error:
            raise CommandError(f'{params_file}: {error}', 'see config/hand.yaml') from error
        self._player = Node('replay')
        self._executor = SingleThreadedExecutor()
        for node in (self._player, self.node):
            self._executor.add_node(node)
        self._given = Counter()
        self._answers, self._transforms = [], []
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

    def give(self, topic, data):
        """Publishes a serialized message; returns when hand_node has taken it in."""
        publisher = self._publishers[topic]
        publisher.publish(data)
        self._given[publisher.topic_name] += 1
        self._wait(
            lambda: self.node.received[publisher.topic_name] == self._given[publisher.topic_name],
            f'hand_node did not receive {topic}',
        )

    def show(self, topic, data):
        """Gives a serialized picture; returns the HandArray that answers it, None where hand_node refused
        it."""
        self.give(topic, data)
        diagnostics, shown = self.node.diagnostics, self._given[self._publishers[topic].topic_name]
        self._wait(
            lambda: (
                diagnostics.taken == shown
                and not diagnostics.busy
                and self._answered + len(self._answers) == diagnostics.processed
            ),
            'hand_node did not answer',
        )
        self._answered = diagnostics.processed
        return self._answers.pop() if self._answers else None

    def take_transforms(self):
        """The TFMessages on /tf since the last call."""
        self._executor.spin_once(timeout_sec=0)
        taken = list(self._transforms)
        self._transforms.clear()
        return taken

    def close(self):
        """Ends the nodes."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._player.destroy_node()

    def _start(self):
        """Configures and activates; returns when everybody hears everybody."""
        if self.node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            what, fix = self.node.diagnostics.failure
            self.close()
            raise ModelError(what, fix)
        self.node.trigger_activate()
        heard = [
            publisher
            for publisher in self.node.publishers
            if publisher.topic_name.endswith(('/hands', '/tf'))
        ]
        needed = [*heard, *self._publishers.values()]
        self._wait(
            lambda: all(publisher.get_subscription_count() for publisher in needed),
            'the topics did not connect',
        )

    def _wait(self, condition, failure):
        end = time.monotonic() + PATIENCE
        while not condition():
            self._executor.spin_once(timeout_sec=0.05)
            if time.monotonic() > end:
                raise ModelError(f'{failure} within {PATIENCE:.0f} s', 'report this')
