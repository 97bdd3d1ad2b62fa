"""A bag through `maskhand replay`: the same hands every time, and words for what is not in the bag."""

import array
import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from maskhand_ros.clip import read_clip
from maskhand_ros.msg import Hand, HandArray
from maskhand_ros.nodes.compressed import encode_compressed
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.message_types import typestore
from maskhand_ros.nodes.messages import ns_to_stamp, stamp_to_ns

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


def camera_info(clip, shape, header):
    """CameraInfo of the clip's camera for images of `shape`."""
    (height, width, _), k = shape, clip.K.reshape(9)
    return CameraInfo(header=header, width=width, height=height, k=k, distortion_model='plumb_bob')


def add_what_goes_with_it(add, index, shape, clip):
    """CameraInfo, and depth as if all there is were at the distance of the hands."""
    height, width, _ = shape
    for camera, frame in (('cam', 'camera'), ('depth', 'depth_camera')):
        info = camera_info(clip, shape, header(STAMPS[index], frame))
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
    assert f'{PICTURES}, {PICTURES - 1} of them processed' in done.stdout
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
        ('uncalibrated', '/cam/image_raw', ('--camera-info-topic', '/cam/camera_info'), 'is not in the bag'),
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
    (tmp_path / 'empty.mcap').touch()
    assert 'is empty' in replay(tmp_path / 'empty.mcap', '/cam/image_raw').stderr
    pointer = tmp_path / 'pointer.mcap'
    pointer.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')
    assert 'git lfs pull' in replay(pointer, '/cam/image_raw').stderr
    assert f'`ros2 bag reindex {tmp_path}`' in replay(tmp_path, '/cam/image_raw').stderr
    bag = next(bags['mcap'].glob('*.mcap'))
    assert '--out is the bag itself' in replay(bag, '/cam/image_raw', '--out', str(bag)).stderr
    refused = replay(
        bag, '/cam/image_raw', '--params-file', str(parameters), '--out', str(tmp_path / 'out.mcap')
    )
    assert f'{parameters}: ' in refused.stderr and 'max_hands' in refused.stderr
    assert 'Traceback' not in refused.stderr and refused.returncode == 1


def played(bag, tmp_path, *words):
    """Runs the command to its end; (what it printed, its HandArrays)."""
    out = tmp_path / 'played.mcap'
    done = replay(bag, '/cam/image_raw/compressed', *words, '--out', str(out))
    assert done.returncode == 0, done.stderr
    return done.stdout, [msg for topic, _, msg in written(out) if topic == '/hand_node/hands']


@pytest.fixture
def record(tmp_path):
    """A function that records JPEG images of the clip with CameraInfo; `image_stamp` and `info_stamp` make
    header stamps (ns) of the recording times."""

    def record(image_stamp=lambda time: time, info_stamp=lambda time: time):
        clip = read_clip()
        with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            add = adder(writer)
            for index, rgb in enumerate(itertools.islice(clip.frames(), 6)):
                time = STAMPS[index]
                add('/cam/camera_info', index, camera_info(clip, rgb.shape, header(info_stamp(time))))
                add('/cam/image_raw/compressed', index, encode_compressed(rgb, header(image_stamp(time))))
        return tmp_path / 'bag'

    return record


@pytest.mark.parametrize(
    'image_stamp, info_stamp, says',
    [
        (lambda time: 0, lambda time: 0, 'the image stamps are 0: recording times are used'),
        (lambda time: 0, lambda time: time, 'the image stamps are 0: recording times are used'),
        (lambda time: time, lambda time: time + 3600 * 10**9, 'are of another clock (+3600.0 s)'),
        (lambda time: time, lambda time: 0, 'the stamps of /cam/camera_info are 0'),
    ],
)
def test_recording_times_stand_in_for_stamps_that_cannot_be_used(
    record, image_stamp, info_stamp, says, tmp_path
):
    printed, answers = played(record(image_stamp, info_stamp), tmp_path)
    assert says in printed and printed.count('Assumed') == 1
    assert [stamp_to_ns(msg.header.stamp) for msg in answers] == STAMPS[:6]
    assert all(len(msg.hands) == 2 and all(len(hand.wrist) for hand in msg.hands) for msg in answers)


