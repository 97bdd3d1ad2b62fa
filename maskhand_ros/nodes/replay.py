"""Plays a recording into hand_node, image after image, and writes its hands into an MCAP file.

The next image is given when the answer to the last one has come: nothing is dropped, and the same recording
gives the same hands on a fast and on a slow machine. It takes rosbag2 folders, .mcap, .db3 and ROS 1 .bag
files, also damaged ones as far as they are whole. It needs no rosbag2. Discovery is off, so no other node
receives its messages.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from tf2_msgs.msg import TFMessage

from maskhand_ros.camera_arguments import (
    Calibration,
    add_camera_arguments,
    calibration_from,
    read_calibration,
)
from maskhand_ros.errors import BadInput, CommandError
from maskhand_ros.msg import HandArray
from maskhand_ros.nodes.bag import Bag
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.diagnostics import Diagnostics
from maskhand_ros.nodes.messages import stamp_to_ns
from maskhand_ros.nodes.playback import STATIC, Playback
from maskhand_ros.nodes.recorder import McapFile
from maskhand_ros.nodes.silence import type_name
from maskhand_ros.nodes.stepped_node import SteppedNode
from maskhand_ros.skeleton import Handedness

TYPES = {
    'image': Image,
    'image/compressed': CompressedImage,
    'camera_info': CameraInfo,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    STATIC: TFMessage,
}
"""Topics of hand_node on which a recording is played."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `maskhand replay`."""
    parser.add_argument(
        'bag', metavar='BAG', help='folder of a rosbag2 recording, .mcap, .db3 or ROS 1 .bag file'
    )
    parser.add_argument(
        '--image', required=True, metavar='TOPIC', help='sensor_msgs/Image or CompressedImage to process'
    )
    parser.add_argument(
        '--camera-info-topic',
        metavar='TOPIC',
        help='its CameraInfo (default: camera_info beside the image topic, if recorded)',
    )
    add_camera_arguments(parser)
    parser.add_argument(
        '--depth',
        metavar='TOPIC',
        help='depth image; camera_info beside it and /tf_static are used if recorded',
    )
    parser.add_argument('--params-file', metavar='YAML', help='parameters of hand_node, such as hand.yaml')
    parser.add_argument('--out', default='hands.mcap', metavar='MCAP', help='default: %(default)s')


