"""Images of a recording with their calibration, decoded as hand_node decodes them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput, CommandError
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.bag import Bag, header_stamp
from maskhand_ros.nodes.bag_storage import Recorded
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.images import decode_image
from maskhand_ros.nodes.silence import COMPRESSED, IMAGE
from maskhand_ros.video_reader import plausible_rate


class BagImages:
    """The images of one topic of a bag. `rate`: Hz, by the median interval. `duration`: seconds. `damaged`:
    images that could not be decoded so far."""

    def __init__(self, path: str | Path, topic: str | None) -> None:
        """`topic`: of sensor_msgs/Image or CompressedImage; None: the only one. CommandError where there is
        none, or no image in it."""
        self._bag = Bag(path)
        self._topic = topic or self._only_topic()
        self._kind = self._bag.type_of(self._topic, (Image, CompressedImage))
        info = f'{self._topic.removesuffix("/compressed").rpartition("/")[0]}/camera_info'
        self._info_topic = info if info in self._bag.topics else None
        self._start, last, steps = self._times()
        self.rate = plausible_rate(1e9 / statistics.median(steps)) if steps else plausible_rate(0)
        self.duration = (last - self._start) * 1e-9 + 1 / self.rate
        self.damaged = 0

    def close(self) -> None:
        """Closes the bag."""
        self._bag.__exit__()

    def frames(self, start_ns: int) -> Iterator[tuple[np.ndarray, int, Camera | None]]:
        """(RGB (H, W, 3) uint8, ns since the first image, Camera or None) of the images at `start_ns` or
        later. The camera is that of the last CameraInfo before the image, or of the first one."""
        topics = [self._topic] + ([self._info_topic] if self._info_topic else [])
        info, last = self._first_info(), -1
        for message in self._bag.messages(topics):
            if message.topic == self._info_topic:
                info = deserialize_message(message.data, CameraInfo)
                continue
            time_ns = max(_stamp(message) - self._start, last + 1_000_000 if last >= 0 else 0)
            last = time_ns
            if time_ns < start_ns:
                continue
            try:
                rgb = self._decode(message.data)
            except BadInput:
                self.damaged += 1
                continue
            yield rgb, time_ns, _camera(info, rgb)

    def _decode(self, data: bytes) -> np.ndarray:
        image = deserialize_message(data, self._kind)
        return decode_image(image) if self._kind is Image else decode_compressed(image)

    def _only_topic(self) -> str:
        topics = sorted(name for name, kind in self._bag.topics.items() if kind in (IMAGE, COMPRESSED))
        if len(topics) == 1:
            return topics[0]
        held = ', '.join(topics) or 'none'
        raise CommandError(
            f'{self._bag.path} has {len(topics)} image topics ({held})',
            'name one with --topic, or for each bag in a manifest',
        )

    def _times(self) -> tuple[int, int, list[int]]:
        """Stamps of the first and the last image, and the positive steps between images, ns."""
        stamps = [_stamp(message) for message in self._bag.messages([self._topic])]
        if not stamps:
            raise CommandError(f'{self._bag.path} has no image on {self._topic}', 'name another with --topic')
        steps = [after - before for before, after in zip(stamps, stamps[1:], strict=False)]
        return stamps[0], max(stamps), [step for step in steps if step > 0]

    def _first_info(self) -> CameraInfo | None:
        first = next(self._bag.messages([self._info_topic]), None) if self._info_topic else None
        return None if first is None else deserialize_message(first.data, CameraInfo)


def _stamp(message: Recorded) -> int:
    """The header's stamp, or the time of recording where it is 0; ns."""
    return header_stamp(message.data) or message.time_ns


def _camera(info: CameraInfo | None, rgb: np.ndarray) -> Camera | None:
    """The Camera of a CameraInfo; None where it does not fit the image or cannot be."""
    if info is None:
        return None
    try:
        return decode_camera_info(info, rgb.shape[1], rgb.shape[0])
    except BadInput:
        return None
