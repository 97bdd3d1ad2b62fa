"""recorder: writes images (as JPEG), hands, markers, TF and diagnostics into one MCAP file.

The file carries the message definitions: Foxglove and Lichtblick open it without ROS, `rosbags` reads it.
The executor's thread only queues messages with their arrival time; a second thread compresses and writes.
"""

from __future__ import annotations

import queue
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from maskhand_ros.msg import HandArray, HandTopology
from maskhand_ros.nodes.compatibility import subscription_callback
from maskhand_ros.nodes.compressed import encode_compressed
from maskhand_ros.nodes.image_subscription import AutoQosSubscription
from maskhand_ros.nodes.images import decode_image
from maskhand_ros.nodes.message_types import typestore
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.silence import COMPRESSED, type_name

RECORDER_QOS = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
"""QoS with a history that covers the time in which this process is busy."""


class McapFile:
    """One MCAP file, written message by message."""

    def __init__(self, path: str | Path) -> None:
        """Replaces the file at `path` when it is closed."""
        self._path = Path(path)
        # rosbags writes a folder with the file and its metadata
        self._folder = self._path.with_suffix('.writing')
        shutil.rmtree(self._folder, ignore_errors=True)
        self._types = typestore()
        self._writer = Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Any] = {}  # rosbags Connection by topic

    def write(self, topic: str, type_name: str, stamp_ns: int, data: bytes) -> None:
        """Appends a serialized (CDR) message of type 'package/msg/Name'."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, type_name, typestore=self._types)
        self._writer.write(self._connections[topic], stamp_ns, data)

    def close(self) -> None:
        """Finishes the file and moves it to its path."""
        self._writer.close()
        shutil.move(str(next(self._folder.glob('*.mcap'))), self._path)
        shutil.rmtree(self._folder)


class QueuedMessage(NamedTuple):
    """A message between the executor's thread and the writer's."""

    topic: str
    type_name: str
    arrival_ns: int
    content: bytes | Image
    """Serialized, but for images, which are compressed first."""


class Recorder(Node):
    """Parameters: `output` (path of the MCAP file), `hand_node` (full name of the node to record),
    `progress` (a line a second), `jpeg_quality`."""

    def __init__(self) -> None:
        super().__init__('recorder')
        self._progress = self.declare_parameter('progress', False).value
        self._quality = self.declare_parameter('jpeg_quality', 85).value
        node = self.declare_parameter('hand_node', '/hand_node').value
        self._file = McapFile(self.declare_parameter('output', 'hands.mcap').value)
        self._queue: queue.Queue[QueuedMessage | None] = queue.Queue()
        self.counts: dict[str, int] = {}
        self._reported = (0, 0)
        self._image = AutoQosSubscription(self, Image, 'image', self._put_image, depth=100)
        self._record(CameraInfo, 'camera_info', RECORDER_QOS)
        self._record(HandArray, f'{node}/hands', RECORDER_QOS)
        self._record(HandTopology, f'{node}/topology', LATCHED)
        self._record(MarkerArray, f'{node}/markers', RECORDER_QOS)
        self._record(TFMessage, '/tf', RECORDER_QOS)
        self._record(DiagnosticArray, '/diagnostics', RECORDER_QOS)
        self.create_timer(0.5, self._image.follow_publishers)
        self.create_timer(1.0, self._report)
        self._writer = threading.Thread(target=self._write, name='writer')
        self._writer.start()

    def close(self) -> None:
        """Writes the queued messages and finishes the file."""
        self._queue.put(None)
        self._writer.join()
        self._file.close()

    def _record(self, msg_type: type, topic: str, qos: QoSProfile) -> None:
        """Subscribes to a topic whose serialized messages are written."""
        topic, kind = self.resolve_topic_name(topic), type_name(msg_type)

        def put(data: bytes, info: dict[str, Any]) -> None:
            self._put(topic, kind, info, bytes(data))

        self.create_subscription(msg_type, topic, subscription_callback(put), qos, raw=True)

    def _put_image(self, msg: Image, info: dict[str, Any]) -> None:
        self._put(f'{self._image.topic}/compressed', COMPRESSED, info, msg)

    def _put(self, topic: str, kind: str, info: dict[str, Any], content: bytes | Image) -> None:
        # The time at which the middleware received it: this process may be busy compressing.
        arrival = info.get('received_timestamp') or time.time_ns()
        self._queue.put(QueuedMessage(topic, kind, arrival, content))
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def _write(self) -> None:
        """Writes queued messages until None (thread)."""
        while (queued := self._queue.get()) is not None:
            content = queued.content
            if isinstance(content, Image):
                image = encode_compressed(decode_image(content), content.header, self._quality)
                content = serialize_message(image)
            self._file.write(queued.topic, queued.type_name, queued.arrival_ns, content)

    def _report(self) -> None:
        hands = next((count for topic, count in self.counts.items() if topic.endswith('/hands')), 0)
        counts = self.counts.get(f'{self._image.topic}/compressed', 0), hands
        if self._progress and counts != self._reported:
            print(f'  {counts[0]} images, {counts[1]} processed', flush=True)
            self._reported = counts


def main(args: list[str] | None = None) -> None:
    """Records until SIGINT or SIGTERM, then finishes the file."""
    recorder = None
    try:
        rclpy.init(args=args)
        recorder = Recorder()
        rclpy.spin(recorder)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not truncate the file
        if recorder is not None:
            recorder.close()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
