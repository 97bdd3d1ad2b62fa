"""MCAP files of labelled clips, one a clip, that Foxglove, Lichtblick, Rerun and ROS 2 open.

All messages are standard ones of ROS 2: images as JPEG, CameraInfo, the transforms of the wrists, keypoints
as PointCloud2, skeletons as markers, wrists as PoseStamped, confidences as Float32. Stamps are times since
the first frame. Hands without a metric position have no geometry here: a clip without a camera matrix has
images and confidences alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.writer import Writer
from rosbags.typesys import Stores, get_typestore

from maskhand_ros.labelling.camera_poses import camera_poses_in
from maskhand_ros.labelling.finished import FinishedClip
from maskhand_ros.labelling.mcap_messages import Messages
from maskhand_ros.labelling.parquet import flush, read_clip, slots
from maskhand_ros.labelling.records import FrameLabels

IMAGE, CAMERA_INFO = '/camera/image/compressed', '/camera/camera_info'
KEYPOINTS, MARKERS, TF = '/hands/keypoints', '/hands/markers', '/tf'
WRIST, CONFIDENCE = '/hands/{side}/wrist', '/hands/{side}/confidence'
_QUALITY = 85
"""Of JPEG."""


class McapClip:
    """An MCAP file, written message by message. Use as a context manager: the file appears when the block
    ends without an exception."""

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_name(f'.{path.name}.{os.getpid()}.part')
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        """Messages by topic."""

    def __enter__(self) -> McapClip:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = Writer(str(self._partial))
        self._writer.start('ros2', 'maskhand_ros')
        return self

    def write(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Appends a message of rosbags' types."""
        name = message.__msgtype__
        if topic not in self._channels:
            if name not in self._schemas:
                text = self._types.generate_msgdef(name, ros_version=2)[0]
                self._schemas[name] = self._writer.register_schema(name, 'ros2msg', text.encode())
            self._channels[topic] = self._writer.register_channel(topic, 'cdr', self._schemas[name])
        data = bytes(self._types.serialize_cdr(message, name))
        self._writer.add_message(self._channels[topic], stamp_ns, data, stamp_ns)
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._writer.finish()
            if kind is None:
                flush(self._partial)
                os.replace(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def write_mcap(clip: FinishedClip, path: Path) -> dict[str, int]:
    """Writes the MCAP file of a clip; returns the numbers of messages by topic. CommandError where its
    images are not those that were labelled."""
    frames, camera = read_clip(clip.file), clip.metadata['camera']
    size = clip.metadata['width'], clip.metadata['height']
    poses = camera_poses_in(clip.file)
    with McapClip(path) as mcap:
        messages = Messages()
        for frame, rgb in zip(frames, clip.images(range(len(frames))), strict=True):
            stamp_ns = round(frame.source_time_s * 1e9)
            pose = poses[frame.frame_index] if poses else None
            if pose is not None:
                mcap.write(TF, messages.camera_pose(stamp_ns, pose), stamp_ns)
            mcap.write(IMAGE, messages.image(stamp_ns, _jpeg(rgb)), stamp_ns)
            if frame.intrinsics is not None:
                info = messages.camera_info(stamp_ns, frame.intrinsics, size, camera)
                mcap.write(CAMERA_INFO, info, stamp_ns)
            _write_hands(mcap, messages, frame, stamp_ns)
        return mcap.counts


def _write_hands(mcap: McapClip, messages: Messages, frame: FrameLabels, stamp_ns: int) -> None:
    metric = [hand for hand in frame.hands if hand.kp3d is not None]
    mcap.write(KEYPOINTS, messages.keypoints(stamp_ns, metric), stamp_ns)
    mcap.write(MARKERS, messages.markers(stamp_ns, metric), stamp_ns)
    if metric:
        mcap.write(TF, messages.transforms(stamp_ns, metric), stamp_ns)
    for hand in slots(frame.hands)[0]:
        if hand is not None:
            side = str(hand.side)
            mcap.write(CONFIDENCE.format(side=side), messages.number(hand.confidence), stamp_ns)
            if hand.wrist_position is not None:
                mcap.write(WRIST.format(side=side), messages.wrist(stamp_ns, hand), stamp_ns)


def _jpeg(rgb: np.ndarray) -> np.ndarray:
    flags: Sequence[int] = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    return cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), flags)[1].reshape(-1)
