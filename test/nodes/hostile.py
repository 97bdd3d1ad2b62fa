"""Messages that a hostile or broken peer may publish, as Hypothesis strategies: good ones, bent."""

import array
import struct

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

WIDTH, HEIGHT = 24, 16
"""Of the pictures that are bent."""

BYTES = np.random.default_rng(0).integers(0, 256, 1 << 16, np.uint8).tobytes()
SIDES = st.one_of(
    st.sampled_from((WIDTH, HEIGHT)),
    st.integers(0, 40),
    st.sampled_from((4096, 20_000, 32_768, 65_535, 2**31 - 1, 2**31, 2**32 - 1)),
)
TEXTS = st.sampled_from(('', 'camera', 'x' * 100_000, 'ü\n\x1b[31m', '%s{}', '../../etc'))
NUMBERS = st.one_of(
    st.sampled_from(
        (0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 5e-324, 0.5, 20.0, 320.0)
    ),
    st.floats(),
)
STAMPS = st.builds(
    lambda sec, nanosec: Time(sec=sec, nanosec=nanosec),
    st.sampled_from((0, -1, 1, 5, 100_000, -(2**31), 2**31 - 1)),
    st.sampled_from((0, 1, 950_000_000, 2**32 - 1)),
)
HEADERS = st.builds(lambda stamp, frame: Header(stamp=stamp, frame_id=frame), STAMPS, TEXTS)


def collect(strategy, count):
    """`count` examples of a strategy, the same every time."""
    found = []
    check_each(strategy, count, found.append)
    return found[:count]


def check_each(strategy, count, check):
    """Calls `check` with at least `count` examples of a strategy, the same every time."""
    ran = 0

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(example):
        nonlocal ran
        ran += 1
        check(example)

    each()
    assert ran >= count


@st.composite
def images(draw, encodings, headers=HEADERS):
    """sensor_msgs/Image. `encodings` {name: bytes per pixel}: those that would be good."""
    names = (*encodings, 'bayer_rggb8', 'RGB8', 'rgb8 ', '8UC3', '', 'x' * 100_000, '\x1b[31m')
    encoding = draw(st.sampled_from(names))
    width, height = draw(SIDES), draw(SIDES)
    row = width * encodings.get(encoding, 3)
    step = draw(st.sampled_from((row, row, row, row + 1, row + 7, row - 1, 0, 2**32 - 1)))
    step = min(max(step, 0), 2**32 - 1)
    size = step * height
    size = draw(st.sampled_from((size, size, size, size + 9, size - 1, size - step + row, size // 2, 0)))
    size = min(max(size, 0), len(BYTES))
    return Image(
        header=draw(headers),
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=draw(st.sampled_from((0, 0, 1, 255))),
        data=array.array('B', BYTES[:size]),
    )


def _files():
    rgb = np.frombuffer(BYTES[: WIDTH * HEIGHT * 3], np.uint8).reshape(HEIGHT, WIDTH, 3)
    kinds = {
        '.png': (rgb, rgb[..., 0], rgb.astype(np.uint16) << 8),
        '.jpg': (rgb, rgb[..., 0]),
        '.bmp': (rgb,),
        '.tiff': (rgb,),
        '.webp': (rgb,),
    }
    files = [cv2.imencode(kind, pixels)[1].tobytes() for kind in kinds for pixels in kinds[kind]]
    files.append(cv2.imencode('.jpg', rgb, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    return files


FILES = _files()
_PIECES = (
    *(bytes((0xFF, marker)) for marker in (0x00, 0x01, 0xC0, 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xE1, 0xFF)),
    b'\xff\xc0\x00\x11\x08' + struct.pack('>HH', 20_000, 20_000),
    b'\xff\xe1\xff\xff',
    b'\xff\xe1\x00\x00',
    struct.pack('>I', 0x7FFFFFFF) + b'tEXt',
    struct.pack('>I', 0) + b'IEND\xaeB\x60\x82',
    struct.pack('>II', 20_000, 20_000),
)


@st.composite
def compressed(draw, headers=HEADERS):
    """sensor_msgs/CompressedImage: a picture file with pieces put in, put over, or cut off."""
    data = draw(st.sampled_from(FILES))
    places = st.one_of(st.integers(0, 40), st.integers(0, 1200))
    bends = st.tuples(
        st.sampled_from(('insert', 'over', 'byte', 'cut', 'repeat')), places, st.integers(0, 255)
    )
    for kind, at, value in draw(st.lists(bends, max_size=3)):
        piece = _PIECES[value % len(_PIECES)]
        data = {
            'insert': data[:at] + piece + data[at:],
            'over': data[:at] + piece + data[at + len(piece) :],
            'byte': data[:at] + bytes([value]) + data[at + 1 :],
            'cut': data[:at],
            'repeat': data + data[at:] * (value % 40),
        }[kind]
    return CompressedImage(header=draw(headers), format=draw(TEXTS), data=array.array('B', data))


@st.composite
def infos(draw, headers=HEADERS, width=WIDTH, height=HEIGHT):
    """sensor_msgs/CameraInfo: one of a picture of width x height with up to three numbers bent."""
    info = CameraInfo(header=draw(headers), width=width, height=height, distortion_model='plumb_bob')
    focal = float(width)
    info.k = [focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1]
    info.p = [focal, 0, width / 2, 0, 0, focal, height / 2, 0, 0, 0, 1, 0]
    info.d = draw(st.sampled_from(([], [0.1, 0.0, 0.0, 0.0, 0.0], [-0.3, 0.1] + [0.0] * 6, [0.0] * 5000)))
    for field, at, number, side in draw(
        st.lists(st.tuples(st.sampled_from('kpdsbr'), st.integers(0, 13), NUMBERS, SIDES), max_size=3)
    ):
        if field in 'kpd' and len(getattr(info, field)):
            numbers = getattr(info, field)
            numbers[at % len(numbers)] = number
        elif field == 's':
            setattr(info, ('width', 'height')[at % 2], side)
        elif field == 'b':
            setattr(info, ('binning_x', 'binning_y')[at % 2], side)
        elif field == 'r':
            setattr(info.roi, ('x_offset', 'y_offset', 'width', 'height')[at % 4], side)
    info.distortion_model = draw(
        st.sampled_from(('plumb_bob', 'plumb_bob', 'rational_polynomial', 'equidistant', '', 'x' * 100_000))
    )
    return info


@st.composite
def transforms(draw, target, source):
    """tf2_msgs/TFMessage that leads from frame `source` to `target`, or somewhere else."""
    numbers = st.one_of(st.sampled_from((0.0, 0.0, 0.1)), NUMBERS)
    stamped = TransformStamped()
    stamped.header.frame_id = draw(st.sampled_from((target, target, source, '')))
    stamped.child_frame_id = draw(st.sampled_from((source, source, target, 'x' * 100_000)))
    shift, turn = stamped.transform.translation, stamped.transform.rotation
    shift.x, shift.y, shift.z = (draw(numbers) for _ in range(3))
    turn.x, turn.w = draw(st.one_of(st.just((0.0, 1.0)), st.tuples(NUMBERS, NUMBERS)))
    return TFMessage(transforms=[stamped])
