"""Whatever a peer sends is used, or refused with a reason and a remedy; nothing breaks, memory is bounded.

Over 20,000 messages go through the functions that the node decodes with, some hundred through a real node.
"""

import array
import math
import signal
import subprocess
import sys
import time
from functools import partial

import cv2
import hostile
import numpy as np
import pixels
import pytest
from graph import counted
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes import depth_input
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.depth_input import DepthInput
from maskhand_ros.nodes.hand_node import HandNode
from maskhand_ros.nodes.images import decode_depth, decode_image
from maskhand_ros.nodes.messages import ns_to_stamp
from maskhand_ros.option import ReadAt
from maskhand_ros.options import PARAMETERS
from maskhand_ros.perception.types import Frame
from maskhand_ros.srv import SelectOperator

COUNTS = {'image': 8000, 'compressed': 5000, 'camera info': 5000, 'depth': 3000, 'parameter': 3000}
"""Generated messages."""

LIMIT = 2048
"""Pixels of the largest picture accepted here."""

WIDE, BOTH = ('yuyv', 'yuv422_yuy2', 'uyvy', 'yuv422'), ('nv12', 'nv21', 'i420')
"""Encodings of an even width, and of an even width and height."""
SAMPLE = np.zeros((4, 4, 3), np.uint8)
COLOURS = {encoding: pixels.image(SAMPLE, encoding).step // 4 for encoding in pixels.ALL}
"""Encoding -> bytes per pixel of the first plane."""
DEPTHS = {'16UC1': 2, 'mono16': 2, '32FC1': 4}
REASONS = {
    *('unknown encoding', 'unknown depth encoding', 'unknown compression', 'malformed image', 'too large'),
    *('truncated data', 'zero size', 'wrong size', 'wrong step', 'uncalibrated CameraInfo'),
    *('invalid CameraInfo', 'implausible CameraInfo', 'unsupported distortion', 'CameraInfo of another size'),
    *('no depth', 'depth too old', 'empty depth', 'depth too coarse', 'depth without CameraInfo'),
    *('no transform to the depth camera', 'depth outside the image'),
}


def test_over_20_000_messages():
    assert sum(COUNTS.values()) >= 20_000


def refusal(decode, *args):
    """The reason for which `decode` refuses its arguments, or None, and what it returns. Fails where the
    refusal does not say what to do, or hands a stranger's words on without end."""
    try:
        return None, decode(*args)
    except BadInput as error:
        assert error.reason in REASONS
        assert 10 < len(error.remedy) < 500 and len(str(error)) < 1000
        return error.reason, None


def is_whole(msg, bytes_per_pixel):
    """Whether a raw picture is within the limit and all there."""
    row = msg.width * bytes_per_pixel
    padding_of_last = (msg.step - row) * {'i420': 0.5, 'nv24': 2}.get(msg.encoding, 1)
    return (
        0 < msg.width * msg.height <= LIMIT
        and msg.step >= row
        and not (msg.encoding == 'i420' and msg.step % 2)
        and msg.step * msg.height * hostile.ROWS.get(msg.encoding, 1) - padding_of_last <= len(msg.data)
    )


def has_size(msg):
    """Whether an image of this width and height can have this encoding."""
    odd_width, odd_height = msg.width % 2, msg.height % 2
    small = msg.encoding.startswith('bayer') and min(msg.width, msg.height) < 3
    return not (small or odd_width and msg.encoding in WIDE + BOTH or odd_height and msg.encoding in BOTH)


def test_images():
    seen, read = set(), set()

    def check(msg):
        size = COLOURS.get(msg.encoding)
        good = size is not None and is_whole(msg, size) and has_size(msg)
        reason, picture = refusal(decode_image, msg, LIMIT)
        assert (reason is None) == good
        if good:
            read.add(msg.encoding)
            assert picture.shape == (msg.height, msg.width, 3) and picture.dtype == np.uint8
        seen.add(reason)

    hostile.check_each(partial(hostile.image, encodings=COLOURS), COUNTS['image'], check)
    reasons = {'unknown encoding', 'zero size', 'wrong size', 'too large', 'wrong step', 'truncated data'}
    assert seen == {None, *reasons} and read == COLOURS.keys()


def test_compressed_images(monkeypatch):
    seen, decoded = set(), []
    imdecode = cv2.imdecode

    def decode(data, flags):
        decoded.append(imdecode(data, flags))
        return decoded[-1]

    def check(msg):
        decoded.clear()
        reason, picture = refusal(decode_compressed, msg, LIMIT)
        for each in decoded:
            assert each is None or each.nbytes <= 6 * LIMIT  # 16-bit RGB
        if reason is None:
            assert picture.shape == (*decoded[0].shape[:2], 3) and picture.dtype == np.uint8
        data = msg.data.tobytes()
        assert reason is not None or data.startswith((b'\x89PNG', b'\xff\xd8'))
        seen.add(reason)

    monkeypatch.setattr(cv2, 'imdecode', decode)
    hostile.check_each(hostile.compressed, COUNTS['compressed'], check)
    reasons = {'unknown compression', 'malformed image', 'truncated data', 'zero size', 'too large'}
    assert seen == {None, *reasons}


def test_camera_infos():
    seen = set()
    picture = np.array([[x, y] for x in (0, 0.3, 0.5, 1) for y in (0, 0.5, 1)])

    def make(rng):
        return hostile.camera_info(rng), rng.random() < 0.5

    def check(case):
        info, rectified = case
        size = hostile.WIDTH, hostile.HEIGHT
        reason, camera = refusal(decode_camera_info, info, *size, rectified)
        seen.add(reason)
        if reason is None:  # it can be calculated with
            assert (camera.width, camera.height) == size
            assert np.isfinite(np.linalg.inv(camera.K)).all()
            rays = camera.unproject_rays(picture * size)
            # A pixel beyond the fold of the lens model has none.
            assert not np.nanmax(np.abs(rays), initial=0) > math.tan(math.radians(85)) + 1e-6
            middle = camera.project(camera.unproject_rays([[12.0, 8.0]]))
            assert np.abs(middle - [12, 8]).max() < 1.5

    hostile.check_each(make, COUNTS['camera info'], check)
    reasons = {reason for reason in REASONS if reason.endswith('CameraInfo') and 'depth' not in reason}
    assert seen == {None, *reasons, 'unsupported distortion', 'CameraInfo of another size'}


@pytest.fixture(scope='module')
def idle(ros):
    """A hand_node that is not configured."""
    node = HandNode(namespace='idle')
    yield node
    node.destroy_node()


def test_depth(idle, monkeypatch):
    monkeypatch.setattr(depth_input, 'DEPTH_WAIT', 0)
    seen = set()
    camera = Camera.default(32, 24)
    lens = Camera(camera.K, 32, 24, np.array([-0.3, 0.1, 0, 0, 0]))

    def make(rng):
        msg, info = hostile.image(rng, DEPTHS), hostile.camera_info(rng)
        msg.header = info.header = Header(stamp=ns_to_stamp(10**9), frame_id='depth')
        if rng.random() < 0.7:  # else few come so far as to be registered
            info.width, info.height = msg.width, msg.height
            info.k[[0, 4, 2, 5]] = np.clip([msg.width, msg.width, msg.width / 2, msg.height / 2], 0.1, 1e9)
        return msg, info, hostile.transform(rng, 'camera', 'depth'), rng.choice((camera, lens))

    def check(case):
        msg, info, transform, there = case
        size = DEPTHS.get(msg.encoding)
        reason, depth = refusal(decode_depth, msg, LIMIT)
        assert (reason is None) == (size is not None and is_whole(msg, size))
        assert depth is None or (np.isnan(depth) | (np.isfinite(depth) & (depth > 0))).all()
        source._depths.put(msg)
        source._infos.put(info)
        source._tree.put(transform)
        frame = Frame(rgb=np.zeros((24, 32, 3), np.uint8), stamp_ns=10**9, camera=there)
        reason, depth = refusal(source.depth_for, frame, 'camera', LIMIT)
        if reason is None:
            assert depth.shape == (24, 32) and not np.isnan(depth).all() and np.nanmin(depth) > 0
        seen.add(reason)

    source = DepthInput(idle)
    try:
        hostile.check_each(make, COUNTS['depth'], check)
    finally:
        source.close()
    assert {None, 'truncated data', 'too large', 'CameraInfo of another size', 'empty depth'} <= seen
    assert {'no transform to the depth camera', 'depth outside the image'} <= seen


def test_depth_that_is_much_too_coarse(idle):
    """A square of thousands of pixels for each reading would keep the worker busy for minutes."""
    source = DepthInput(idle)
    header = Header(stamp=ns_to_stamp(10**9), frame_id='camera')
    few = Image(header=header, width=4, height=4, encoding='16UC1', step=8, data=array.array('B', 32 * b'\1'))
    k = [0.3, 0, 2, 0, 0.3, 2, 0, 0, 1]
    source._depths.put(few)
    source._infos.put(CameraInfo(header=header, width=4, height=4, k=k))
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 10**9, Camera.default(640, 480))
    assert refusal(source.depth_for, frame, 'camera', LIMIT)[0] == 'depth too coarse'
    source.close()


