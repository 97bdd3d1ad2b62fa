"""Messages that a hostile or broken peer may publish, good ones, bent. A function of a random.Random each."""

import array
import random
import struct

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from hypothesis import given, note, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

WIDTH, HEIGHT = 24, 16
"""Of the pictures that are bent."""

BYTES = np.random.default_rng(0).integers(0, 256, 1 << 16, np.uint8).tobytes()
SIDES = (4096, 20_000, 32_768, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
TEXTS = ('', 'camera', 'x' * 5000, 'ü\n\x1b[31m', '%s{}', '../../etc')
NUMBERS = (0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 5e-324, 0.5, 20.0, 320.0)
MODELS = ('plumb_bob', 'plumb_bob', 'rational_polynomial', 'equidistant', '', 'x' * 5000)
ROWS = {'nv12': 1.5, 'nv21': 1.5, 'i420': 1.5, 'nv24': 3}
"""Encoding of several planes -> all their bytes over those of the first."""

FORMATS = (
    *('jpeg', 'png', 'rgb8; jpeg compressed bgr8', 'rgb8; jpeg compressed rgb8', 'mono16; png compressed '),
    *('16UC1; png compressed ', 'bayer_rggb8; png compressed ', 'bayer_grbg16; png compressed mono16'),
    *(
        'nv12; png compressed ',
        '16UC1; compressedDepth png',
        'h264',
        ';;',
        'bayer_rggb8;',
        '; compressed rgb',
    ),
)
BATCH = 10
"""Messages of one seed of Hypothesis: a draw for every field would take ten times as long."""


def collect(make, count):
    """`count` examples of `make`, the same every time."""
    found = []
    check_each(make, count, found.append)
    return found[:count]


def check_each(make, count, check):
    """Calls `check` with at least `count` results of `make(random.Random)`, the same every time."""
    ran = 0

    @settings(max_examples=count // BATCH + 1, derandomize=True, database=None, deadline=None)
    @given(st.integers(0, 2**64 - 1))
    def each(seed):
        nonlocal ran
        rng = random.Random(seed)
        for _ in range(BATCH):
            example = make(rng)
            try:
                check(example)
            except BaseException:
                note(f'with {example}')
                raise
            ran += 1

    each()
    assert ran >= count


def header(rng):
    """A std_msgs/Header of any time."""
    sec = rng.choice((0, -1, 1, 5, 100_000, -(2**31), 2**31 - 1))
    nanosec = rng.choice((0, 1, 950_000_000, 2**32 - 1))
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=rng.choice(TEXTS))


def _side(rng):
    return rng.choice((WIDTH, HEIGHT, rng.randint(0, 40), rng.randint(0, 40), rng.choice(SIDES)))


def _number(rng):
    return rng.choice((*NUMBERS, rng.uniform(-2, 2), struct.unpack('d', rng.randbytes(8))[0]))


def image(rng, encodings):
    """sensor_msgs/Image. `encodings` {name: bytes per pixel}: those that would be good."""
    wrong = ('bayer_rggb12', 'RGB8', 'rgb8 ', '8UC2', '', 'x' * 5000, '\x1b[31m')
    encoding = rng.choice((*encodings, rng.choice(wrong)))
    width, height = _side(rng), _side(rng)
    row = width * encodings.get(encoding, 3)
    step = rng.choice((row, row, row, row + 1, row + 7, row - 1, 0, 2**32 - 1))
    step = min(max(step, 0), 2**32 - 1)
    size = int(step * height * ROWS.get(encoding, 1))
    size = rng.choice((size, size, size, size + 9, size - 1, size - step + row, size // 2, 0))
    size = min(max(size, 0), len(BYTES))
    return Image(
        header=header(rng),
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=rng.choice((0, 0, 1, 255)),
        data=array.array('B', rng.choice((BYTES[:size], BYTES[:size], bytes(size)))),
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


def compressed(rng):
    """sensor_msgs/CompressedImage: a picture file with pieces put in, put over, cut off or repeated."""
    data = rng.choice(FILES)
    for _ in range(rng.randint(0, 3)):
        at, value = rng.choice((rng.randint(0, 40), rng.randint(0, 1200))), rng.randint(0, 255)
        piece = rng.choice(_PIECES)
        data = rng.choice(
            (
                data[:at] + piece + data[at:],
                data[:at] + piece + data[at + len(piece) :],
                data[:at] + bytes([value]) + data[at + 1 :],
                data[:at],
                data + data[at:] * (value % 40),
            )
        )
    return CompressedImage(
        header=header(rng), format=rng.choice((*TEXTS, *FORMATS)), data=array.array('B', data)
    )


def camera_info(rng, width=WIDTH, height=HEIGHT):
    """sensor_msgs/CameraInfo: one of a picture of width x height with up to three numbers bent."""
    info = CameraInfo(header=header(rng), width=width, height=height, distortion_model=rng.choice(MODELS))
    focal = float(width)
    fields = {
        'k': [focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1],
        'p': [focal, 0, width / 2, 0, 0, focal, height / 2, 0, 0, 0, 1, 0],
        'd': rng.choice(([], [0.1, 0.0, 0.0, 0.0, 0.0], [-0.3, 0.1] + [0.0] * 6, [0.0] * 50)).copy(),
    }
    for _ in range(rng.randint(0, 3)):
        field = rng.choice(('k', 'p', 'd', 'width', 'binning', 'roi'))
        if field in fields and fields[field]:
            fields[field][rng.randrange(len(fields[field]))] = _number(rng)
        elif field == 'width':
            setattr(info, rng.choice(('width', 'height')), _side(rng))
        elif field == 'binning':
            setattr(info, rng.choice(('binning_x', 'binning_y')), _side(rng))
        elif field == 'roi':
            setattr(info.roi, rng.choice(('x_offset', 'y_offset', 'width', 'height')), _side(rng))
    for field, numbers in fields.items():
        setattr(info, field, numbers)
    return info


def transform(rng, target, source):
    """tf2_msgs/TFMessage that leads from frame `source` to `target`, or somewhere else."""
    stamped = TransformStamped()
    stamped.header.frame_id = rng.choice((target, target, source, ''))
    stamped.child_frame_id = rng.choice((source, source, target, 'x' * 5000))
    shift, turn = stamped.transform.translation, stamped.transform.rotation
    shift.x, shift.y, shift.z = (rng.choice((0.0, 0.0, 0.1, _number(rng))) for _ in range(3))
    turn.x, turn.w = rng.choice(((0.0, 1.0), (0.0, 1.0), (_number(rng), _number(rng))))
    return TFMessage(transforms=[stamped])
