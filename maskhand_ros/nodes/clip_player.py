"""clip_player: publishes a video file or a webcam as Image + CameraInfo, stamped when they are sent.

The calibration of a clip `name.mp4` is `K` (3, 3) in `name.npz` in the same folder. Without it the CameraInfo
is a guess (a field of view of 53 degrees), and the node logs a warning.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from maskhand_ros.clip import CLIP
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.messages import ns_to_stamp
from maskhand_ros.video_reader import VideoReader, plausible_rate

RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


class ClipPlayer(Node):
    """Parameters: `video` (path; empty: the bundled clip), `camera` (number of a webcam; -1: none), `rate`
    (Hz; 0: the times of the clip), `seconds` (0: to the end), `loop`, `wait_for_subscribers` (start with
    that many), `frame_id`, `report` (JSON file for the stamps of the published images), and QoS overrides of
    the images: `qos_overrides./image.publisher.reliability`."""

    def __init__(self) -> None:
        super().__init__('clip_player')
        self.video: str = self.declare_parameter('video', '').value
        self.camera: int = self.declare_parameter('camera', -1).value
        self.rate: float = self.declare_parameter('rate', 0.0).value
        self.seconds: float = self.declare_parameter('seconds', 0.0).value
        self.loop: bool = self.declare_parameter('loop', False).value
        self.wait_for_subscribers: int = self.declare_parameter('wait_for_subscribers', 0).value
        self.frame_id: str = self.declare_parameter('frame_id', 'camera_optical_frame').value
        self.report: str = self.declare_parameter('report', '').value
        self._images = self.create_publisher(
            Image, 'image', RELIABLE, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        self._infos = self.create_publisher(CameraInfo, 'camera_info', RELIABLE)
        self._stamps: list[int] = []
        self._open()
        self._info = self._camera_info()

    def play(self) -> None:
        """Publishes until the end, an error of the camera, or shutdown."""
        self._wait_for_subscribers()
        begin = time.monotonic()
        for image, due in self._images_due():
            wait = begin + due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if not rclpy.ok() or (self.seconds and time.monotonic() - begin > self.seconds):
                break
            self._publish(image)
        self._images.wait_for_all_acked(Duration(seconds=1))  # otherwise the last image may be lost at exit
        self._write_report()

    def _open(self) -> None:
        """Opens the source, and sets its path, rate (Hz) and Camera."""
        self._path = self.video or str(CLIP)
        width, height = self._open_camera() if self.camera >= 0 else self._open_video()
        self._camera = Camera.default(width, height)
        truth = Path(self._path).with_suffix('.npz')
        calibrated = self.camera < 0 and truth.is_file()
        if calibrated:
            with np.load(truth, allow_pickle=False) as file:
                self._camera = Camera(np.array(file['K'], float), width, height)
        else:
            self.get_logger().warning(
                'no calibration: CameraInfo assumes a field of view of 53 degrees, so distances are a guess'
            )

    def _open_camera(self) -> tuple[int, int]:
        """Opens the webcam and returns its width and height in pixels."""
        self._capture = cv2.VideoCapture(self.camera)
        if not self._capture.isOpened():
            raise CommandError(
                f'camera {self.camera} does not open',
                f'plug it in, and check that you may read /dev/video{self.camera}',
            )
        width, height, rate = (
            self._capture.get(number)
            for number in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        self._rate = plausible_rate(rate)
        return int(width), int(height)

    def _open_video(self) -> tuple[int, int]:
        """Opens the video for its rate and returns its width and height in pixels."""
        with VideoReader(self._path) as video:
            self._rate = self.rate or video.rate
            return video.width, video.height

    def _wait_for_subscribers(self) -> None:
        """Waits for the subscribers, then until they are unchanged for 1.5 s: they replace their subscription
        once they know this publisher's reliability."""
        known: list[str] | None = None
        since = time.monotonic()
        while rclpy.ok() and self.wait_for_subscribers and time.monotonic() < since + 1.5:
            present = sorted(
                str(i.endpoint_gid) for i in self.get_subscriptions_info_by_topic(self._images.topic_name)
            )
            if present != known or len(present) < self.wait_for_subscribers:
                known, since = present, time.monotonic()
            time.sleep(0.05)

    def _images_due(self) -> Iterator[tuple[Image, float]]:
        """The frames due as Image messages, without a header."""
        return ((encode_image(rgb, Header()), due) for rgb, due in self._frames_due())

    def _frames_due(self) -> Iterator[tuple[np.ndarray, float]]:
        """Pairs (RGB (H, W, 3) uint8, seconds after the start at which to publish it); 0 s for a webcam."""
        return self._camera_frames() if self.camera >= 0 else self._video_frames()

    def _camera_frames(self) -> Iterator[tuple[np.ndarray, float]]:
        while True:
            good, bgr = self._capture.read()
            if not good:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), 0.0

    def _video_frames(self) -> Iterator[tuple[np.ndarray, float]]:
        start, index = 0.0, 0
        while True:
            due = start
            with VideoReader(self._path) as video:
                for rgb, time_ns in video:
                    due = index / self._rate if self.rate else start + time_ns * 1e-9
                    yield rgb, due
                    index += 1
            if not self.loop:
                return
            start = due + 1 / self._rate

    def _publish(self, image: Image) -> None:
        """Publishes an image and its CameraInfo with the present time."""
        stamp = self.get_clock().now().nanoseconds
        image.header = self._info.header = Header(stamp=ns_to_stamp(stamp), frame_id=self.frame_id)
        self._infos.publish(self._info)
        self._images.publish(image)
        self._stamps.append(stamp)

    def _camera_info(self) -> CameraInfo:
        """The CameraInfo of all images, without a header."""
        K = self._camera.K
        return CameraInfo(
            width=self._camera.width,
            height=self._camera.height,
            distortion_model='plumb_bob',
            d=[0.0] * 5,
            k=K.reshape(9),
            r=np.eye(3).reshape(9),
            p=np.hstack([K, np.zeros((3, 1))]).reshape(12),
        )

    def _write_report(self) -> None:
        if self.report:
            source = f'camera {self.camera}' if self.camera >= 0 else self._path
            Path(self.report).write_text(json.dumps({'source': source, 'stamps_ns': self._stamps}))


def main(args: list[str] | None = None, player: type[ClipPlayer] = ClipPlayer) -> None:
    """Plays to the end; exit code 1 if the source cannot be opened."""
    try:
        rclpy.init(args=args)
        player().play()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except CommandError as error:
        sys.exit(f'clip_player: {error}')
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