def test_parameters(idle):
    """Over the service any peer may set any of them to anything: it is taken as it is, or refused with name,
    range and unit. What names files or bounds memory is only for who starts the node."""
    names = tuple(PARAMETERS)
    values = (None, True, '', 'x' * 10_000, -1, 0, 2**62, -(2**63), np.nan, np.inf, -np.inf, 2.0)
    lists = ([], [1, 2], ['a'], [b'\0'], [0.5, np.nan])
    changed = 0

    def check(case):
        nonlocal changed
        name, value = case
        before = idle.values()
        try:
            result = idle.set_parameters([Parameter(name, value=value)])[0]
        except Exception as error:
            raise AssertionError(f'{name} = {value!r}') from error
        after = idle.values()
        changed += after != before
        option = PARAMETERS[name]
        if result.successful:
            assert after == {**before, name: value} and type(after[name]) is type(option.default)
        else:
            assert str(after) == str(before) and name in result.reason and len(result.reason) < 300
            assert option.range_text in result.reason or option.read_at is ReadAt.START
        assert result.successful == (legal(option, value) and option.read_at is not ReadAt.START)

    def make(rng):
        plausible = rng.randint(-5, 200), rng.uniform(0, 70), rng.random() < 0.5
        name = rng.choice(names)
        chosen = rng.choice(PARAMETERS[name].choices or (PARAMETERS[name].default,))
        return name, rng.choice((chosen, rng.choice(plausible), rng.choice((*values, *lists))))

    hostile.check_each(make, COUNTS['parameter'], check)
    assert changed > 100
    idle.set_parameters([Parameter(option.name, value=option.default) for option in PARAMETERS.values()])


