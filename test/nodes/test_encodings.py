"""Every encoding is read as NumPy alone reads it, and finds the same hands; docs and refusals name them."""

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pixels
import pytest
from sensor_msgs.msg import Image

from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import Camera
from maskhand_ros.nodes.compressed import decode_compressed
from maskhand_ros.nodes.encodings import ENCODINGS
from maskhand_ros.nodes.image_subscription import AutoQosSubscription
from maskhand_ros.nodes.images import decode_image
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(0)
RGB = np.kron(RANDOM.integers(0, 256, (5, 8, 3), np.uint8), np.ones((2, 2, 1), np.uint8))  # 16 x 10
GREY = {'mono8', 'mono16', '8UC1', '16UC1'}
SENSOR = [name for name in pixels.ALL if name.startswith('16UC') or re.fullmatch('bayer.*16', name)]


def expected(rgb, encoding):
    """(H, W, 3) uint8 that an image of `rgb` in `encoding` shows, by NumPy alone. Without the border for a
    mosaic."""
    if encoding in GREY:
        return np.repeat(rgb[..., 1:2], 3, 2)
    if encoding.startswith('bayer'):
        return pixels.demosaic(pixels.mosaic(rgb, encoding[6:10]), encoding[6:10])
    if encoding in pixels.YUV:
        y, *chroma = (part.astype(float) for part in pixels.yuv_samples(rgb, encoding))
        scale = [len(rgb) // len(part) for part in chroma], [rgb.shape[1] // part.shape[1] for part in chroma]
        full = [
            part.repeat(down, 0).repeat(across, 1) for part, down, across in zip(chroma, *scale, strict=True)
        ]
        return pixels.yuv_to_rgb(np.stack([y, *full], 2))
    return rgb


def inner(picture, encoding):
    """Without the border that bilinear demosaicing has no neighbours for."""
    return picture[1:-1, 1:-1] if encoding.startswith('bayer') else picture


@pytest.mark.parametrize('padding', (0, 6), ids=('', 'padded'))
@pytest.mark.parametrize('encoding', pixels.ALL)
def test_as_numpy_reads_it(encoding, padding):
    found = decode_image(pixels.image(RGB, encoding, padding))
    assert found.shape == RGB.shape and found.dtype == np.uint8
    wrong = np.abs(inner(found, encoding).astype(int) - expected(RGB, encoding)).max()
    assert wrong <= (2 if encoding in pixels.YUV else 1 if encoding.startswith('bayer') else 0)


@pytest.mark.parametrize('encoding', [name for name in pixels.ALL if ENCODINGS[name].bits != 8])
def test_sixteen_bits(encoding):
    """Byte order is heeded; a 12-bit sensor's range is found where the encoding does not say 16 bit."""
    full = decode_image(pixels.image(RGB, encoding))
    np.testing.assert_array_equal(decode_image(pixels.image(RGB, encoding, 4, big_endian=True)), full)
    for bits in (10, 12, 14):
        wanted = full if encoding in SENSOR else full * ((2**bits - 1) / 65535)
        found = decode_image(pixels.image(RGB, encoding, bits=bits))
        assert np.abs(found - np.rint(wanted)).max() <= (encoding not in SENSOR)


def files():
    """{format of a CompressedImage: (file, RGB picture that it shows, error allowed inside)}."""
    deep = RGB.astype(np.uint16) * 257
    twelve = np.rint(RGB[..., 1] * (4095 / 255)).astype(np.uint16)
    grey = np.repeat(RGB[..., 1:2], 3, 2)
    raw = pixels.mosaic(RGB, 'grbg')
    found = {
        'rgb8; png compressed bgr8': (pixels.png(RGB), RGB),
        'rgb8; png compressed rgb8': (pixels.png(RGB[..., ::-1]), RGB),
        'bgr8; png compressed rgb8': (pixels.png(RGB[..., ::-1]), RGB),
        'rgb16; png compressed bgr16': (pixels.png(deep), RGB),
        'mono8; png compressed ': (pixels.png(RGB[..., 1]), grey),
        'mono16; png compressed ': (pixels.png(deep[..., 1]), grey),
        '16UC1; png compressed ': (pixels.png(twelve), grey),
        'png': (pixels.png(RGB), RGB),
        '': (pixels.png(deep), RGB),
        'bayer_grbg8; png compressed ': (pixels.png(raw), pixels.demosaic(raw, 'grbg')),
        'bayer_grbg16; png compressed ': (
            pixels.png(raw.astype(np.uint16) * 257),
            pixels.demosaic(raw, 'grbg'),
        ),
        'bayer_grbg8; png compressed bgr8': (pixels.png(RGB), RGB),
        'bayer_grbg8; jpeg compressed mono8': (pixels.png(RGB[..., 1]), grey),
    }
    return {name: pytest.param(name, *case, id=name or 'empty') for name, case in found.items()}.values()


@pytest.mark.parametrize('name, file, picture', files())
def test_format_is_heeded(name, file, picture):
    found = decode_compressed(pixels.compressed(file, name))
    border = 1 if found.shape != picture.shape else 0
    found = found[border : len(found) - border, border : found.shape[1] - border].astype(int)
    assert np.abs(found - picture).max() <= border


def test_a_mosaic_needs_three_pixels_each_way():
    with pytest.raises(BadInput, match='wrong size'):
        decode_compressed(pixels.compressed(pixels.png(RGB[:2, :, 0]), 'bayer_rggb8; png compressed '))


@pytest.fixture(scope='module')
def hands(clip):
    """A function that gives {side: (21, 2) keypoints in pixels} of an RGB picture of the clip's camera."""
    rgb, info, _ = clip
    pipeline, camera = HandPipeline(), Camera(np.reshape(info.k, (3, 3)), *rgb.shape[1::-1])

    def find(rgb):
        pipeline.reset()
        return {hand.side: hand.keypoints_px for hand in pipeline.process(Frame(rgb, 1, camera))}

    return find


def jpeg(picture):
    """JPEG file of a grey or RGB picture."""
    return cv2.imencode('.jpg', picture[..., ::-1] if picture.ndim == 3 else picture, [1, 95])[1].tobytes()


def matrix(rgb):
    """(name, message, picture as sent) of the clip's picture in every encoding, raw and compressed."""
    grey, deep = np.repeat(rgb[..., 1:2], 3, 2), rgb.astype(np.uint16) * 257
    for name in pixels.ALL:
        for bits in (10, 16) if name in SENSOR else (16,):
            yield f'{name} {bits}', pixels.image(rgb, name, bits=bits), grey if name in GREY else rgb
    raw = pixels.mosaic(rgb, 'rggb')
    for name, file, sent in (
        ('rgb8; jpeg compressed bgr8', jpeg(rgb), rgb),
        ('rgb8; jpeg compressed rgb8', jpeg(rgb[..., ::-1]), rgb),
        ('bgr8; jpeg compressed', jpeg(rgb), rgb),
        ('jpeg', jpeg(rgb), rgb),
        ('', jpeg(rgb), rgb),
        ('png', pixels.png(rgb), rgb),
        ('rgb16; png compressed bgr16', pixels.png(deep), rgb),
        ('bayer_rggb8; png compressed ', pixels.png(raw), rgb),
        ('bayer_rggb16; png compressed ', pixels.png(raw.astype(np.uint16) * 16), rgb),
        ('bayer_rggb8; jpeg compressed ', jpeg(raw), rgb),
        ('bayer_rggb8; jpeg compressed mono8', jpeg(rgb[..., 1]), grey),
        ('yuv422_yuy2; jpeg compressed mono8', jpeg(rgb[..., 1]), grey),
        ('mono8; jpeg compressed mono8', jpeg(rgb[..., 1]), grey),
        ('mono16; png compressed ', pixels.png(deep[..., 1]), grey),
        ('16UC1; png compressed ', pixels.png(rgb[..., 1].astype(np.uint16) * 16), grey),
    ):
        yield name, pixels.compressed(file, name), sent


def test_the_clips_hands_in_every_encoding(clip, hands):
    """Within 2 px of the rgb8 run of the picture that was sent: the clip's, for grey ones its green channel.
    (A grey picture moves keypoints by up to 4 px whatever its encoding: the networks use colour.)"""
    rgb, truth, worst = clip[0], {}, {}
    for name, msg, sent in matrix(rgb):
        key = sent.tobytes()
        truth.setdefault(key, hands(decode_image(pixels.image(sent, 'rgb8'))))
        found = hands((decode_image if isinstance(msg, Image) else decode_compressed)(msg))
        assert found.keys() == truth[key].keys() and len(found) == 2, name
        worst[name] = max(np.linalg.norm(found[s] - truth[key][s], axis=1).max() for s in found)
    print('', *(f'{distance:6.2f} px  {name!r}' for name, distance in worst.items()), sep='\n')
    assert max(worst.values()) < 2
    assert all(d < 0.01 for n, d in worst.items() if re.match(r'(rgb|bgr|mono|8U|16U)[^;]*$', n)), worst
    assert {name.partition(' ')[0] for name in worst} >= ENCODINGS.keys()


@pytest.mark.parametrize(
    'format, data, named, remedy',
    [
        ('16UC1; compressedDepth png', bytes(12) + pixels.png(RGB), 'compressedDepth', 'republish'),
        ('h264', b'\0\0\0\1\x67' + bytes(40), 'ffmpeg', '-r in/ffmpeg:=TOPIC -r out:='),
        ('hevc', bytes(40), 'ffmpeg', '-p in_transport:=ffmpeg -p out_transport:=raw'),
        ('', b'\0\0\0\1\x67' + bytes(40), 'ffmpeg', '-p in_transport:=ffmpeg -p out_transport:=raw'),
        ('theora', b'OggS' + bytes(40), 'theora', '-p in_transport:=theora -p out_transport:=raw'),
        ('rgb8; tiff compressed ', cv2.imencode('.tiff', RGB)[1].tobytes(), 'TIFF', 'format to jpeg'),
        ('webp', cv2.imencode('.webp', RGB)[1].tobytes(), 'WebP', 'Publish JPEG or PNG'),
    ],
)
def test_what_is_no_picture_is_named_with_what_to_do(format, data, named, remedy):
    with pytest.raises(BadInput, match=f'unknown compression: .*{named}') as refusal:
        decode_compressed(pixels.compressed(data, format))
    assert remedy in refusal.value.remedy


def test_a_topic_of_packets_is_named_with_the_command(graph, monkeypatch):
    subscription = AutoQosSubscription(graph.node, Image, '/packets/ffmpeg', print)
    publisher = graph.node.create_publisher(Image, '/packets/ffmpeg', 1)
    info = SimpleNamespace(
        node_name='camera',
        topic_type='ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
        qos_profile=publisher.qos_profile,
    )
    monkeypatch.setattr(subscription, '_publishers', lambda: [info])
    assert (
        '-p in_transport:=ffmpeg -p out_transport:=raw -r in/ffmpeg:=/packets/ffmpeg'
        in subscription.misfits()[0]
    )
    subscription.close()


def test_docs_list_every_encoding():
    """docs/encodings.md, first table, has the encodings that are read and no other."""
    text = (ROOT / 'docs/encodings.md').read_text().split('\n## ')[1]
    rows = [line.split('|')[1] for line in text.splitlines() if line.startswith('| `')]
    named = re.findall('`(.+?)`', ' '.join(rows))
    assert len(named) == len(set(named)) and set(named) == ENCODINGS.keys()