def run(args: argparse.Namespace) -> int:
    """Plays, writes and prints the summary; exit status 1 where hand_node could use no image."""
    if Path(args.out).resolve() == Path(args.bag).resolve():
        raise CommandError('--out is the bag itself', 'name another file')
    if args.camera_info:
        read_calibration(args.camera_info)  # what is wrong with it is said before the node starts
    # Two readers: images, and what goes with them, are read beside each other.
    with Bag(args.bag) as images, Bag(args.bag) as beside:
        roles = played_topics(images, args)
        _turn_discovery_off()
        quiet = ['--ros-args', '--log-level', 'warn']
        rclpy.init(args=quiet, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        try:
            return _play(images, beside, roles, args)
        finally:
            rclpy.try_shutdown()


def played_topics(bag: Bag, args: argparse.Namespace) -> dict[str, str]:
    """{topic of the recording: topic of hand_node on which it is played}. CommandError where a topic that is
    asked for is not recorded."""
    kind = bag.type_of(args.image, (Image, CompressedImage))
    roles = {args.image: 'image' if kind is Image else 'image/compressed'}
    info = args.camera_info_topic or _beside(args.image.removesuffix('/compressed'))
    if not _has_calibration(args) and (args.camera_info_topic or info in bag.topics):
        bag.type_of(info, (CameraInfo,))
        roles[info] = 'camera_info'
    if args.depth:
        bag.type_of(args.depth, (Image,))
        roles[args.depth] = 'depth/image'
        for topic, role in ((_beside(args.depth), 'depth/camera_info'), (STATIC, STATIC)):
            if topic in bag.topics:
                roles.setdefault(topic, role)
    return roles


def _beside(image: str) -> str:
    """The topic camera_info beside an image topic."""
    return f'{image.rpartition("/")[0]}/camera_info'


def _has_calibration(args: argparse.Namespace) -> bool:
    return bool(args.intrinsics or args.camera_info)


def _turn_discovery_off() -> None:
    """Turns discovery off: recorded hands must not reach a robot, and its images must not reach this node."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'OFF'
    if os.environ.get('ROS_DISTRO') == 'humble':  # it has no such range
        os.environ.update(ROS_LOCALHOST_ONLY='1', ROS_DOMAIN_ID=str(1 + os.getpid() % 100))


def _play(images: Bag, beside: Bag, roles: dict[str, str], args: argparse.Namespace) -> int:
    parameters = {
        'compressed': roles[args.image] == 'image/compressed',
        'use_depth': bool(args.depth),
        'image_qos': 'reliable',
    }
    playback = Playback(images, beside, args.image, roles)
    topics = {role: TYPES[role] for role in (*roles.values(), 'camera_info')}
    stepped = SteppedNode(topics, parameters, args.params_file)
    try:
        out = McapFile(args.out)
        try:
            shown, answers = _show_all(stepped, playback, out, args)
        finally:
            out.close()
        for text in _assumptions(playback, roles, args):
            print(f'  Assumed: {text}.')
        for text in dict.fromkeys(images.notes + beside.notes):
            print(f'  Note: {text}.')
        _print_summary(shown, answers, stepped.node.diagnostics, args.out)
    finally:
        stepped.close()
    return 0 if answers else 1


def _show_all(
    stepped: SteppedNode, playback: Playback, out: McapFile, args: argparse.Namespace
) -> tuple[int, list[HandArray]]:
    """The number of images published, and the answers, which are written with the transforms."""
    shown, answers = 0, []
    for role, data in playback:
        if role not in ('image', 'image/compressed'):
            stepped.publish(role, data)
            continue
        if not shown and _has_calibration(args):
            stepped.publish('camera_info', _camera_info(args, data, TYPES[role]))
        shown += 1
        answer = stepped.process_image(role, data)
        if answer is not None:
            answers.append(answer)
            _write(out, '/hand_node/hands', answer.header, answer)
        for msg in stepped.take_transforms():
            _write(out, '/tf', msg.transforms[0].header, msg)
    return shown, answers


def _assumptions(playback: Playback, roles: dict[str, str], args: argparse.Namespace) -> list[str]:
    lines = list(playback.assumptions)
    if _has_calibration(args):
        lines.append(f'the calibration of {args.camera_info or "--intrinsics"}')
    elif 'camera_info' not in roles.values():
        lines.append(
            'no camera, as there is no CameraInfo: hands have no metric position '
            '(--camera-info FILE.yaml or --intrinsics gives them one)'
        )
    return lines


def _camera_info(args: argparse.Namespace, data: bytes, kind: type) -> bytes:
    """The serialized CameraInfo of the calibration on the command line, for a serialized image."""
    image = deserialize_message(data, kind)
    try:
        height, width = (image.height, image.width) if kind is Image else decode_compressed(image).shape[:2]
    except BadInput as error:
        raise CommandError(f'the first image cannot be decoded: {error}', error.remedy) from error
    calibration = calibration_from(args, width, height)
    assert calibration is not None
    return serialize_message(camera_info_msg(calibration, image.header))


def camera_info_msg(calibration: Calibration, header: Any) -> CameraInfo:
    """A Calibration as sensor_msgs/CameraInfo."""
    values = {name: getattr(calibration, name) for name in calibration.__dataclass_fields__ if name != 'roi'}
    return CameraInfo(header=header, roi=RegionOfInterest(**vars(calibration.roi)), **values)


def _write(out: McapFile, topic: str, header: Any, msg: Any) -> None:
    out.write(topic, type_name(type(msg)), stamp_to_ns(header.stamp), serialize_message(msg))


def _print_summary(shown: int, answers: list[HandArray], diagnostics: Diagnostics, path: str) -> None:
    """Prints images, hands, ids, latency and the faults that hand_node counted."""
    hands = [hand for answer in answers for hand in answer.hands]
    ids = Counter((hand.id, Handedness(hand.side)) for hand in hands)
    times = [answer.processing_time.sec * 1e3 + answer.processing_time.nanosec * 1e-6 for answer in answers]
    rows: list[tuple[str, object]] = [
        ('images', f'{shown}, {len(answers)} of them processed'),
        ('hands', f'{len(hands)}, {len(hands) / max(len(answers), 1):.2f} per image'),
        ('ids', ', '.join(f'{id} {side} ({count})' for (id, side), count in sorted(ids.items())) or 'none'),
    ]
    if times:
        rows.append(('latency p50 / p99', '{:.1f} / {:.1f} ms'.format(*np.percentile(times, (50, 99)))))
    for faults in (diagnostics.images, diagnostics.calibration, diagnostics.depth, diagnostics.faults):
        rows += faults.values()
    width = max(len(name) for name, _ in rows)
    print('\n'.join(f'  {name:<{width}}  {value}' for name, value in rows))
    print(f'  Hands and TF are in {path}; every message has the time of its image.', flush=True)
