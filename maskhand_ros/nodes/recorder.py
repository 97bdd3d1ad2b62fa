"""recorder: writes images (as JPEG), hands, markers, TF and diagnostics into one MCAP file.

The file carries the message definitions: Foxglove and Lichtblick open it without ROS, `rosbags` reads it.
The receiving thread only notes the time and queues; a second thread compresses and writes.
"""

from __future__ import annotations

import queue
import shutil
import signal
import threading
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from maskhand_ros.msg import HandArray, HandTopology
from maskhand_ros.nodes.compatibility import subscription_callback
from maskhand_ros.nodes.compressed import encode_compressed
from maskhand_ros.nodes.image_subscription import AutoQosSubscription
from maskhand_ros.nodes.images import decode_image
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.shared_files import share_path

MANY = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


def typestore():
    """The rosbags types of ROS 2 with maskhand_ros's messages beside them."""
    store = get_typestore(Stores.ROS2_KILTED)
    for path in sorted(share_path('msg').glob('*.msg')):
        store.register(get_types_from_msg(path.read_text(), f'maskhand_ros/msg/{path.stem}'))
    return store


class McapFile:
    """One MCAP file, written message by message."""

    def __init__(self, path):
        """Replaces the file at `path`."""
        self._path = Path(path)
        # rosbags writes a folder with metadata around the file
        self._folder = self._path.with_suffix('.writing')
        shutil.rmtree(self._folder, ignore_errors=True)
        self._types = typestore()
        self._writer = Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections = {}

    def write(self, topic, type_name, stamp_ns, data):
        """Adds serialized (CDR) bytes of a message of type 'package/msg/Name'."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, type_name, typestore=self._types)
        self._writer.write(self._connections[topic], stamp_ns, data)

    def close(self):
        """Finishes the file and puts it in its place."""
        self._writer.close()
        shutil.move(str(next(self._folder.glob('*.mcap'))), self._path)
        shutil.rmtree(self._folder)


class Recorder(Node):
    """Parameters: `output` (path of the MCAP file), `hand_node` (full name of the node to record),
    `progress` (a line a second), `jpeg_quality`."""

    def __init__(self):
        super().__init__('recorder')
        self._progress = self.declare_parameter('progress', False).value
        self._quality = self.declare_parameter('jpeg_quality', 85).value
        node = self.declare_parameter('hand_node', '/hand_node').value
        self._file = McapFile(self.declare_parameter('output', 'hands.mcap').value)
        self._queue = queue.Queue()
        self.counts = {}
        self._reported = (0, 0)
        self._image = AutoQosSubscription(self, Image, 'image', self._take_image, depth=100)
        self._listen(CameraInfo, 'camera_info', MANY)
        self._listen(HandArray, f'{node}/hands', MANY)
        self._listen(HandTopology, f'{node}/topology', LATCHED)
        self._listen(MarkerArray, f'{node}/markers', MANY)
        self._listen(TFMessage, '/tf', MANY)
        self._listen(DiagnosticArray, '/diagnostics', MANY)
        self.create_timer(0.5, self._image.follow_publishers)
        self.create_timer(1.0, self._report)
        self._writer = threading.Thread(target=self._write, name='writer')
        self._writer.start()

    def close(self):
        """Writes what is queued and finishes the file."""
        self._queue.put(None)
        self._writer.join()
        self._file.close()

    def _listen(self, msg_type, topic, qos):
        topic = self.resolve_topic_name(topic)
        type_name = f'{msg_type.__module__.split(".")[0]}/msg/{msg_type.__name__}'

        def take(data, info):
            self._note(topic, type_name, info, bytes(data))

        self.create_subscription(msg_type, topic, subscription_callback(take), qos, raw=True)

    def _take_image(self, msg, info):
        self._note(self._image.topic, None, info, msg)

    def _note(self, topic, type_name, info, content):
        # When the middleware had it: this process may be busy compressing, a consumer would not be.
        arrival = info.get('received_timestamp') or time.time_ns()
        self._queue.put((topic, type_name, arrival, content))
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def _write(self):
        for topic, type_name, stamp, content in iter(self._queue.get, None):
            if isinstance(content, Image):
                topic, type_name = f'{topic}/compressed', 'sensor_msgs/msg/CompressedImage'
                content = serialize_message(
                    encode_compressed(decode_image(content), content.header, self._quality)
                )
            self._file.write(topic, type_name, stamp, content)

    def _report(self):
        hands = next((count for topic, count in self.counts.items() if topic.endswith('/hands')), 0)
        counts = self.counts.get(self._image.topic, 0), hands
        if self._progress and counts != self._reported:
            print(f'  {counts[0]} images, {counts[1]} processed', flush=True)
            self._reported = counts


def main(args=None):
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
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the file off
        if recorder is not None:
            recorder.close()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