def legal(option, value):
    """Whether a value is of the option's type and in its range; a whole number is a float, too."""
    kind = type(option.default)
    if type(value) is not kind and (kind is not float or type(value) is not int):
        return False
    if option.choices:
        return value in option.choices
    return option.limits is None or option.limits[0] <= value <= option.limits[1]


BOMBS = """
import array, resource, struct, sys, time
import cv2, numpy as np
from sensor_msgs.msg import CompressedImage, Image
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.images import decode_depth, decode_image

picture = np.zeros((64, 64, 3), np.uint8)
decode_compressed(CompressedImage(data=array.array('B', cv2.imencode('.png', picture)[1].tobytes())))
png = cv2.imencode('.png', picture)[1].tobytes()
jpeg = cv2.imencode('.jpg', picture)[1].tobytes()
progressive = cv2.imencode('.jpg', np.zeros((4000, 4000), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
progressive = progressive.tobytes()
frame = jpeg.index(b'\\xff\\xc0')
deep = cv2.imencode('.png', picture.astype(np.uint16))[1].tobytes()
big = jpeg[: frame + 5] + struct.pack('>HH', 20_000, 20_000) + jpeg[frame + 9 :]
hidden = big[:2] + b'\\xff\\x01' + big[frame : frame + 19] + big[2:frame] + big[frame + 19 :]
files = [
    png[:16] + struct.pack('>II', 20_000, 20_000) + png[24:],
    deep[:16] + struct.pack('>II', 20_000, 20_000) + deep[24:],
    png[:33] + struct.pack('>I', 0x7FFFFFFF) + b'tEXtabc' + png[33:],
    png[:33] + struct.pack('>I', 0x7FFFFFFF) + b'IDATabc',
    big,
    hidden,
    progressive[:-2] + progressive[progressive.rindex(b'\\xff\\xda') : -2] * 1000 + b'\\xff\\xd9',
]
for kind in ('.bmp', '.tiff', '.webp', '.ppm', '.jp2'):
    files.append(cv2.imencode(kind, picture)[1].tobytes())
cases = [(decode_compressed, CompressedImage(data=array.array('B', file))) for file in files]
kinds = [(decode_image, 'rgb8', 3), (decode_image, 'rgba16', 8), (decode_image, 'bayer_rggb16', 2)]
kinds += [(decode_image, name, 1) for name in ('nv12', 'nv24', 'i420')] + [(decode_depth, '32FC1', 4)]
for decode, encoding, size in kinds:
    few = array.array('B', bytes(1000))
    for side in (20_000, 4096):
        cases.append((decode, Image(width=side, height=side, encoding=encoding, step=side * size, data=few)))
memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
for number, (decode, msg) in enumerate(cases):
    try:
        decode(msg)
    except BadInput as error:
        continue
    sys.exit(f'number {number} was accepted')
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
"""


