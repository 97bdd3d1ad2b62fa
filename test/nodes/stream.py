"""A camera that streams the bundled clip at a steady rate, with a ROS participant of its own."""

import contextlib
import threading
import time
from functools import lru_cache
from itertools import islice

import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from maskhand_ros.clip import read_clip
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.messages import ns_to_stamp

PICTURES = 60
"""Of the clip's beginning, shown forth and back, so that hands never leap; both are in all of them."""


@lru_cache(maxsize=1)
def _clip():
    clip = read_clip()
    pictures = list(islice(clip.frames(), PICTURES))
    return pictures + pictures[-2:0:-1], clip.K.reshape(9)


class Stream:
    """Publishes `image` and `camera_info` in `namespace` at `rate` Hz from a thread, until `close`.

    What it is told comes into effect with the next picture: `offset_ns` is added to the stamps, which are
    the machine's time; `spoil` is a function that gives the messages sent in place of a picture, or None.
    """

    def __init__(self, namespace, rate=30.0, reliability=ReliabilityPolicy.RELIABLE):
        self._namespace, self._period = namespace, 1 / rate
        self.reliability = reliability
        self.offset_ns, self.spoil = 0, None
        self.sent = {}
        """{stamp in ns: monotonic time in s} of the clip's pictures."""
        self._lock, self._running, self._silent = threading.Lock(), True, False
        self._images, self._K = _clip()
        self._context = None
        self.plug()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def plug(self, reliability=None):
        """Starts the camera's node; with another `reliability` if it is given."""
        with self._lock:
            self.reliability = reliability or self.reliability
            self._context = Context()
            rclpy.init(args=[], context=self._context)
            self._node = rclpy.create_node('camera', namespace=self._namespace, context=self._context)
            self._open()

    def unplug(self):
        """Ends the camera's node and its participant."""
        with self._lock:
            self._node.destroy_node()
            self._context.shutdown()
            self._context = None

    def offer(self, reliability):
        """Replaces the publishers by ones of another reliability."""
        with self._lock:
            self.reliability = reliability
            for publisher in self._publishers.values():
                self._node.destroy_publisher(publisher)
            self._open()

    @contextlib.contextmanager
    def silence(self):
        """Nothing is published within."""
        self._silent = True
        yield
        self._silent = False

    def close(self):
        """Ends the thread, and the node if there is one."""
        self._running = False
        self._thread.join()
        if self._context is not None:
            self.unplug()

    def _open(self):
        qos = QoSProfile(depth=5, reliability=self.reliability)
        topics = {Image: 'image', CameraInfo: 'camera_info'}
        self._publishers = {
            kind: self._node.create_publisher(kind, topic, qos) for kind, topic in topics.items()
        }

    def _run(self):
        index, due = 0, time.monotonic()
        while self._running:
            due = max(due + self._period, time.monotonic())  # as a camera, it leaves out what it is late for
            time.sleep(max(0.0, due - time.monotonic()))
            with self._lock:
                if self._context is None or self._silent:
                    continue
                for msg in self.spoil() if self.spoil else self._shot(index):
                    self._publishers[type(msg)].publish(msg)
            index = (index + 1) % len(self._images)

    def _shot(self, index):
        """CameraInfo and Image of one picture, noted in `sent`."""
        picture = self._images[index]
        height, width = picture.shape[:2]
        stamp = time.time_ns() + self.offset_ns
        header = Header(stamp=ns_to_stamp(stamp), frame_id='camera')
        info = CameraInfo(header=header, width=width, height=height, k=self._K, distortion_model='plumb_bob')
        image = encode_image(picture, header)
        self.sent[stamp] = time.monotonic()
        return info, image
