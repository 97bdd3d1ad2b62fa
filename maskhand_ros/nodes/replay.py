"""Plays a rosbag2 recording into hand_node, picture after picture, and writes its hands into an MCAP file.

The next picture is given when the answer to the last one has come: nothing is dropped, and the same bag gives
the same hands on a fast and on a slow machine. It needs no rosbag2, and nobody else in ROS hears it.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import rclpy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from maskhand_ros.errors import CommandError
from maskhand_ros.nodes.bag import Bag, header_stamp
from maskhand_ros.nodes.messages import stamp_to_ns
from maskhand_ros.nodes.recorder import McapFile
from maskhand_ros.nodes.stepped_node import SteppedNode

AHEAD_NS = 50_000_000
"""Nanoseconds by which what goes with a picture may be stamped later: the depth nearest to it may be."""

TYPES = {
    'image': Image,
    'image/compressed': CompressedImage,
    'camera_info': CameraInfo,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    '/tf_static': TFMessage,
}
"""Topics of hand_node on which a bag is played."""


def add_arguments(parser):
    """The command line of `maskhand replay`."""
    parser.add_argument('bag', metavar='BAG', help='folder of a rosbag2 recording, .mcap or .db3 file')
    parser.add_argument(
        '--image', required=True, metavar='TOPIC', help='sensor_msgs/Image or CompressedImage to look at'
    )
    parser.add_argument(
        '--camera-info', metavar='TOPIC', help='its CameraInfo (default: camera_info beside the image topic)'
    )
    parser.add_argument(
        '--depth',
        metavar='TOPIC',
        help='depth image; camera_info beside it and /tf_static are used if recorded',
    )
    parser.add_argument('--params-file', metavar='YAML', help='parameters of hand_node, such as hand.yaml')
    parser.add_argument('--out', default='hands.mcap', metavar='MCAP', help='default: %(default)s')


def run(args):
    """Plays, writes and prints the summary; exit status 1 where hand_node could use no picture."""
    if Path(args.out).resolve() == Path(args.bag).resolve():
        raise CommandError('--out is the bag itself', 'name another file')
    # Two readers: pictures, and what goes with them, are read beside each other.
    with Bag(args.bag) as pictures, Bag(args.bag) as rest:
        topics = played_topics(pictures, args.image, args.camera_info, args.depth)
        _leave_the_robot_alone()
        quiet = ['--ros-args', '--log-level', 'warn']
        rclpy.init(args=quiet, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        try:
            return _play(pictures, rest, topics, args)
        finally:
            rclpy.try_shutdown()


def played_topics(bag, image, info=None, depth=None):
    """{topic of the bag: topic of hand_node on which it is played}. CommandError where one that is asked for
    is not in the bag."""
    kind = bag.type_of(image, (Image, CompressedImage))
    info = info or _beside(image.removesuffix('/compressed'))
    bag.type_of(info, (CameraInfo,))
    topics = {image: 'image' if kind is Image else 'image/compressed', info: 'camera_info'}
    if depth:
        bag.type_of(depth, (Image,))
        topics[depth] = 'depth/image'
        for topic, role in ((_beside(depth), 'depth/camera_info'), ('/tf_static', '/tf_static')):
            if bag.has(topic):
                topics.setdefault(topic, role)
    return topics


def _beside(image):
    """The topic camera_info beside an image topic."""
    return f'{image.rpartition("/")[0]}/camera_info'


def _leave_the_robot_alone():
    """Nobody is discovered: old pictures and frames must not reach a robot, nor its pictures us."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'OFF'
    if os.environ.get('ROS_DISTRO') == 'humble':  # which knows no such range
        os.environ.update(ROS_LOCALHOST_ONLY='1', ROS_DOMAIN_ID=str(1 + os.getpid() % 100))


def _play(pictures, rest, topics, args):
    parameters = {
        'compressed': topics[args.image] == 'image/compressed',
        'use_depth': bool(args.depth),
        'image_qos': 'reliable',
    }
    stepped = SteppedNode({role: TYPES[role] for role in topics.values()}, parameters, args.params_file)
    try:
        out = McapFile(args.out)
        try:
            shown, answers = 0, []
            for role, data in in_order(pictures, rest, args.image, topics):
                if role not in ('image', 'image/compressed'):
                    stepped.give(role, data)
                    continue
                shown += 1
                answer = stepped.show(role, data)
                if answer is not None:
                    answers.append(answer)
                    _write(out, '/hand_node/hands', 'maskhand_ros/msg/HandArray', answer.header, answer)
                for msg in stepped.take_transforms():
                    _write(out, '/tf', 'tf2_msgs/msg/TFMessage', msg.transforms[0].header, msg)
        finally:
            out.close()
        _print_summary(shown, answers, stepped.node.diagnostics, args.out)
    finally:
        stepped.close()
    return 0 if answers else 1


def in_order(pictures, rest, image, topics):
    """Yields (topic of hand_node, serialized message): static transforms, then every picture after all that
    is stamped up to it and a little later. So no picture waits, and it does not matter what a recorder was
    slow to write."""
    static = [topic for topic, role in topics.items() if role == '/tf_static']
    yield from ((topics[topic], data) for topic, data in rest.messages(static))
    beside = rest.messages([topic for topic in topics if topic not in (image, *static)])
    following = next(beside, None)
    for _, picture in pictures.messages([image]):
        until = header_stamp(picture) + AHEAD_NS
        while following is not None and header_stamp(following[1]) <= until:
            yield topics[following[0]], following[1]
            following = next(beside, None)
        yield topics[image], picture


def _write(out, topic, type_name, header, msg):
    out.write(topic, type_name, stamp_to_ns(header.stamp), serialize_message(msg))


def _print_summary(shown, answers, diagnostics, path):
    """Pictures, hands, ids, latency, and everything that hand_node found wrong."""
    hands = [hand for answer in answers for hand in answer.hands]
    ids = Counter((hand.id, hand.side) for hand in hands)
    times = [answer.processing_time.sec * 1e3 + answer.processing_time.nanosec * 1e-6 for answer in answers]
    rows = [
        ('pictures', f'{shown}, {len(answers)} of them looked at'),
        ('hands', f'{len(hands)}, {len(hands) / max(len(answers), 1):.2f} per picture'),
        ('ids', ', '.join(f'{id} {side} ({count})' for (id, side), count in sorted(ids.items())) or 'none'),
    ]
    if times:
        rows.append(('latency p50 / p99', '{:.1f} / {:.1f} ms'.format(*np.percentile(times, (50, 99)))))
    for faults in (diagnostics.images, diagnostics.calibration, diagnostics.depth, diagnostics.faults):
        rows += faults.values()
    width = max(len(name) for name, _ in rows)
    print('\n'.join(f'  {name:<{width}}  {value}' for name, value in rows))
    print(f'  Hands and TF are in {path}; every message has the time of its picture.', flush=True)
