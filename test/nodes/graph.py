"""A camera, a hand_node and ears around it in one process."""

import re
import threading
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from maskhand_ros.msg import HandArray
from maskhand_ros.nodes.compressed import encode_compressed
from maskhand_ros.nodes.hand_node import HandNode
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.messages import ns_to_stamp

GREY = np.full((120, 160, 3), 128, np.uint8)


def counted(faults):
    """{reason: count} of Faults."""
    return {key.removesuffix(': count'): value for key, value in faults.values() if key.endswith(': count')}


class Camera:
    """Publishes pictures with ascending stamps."""

    def __init__(self, graph, namespace, compressed=False, topic='image'):
        kind, topic = (CompressedImage, f'{topic}/compressed') if compressed else (Image, topic)
        self._images = graph.node.create_publisher(kind, f'{namespace}/{topic}', 5)
        self._encode = encode_compressed if compressed else encode_image
        self._infos = graph.node.create_publisher(CameraInfo, f'{namespace}/camera_info', 5)
        self.stamp_ns, self.frame_id = 1_000_000_000, 'camera'

    def matched(self):
        return self._images.get_subscription_count() > 0 and self._infos.get_subscription_count() > 0

    def show(self, rgb=GREY, info=None, step_ns=33_000_000, **wrong):
        """Publishes one, `step_ns` after the last; returns its header."""
        self.stamp_ns += step_ns
        header = Header(stamp=ns_to_stamp(self.stamp_ns), frame_id=self.frame_id)
        msg = self._encode(rgb, header)
        for name, value in wrong.items():
            setattr(msg, name, value)
        if info is not None:
            info.header = header
            self._infos.publish(info)
            time.sleep(0.1)  # two topics have no common order
        self._images.publish(msg)
        return header


class Graph:
    """Nodes on one executor in the background; `hear` collects what is published."""

    def __init__(self):
        self.node = Node('test')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._nodes = [self.node]
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        """Spins on when a test has ended an entity of its node just while this thread looked at it: a
        hand_node by itself does so in its executor's thread."""
        while True:
            try:
                return self._executor.spin()
            except InvalidHandle:
                continue

    def add(self, node):
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def camera(self, namespace, compressed=False, topic='image'):
        return Camera(self, namespace, compressed, topic)

    def watch(self, namespace, **values):
        return Watched(self, namespace, **values)

    def hear(self, msg_type, topic, qos=10):
        heard = []
        self.hear_each(msg_type, topic, heard.append, qos)
        return heard

    def hear_each(self, msg_type, topic, callback, qos=10):
        self.node.create_subscription(msg_type, topic, callback, qos)

    @staticmethod
    def wait(condition, seconds=60):
        """The first true value of `condition()`; fails after a time that only a broken node needs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError('waited in vain')

    def ask(self, client, request, seconds=60):
        """The answer of a service."""
        answer = client.call_async(request)
        self.wait(answer.done, seconds)
        return answer.result()

    def close(self):
        self._executor.shutdown()
        self._thread.join()
        for node in self._nodes:
            node.destroy_node()


class Watched:
    """An active hand_node, the camera before it, and what it says; its diagnostics are its own."""

    def __init__(self, graph, name, camera=True, topic='image', **values):
        """`name` becomes the namespace, which takes letters, numbers and underscores; `topic` is the
        camera's image topic in it."""
        namespace = re.sub('[^a-z0-9]+', '_', name.lower()).strip('_')
        self.graph, self.name = graph, f'/{namespace}'
        self.node = graph.add(
            HandNode(
                namespace=namespace,
                cli_args=[
                    *('--ros-args', '-r', f'/diagnostics:={self.name}/diagnostics'),
                    *('-r', f'image:={topic}'),
                ],
                parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            )
        )
        self.heard = graph.hear(HandArray, f'{self.name}/hand_node/hands')
        self._statuses = graph.hear(DiagnosticArray, f'{self.name}/diagnostics')
        self.camera = graph.camera(self.name, values.get('compressed', False), topic) if camera else None
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        self.activate()

    def activate(self):
        """Activates it, and waits until it hears its camera."""
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        if self.camera is not None:
            self.graph.wait(self.camera.matched)
            self.graph.wait(lambda: self.node._inputs.image.reliability == ReliabilityPolicy.RELIABLE)

    def show(self, *args, **kwargs):
        """The HandArray that answers a picture."""
        header = self.camera.show(*args, **kwargs)
        self.graph.wait(lambda: self.heard and self.heard[-1].header.stamp == header.stamp)
        return self.heard[-1]

    def wait_level(self, part, level, says):
        """The status of `part`, once the newest one has this level and says so."""

        def told():
            newest = [s for s in self._statuses[-1].status if s.name == f'hand_node: {part}']
            return newest[0].level == level and says in newest[0].message and newest[0]

        return self.graph.wait(lambda: self._statuses and told())

    def wait_told(self, part, reason):
        """The status of `part`, once it warns of `reason`."""

        def told():
            for status in reversed([s for msg in self._statuses for s in msg.status]):
                if status.name == f'hand_node: {part}':
                    said = {value.key: value.value for value in status.values}
                    warns = status.level == DiagnosticStatus.WARN and reason in status.message
                    return (
                        warns
                        and int(said.get(f'{reason}: count', 0)) > 0
                        and len(said[f'{reason}: remedy']) > 10
                        and status
                    )

        return self.graph.wait(told)
