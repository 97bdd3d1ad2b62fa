"""A bag through `maskhand replay`: the same hands every time, and words for what is not in the bag."""

import array
import itertools
import subprocess
import sys

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from maskhand_ros.commands.clip import read_clip
from maskhand_ros.msg import Hand, HandArray
from maskhand_ros.nodes.compressed import encode_compressed
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.messages import ns_to_stamp, stamp_to_ns
from maskhand_ros.nodes.recorder import typestore

PICTURES = 15
STAMPS = [1_000_000_000 + index * 33_333_333 for index in range(PICTURES)]
UNSTAMPED = 4
"""Picture whose stamp is 0: hand_node refuses it."""


def replay(bag, image, *words):
    """Runs the command as a user does; returns the finished process."""
    command = [sys.executable, '-m', 'maskhand_ros.cli', 'replay', str(bag), '--image', image, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    """{storage: bag} of the clip's pictures, raw and as JPEG, with CameraInfo and the depth of another
    camera, each recorded later than the picture, as slow recorders do; `uncalibrated` holds pictures only."""
    folder, clip = tmp_path_factory.mktemp('bags'), read_clip()
    bags = {name: folder / name for name in ('mcap', 'sqlite', 'uncalibrated')}
    for name, path in bags.items():
        plugin = StoragePlugin.MCAP if name == 'mcap' else StoragePlugin.SQLITE3
        with Writer(path, version=9, storage_plugin=plugin) as writer:
            add = adder(writer)
            for index, rgb in enumerate(itertools.islice(clip.frames(), PICTURES)):
                at = header(0 if index == UNSTAMPED else STAMPS[index])
                add('/cam/image_raw', index, encode_image(rgb, at))
                add('/cam/image_raw/compressed', index, encode_compressed(rgb, at))
                if name != 'uncalibrated':
                    add_what_goes_with_it(add, index, rgb.shape, clip)
            if name != 'uncalibrated':
                still = TransformStamped(header=header(STAMPS[0]), child_frame_id='depth_camera')
                add('/tf_static', PICTURES - 1, TFMessage(transforms=[still]))
    return bags


def header(stamp, frame_id='camera'):
    return Header(stamp=ns_to_stamp(stamp), frame_id=frame_id)


def adder(writer):
    """A function that adds a message to an open bag, recorded at the time of a picture."""
    types, connections = typestore(), {}

    def add(topic, index, msg):
        if topic not in connections:
            kind = f'{type(msg).__module__.split(".")[0]}/msg/{type(msg).__name__}'
            connections[topic] = writer.add_connection(topic, kind, typestore=types)
        writer.write(connections[topic], STAMPS[index], serialize_message(msg))

    return add


def add_what_goes_with_it(add, index, shape, clip):
    """CameraInfo, and depth as if all there is were at the distance of the hands."""
    (height, width, _), K = shape, clip.K.reshape(9)
    for camera, frame in (('cam', 'camera'), ('depth', 'depth_camera')):
        info = CameraInfo(width=width, height=height, k=K, distortion_model='plumb_bob')
        info.header = header(STAMPS[index], frame)
        add(f'/{camera}/camera_info', index, info)
    millimetres = np.full((height, width), np.median(clip.keypoints[index, ..., 2]) * 1000, '<u2')
    depth = Image(header=info.header, width=width, height=height, encoding='16UC1', step=2 * width)
    depth.data = array.array('B', millimetres.tobytes())
    add('/depth/image_raw', index, depth)


def written(path):
    """[(topic, time in ns, message)] of an MCAP file, by rosbags alone."""
    store = typestore()
    with Reader(path) as reader:
        return [
            (connection.topic, time, store.deserialize_cdr(data, connection.msgtype))
            for connection, time, data in reader.messages()
        ]


def assert_same(one, other, where):
    """Field by field, processing_time apart."""
    if hasattr(one, '__msgtype__'):
        for name in one.__dataclass_fields__:
            if name != 'processing_time':
                assert_same(getattr(one, name), getattr(other, name), f'{where}.{name}')
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f'{where}[{index}]')
    else:
        np.testing.assert_array_equal(one, other, where)


@pytest.mark.parametrize(
    'storage, image, depth, scale',
    [
        ('mcap', '/cam/image_raw', (), Hand.SCALE_POPULATION),
        ('sqlite', '/cam/image_raw/compressed', ('--depth', '/depth/image_raw'), Hand.SCALE_DEPTH),
    ],
)
def test_the_same_bag_gives_the_same_hands(bags, graph, storage, image, depth, scale, tmp_path):
    runs, overheard = [], graph.hear(HandArray, '/hand_node/hands')
    for name in ('first.mcap', 'second.mcap'):
        done = replay(bags[storage], image, *depth, '--out', str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        runs.append(written(tmp_path / name))
    assert f'{PICTURES}, {PICTURES - 1} of them looked at' in done.stdout
    assert 'zero stamp: count' in done.stdout and 'latency' in done.stdout
    assert len(runs[0]) == len(runs[1])
    for (topic, time, msg), (other_topic, other_time, other) in zip(*runs, strict=True):
        assert (topic, time) == (other_topic, other_time)
        assert_same(msg, other, topic)

    assert not overheard  # a robot must not act on old hands
    answers = [msg for topic, _, msg in runs[0] if topic == '/hand_node/hands']
    stamps = [stamp_to_ns(msg.header.stamp) for msg in answers]
    assert stamps == [stamp for index, stamp in enumerate(STAMPS) if index != UNSTAMPED]
    assert {hand.id for msg in answers for hand in msg.hands} == {1, 2}
    # What goes with a picture was there in time, from the first one on.
    assert {hand.scale_source for msg in answers for hand in msg.hands} == {scale}
    moved = {stamp_to_ns(msg.transforms[0].header.stamp) for topic, _, msg in runs[0] if topic == '/tf'}
    assert moved == {stamp for stamp, msg in zip(stamps, answers, strict=True) if len(msg.hands)}


@pytest.mark.parametrize(
    'bag, image, words, says',
    [
        ('mcap', '/camera/image', (), '/camera/image is not in the bag'),
        ('mcap', '/cam/camera_info', (), '/cam/camera_info is a sensor_msgs/msg/CameraInfo'),
        ('mcap', '/cam/image_raw', ('--depth', '/nothing'), '/nothing is not in the bag'),
        ('uncalibrated', '/cam/image_raw', (), '/cam/camera_info is not in the bag'),
    ],
)
def test_what_is_not_in_the_bag_is_said_with_what_is(bags, bag, image, words, says, tmp_path):
    done = replay(bags[bag], image, *words, '--out', str(tmp_path / 'out.mcap'))
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert says in done.stderr
    assert '/cam/image_raw/compressed (sensor_msgs/msg/CompressedImage)' in done.stderr
    assert not (tmp_path / 'out.mcap').exists()


def test_files_that_cannot_be(bags, tmp_path):
    text, parameters = tmp_path / 'notes.txt', tmp_path / 'mine.yaml'
    text.write_text('no bag')
    parameters.write_text('/**: {ros__parameters: {max_hands: 99}}')
    assert 'is no bag' in replay(text, '/cam/image_raw').stderr
    bag = next(bags['mcap'].glob('*.mcap'))
    assert '--out is the bag itself' in replay(bag, '/cam/image_raw', '--out', str(bag)).stderr
    refused = replay(
        bag, '/cam/image_raw', '--params-file', str(parameters), '--out', str(tmp_path / 'out.mcap')
    )
    assert f'{parameters}: ' in refused.stderr and 'max_hands' in refused.stderr
    assert 'Traceback' not in refused.stderr and refused.returncode == 1