def test_bombs_are_refused_before_memory_is_taken():
    """20,000 x 20,000 in the head of a few bytes, a chunk of 2 GB, a frame header behind a marker without a
    length, 1000 scans, other formats. All of them together: under 16 MB of memory more."""
    ran = subprocess.run([sys.executable, '-c', BOMBS], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 16 * 1024


@pytest.mark.parametrize('compressed', (False, True), ids=('image', 'compressed'))
def test_a_hostile_peer_on_the_same_topics(graph, clip, compressed):
    """300 messages of a stranger among the camera's: every one is used, refused or dropped, and counted; the
    camera's pictures are answered with hands, in place."""
    rgb, info, _ = clip
    name = f'hostile {"compressed" if compressed else "raw"}'
    watched = graph.watch(name, compressed=compressed, use_depth=True, max_image_pixels=rgb.size // 3)
    diagnostics, inputs = watched.node.diagnostics, watched.node._inputs
    kind = CompressedImage if compressed else Image
    topic = f'{watched.name}/image{"/compressed" if compressed else ""}'
    publishers = [
        graph.node.create_publisher(kind, topic, 5)
        for kind, topic in (
            (kind, topic),
            (Image, f'{watched.name}/depth/image'),
            (CameraInfo, f'{watched.name}/camera_info'),
            (CameraInfo, f'{watched.name}/depth/camera_info'),
        )
    ]
    makers = (
        hostile.compressed if compressed else partial(hostile.image, encodings=COLOURS),
        partial(hostile.image, encodings=DEPTHS),
        hostile.camera_info,
        partial(hostile.camera_info, width=rgb.shape[1], height=rgb.shape[0]),
    )
    messages = list(zip(*(hostile.collect(make, 75) for make in makers), strict=True))
    graph.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers))
    answers = []
    for number, batch in enumerate(messages):
        for publisher, msg in zip(publishers, batch, strict=True):
            publisher.publish(msg)
        time.sleep(0.02)  # else the node, which looks at the newest only, would drop most
        if number % 5 == 4:
            answers.append(watched.show(rgb, info))
    assert len(answers) == 15
    assert all(len(answer.hands) == 2 and all(hand.wrist for hand in answer.hands) for answer in answers[1:])
    graph.wait(lambda: not (inputs.frames._waiting or diagnostics.busy))
    counts = counted(diagnostics.images)
    # Counted, and processed all the same.
    jumps = sum(counts.pop(reason, 0) for reason in ('time went back', 'time leapt'))
    for reason in [reason for reason in counts if 'frame_id' in reason]:
        del counts[reason]
    assert jumps and sum(counts.values()) > 20
    assert diagnostics.processed + sum(counts.values()) + inputs.frames.dropped + inputs.frames.lost == (
        inputs.frames.received
    )
    assert not [reason for reason in counted(diagnostics.faults) if 'hand rejected' not in reason]


def test_requests_that_no_service_knows(graph):
    """rclpy itself raises for an unknown parameter type: the node stays, and still ends with exit code 0."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'maskhand_ros.nodes.hand_node', '--ros-args', '-r', '__ns:=/requests']
    )
    try:
        set_parameters, change_state, select_operator = (
            graph.node.create_client(kind, f'/requests/hand_node/{name}')
            for kind, name in (
                (SetParameters, 'set_parameters'),
                (ChangeState, 'change_state'),
                (SelectOperator, 'select_operator'),
            )
        )
        for service in (set_parameters, change_state, select_operator):
            graph.wait(service.service_is_ready)
        unknown = ParameterMsg(name='jpeg_quality', value=ParameterValue(type=200))
        undeclared = ParameterMsg(name='no_such_name', value=ParameterValue(type=2))
        for msg in (unknown, undeclared):
            set_parameters.call_async(SetParameters.Request(parameters=[msg]))
        for transition in (Transition(id=200), Transition(label='x' * 5000), Transition(id=3)):
            change_state.call_async(ChangeState.Request(transition=transition))
        for _ in range(3):  # one after the other: the requests above are answered, or not, in between
            answer = graph.ask(select_operator, SelectOperator.Request(id=2**32 - 1))
            assert not answer.success and process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