def test_without_camera_info_there_are_hands_and_a_calibration_gives_them_a_place(bags, tmp_path):
    printed, answers = played(bags['uncalibrated'], tmp_path)
    assert 'hands have no metric position' in printed
    assert len(answers) == PICTURES - 1
    assert all(len(msg.hands) == 2 and not any(len(hand.wrist) for hand in msg.hands) for msg in answers)
    clip = read_clip()
    fx, fy, cx, cy = clip.K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    (tmp_path / 'camera.yaml').write_text(
        'image_width: 1280\nimage_height: 960\n'
        f'camera_matrix: {{data: [{2 * fx}, 0, {2 * cx}, 0, {2 * fy}, {2 * cy}, 0, 0, 1]}}\n'
        'distortion_coefficients: {data: [0, 0, 0, 0, 0]}\ndistortion_model: plumb_bob\n'
    )
    intrinsics = ['--intrinsics', *map(str, (fx, fy, cx, cy))]
    for words in (intrinsics, ['--camera-info', str(tmp_path / 'camera.yaml')]):
        _, answers = played(bags['uncalibrated'], tmp_path, *words)
        assert len(answers) == PICTURES - 1 and all(len(msg.hands) == 2 for msg in answers)
        for index, msg in enumerate(answers):
            for hand in msg.hands:
                wrist = hand.wrist[0].pose.position
                true = clip.keypoints[index + (index >= UNSTAMPED), int(hand.side == Hand.RIGHT), 0]
                assert np.linalg.norm([wrist.x, wrist.y, wrist.z] - true) < 0.08 * true[2]


@pytest.mark.parametrize('share', [0.6, 0.9999])
def test_an_mcap_that_is_cut_off_is_played_as_far_as_it_is_whole(bags, tmp_path, share):
    data = next(bags['mcap'].glob('*.mcap')).read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(data[: int(len(data) * share)])
    printed, answers = played(tmp_path / 'cut.mcap', tmp_path)
    assert '`mcap recover`' in printed and 1 <= len(answers) < PICTURES


def test_a_folder_without_metadata_is_played_by_its_one_file(bags, tmp_path):
    for name in ('mcap', 'sqlite'):
        folder = shutil.copytree(bags[name], tmp_path / name)
        (folder / 'metadata.yaml').unlink()
        printed, answers = played(folder, tmp_path)
        assert f'`ros2 bag reindex {folder}`' in printed and len(answers) == PICTURES - 1


def test_a_ros_1_bag_is_played(tmp_path):
    """Written by rosbags with the types of Noetic: Header with seq, CameraInfo with capital letters."""
    clip, store = read_clip(), get_typestore(Stores.ROS1_NOETIC)
    types, path = store.types, tmp_path / 'old.bag'
    region = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    with Ros1Writer(path) as writer:
        kinds = {'/cam/image_raw/compressed': 'CompressedImage', '/cam/camera_info': 'CameraInfo'}
        at = {
            topic: writer.add_connection(topic, f'sensor_msgs/msg/{kind}', typestore=store)
            for topic, kind in kinds.items()
        }
        for index, rgb in enumerate(itertools.islice(clip.frames(), 5)):
            seconds, nanoseconds = divmod(STAMPS[index], 10**9)
            time = types['builtin_interfaces/msg/Time'](seconds, nanoseconds)
            old = types['std_msgs/msg/Header'](index, time, 'camera')
            jpeg = np.frombuffer(bytes(encode_compressed(rgb, header(0)).data), np.uint8)
            info = types['sensor_msgs/msg/CameraInfo'](
                old,
                *rgb.shape[:2],
                'plumb_bob',
                np.zeros(5),
                clip.K.reshape(9),
                np.eye(3).reshape(9),
                np.zeros(12),
                0,
                0,
                region,
            )
            image = types['sensor_msgs/msg/CompressedImage'](old, 'jpeg', jpeg)
            for topic, msg in (('/cam/camera_info', info), ('/cam/image_raw/compressed', image)):
                data = store.serialize_ros1(msg, msg.__msgtype__)
                writer.write(at[topic], STAMPS[index], data)
    printed, answers = played(path, tmp_path)
    assert len(answers) == 5 and all(len(msg.hands) == 2 for msg in answers)
    assert all(len(hand.wrist) for msg in answers for hand in msg.hands)
