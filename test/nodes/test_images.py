"""Image, CompressedImage and CameraInfo: what is read, and what is refused before memory is taken."""

import array
import struct
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from maskhand_ros.camera_info import decode_camera_info
from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.compressed import decode_compressed, encode_compressed
from maskhand_ros.nodes.hand_node import HandNode
from maskhand_ros.nodes.images import decode_depth, decode_image, encode_image
from maskhand_ros.nodes.inputs import Inputs
from maskhand_ros.nodes.messages import ns_to_stamp

RGB = np.kron(
    np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)
)  # 64 x 48


def image(**fields):
    msg = encode_image(RGB, CameraInfo().header)
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


def encoded(pixels, encoding):
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    return Image(
        height=len(pixels),
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=array.array('B', rows.tobytes()),
    )


def test_our_own_jpeg_comes_close():
    flat = np.full((48, 64, 3), (200, 100, 50), np.uint8)
    assert (
        np.abs(decode_compressed(encode_compressed(flat, CameraInfo().header)).astype(int) - flat).max() < 4
    )


@pytest.mark.parametrize(
    'fields, reason',
    [
        ({'encoding': 'bayer_rggb12'}, 'unknown encoding'),
        ({'encoding': '32FC1'}, 'unknown encoding'),
        ({'encoding': ''}, 'unknown encoding'),
        ({'width': 0}, 'zero size'),
        ({'height': 0}, 'zero size'),
        ({'step': 10}, 'wrong step'),
        ({'step': 0}, 'wrong step'),
        ({'data': array.array('B', bytes(100))}, 'truncated data'),
        ({'data': array.array('B')}, 'truncated data'),
        ({'width': 2**32 - 1, 'height': 2**32 - 1, 'step': 2**32 - 1}, 'too large'),
        ({'encoding': 'yuyv', 'width': 63}, 'wrong size'),
        ({'encoding': 'nv12', 'height': 47}, 'wrong size'),
        ({'encoding': 'bayer_rggb8', 'width': 2}, 'wrong size'),
        ({'encoding': 'i420', 'step': 65}, 'wrong step'),
        ({'encoding': 'nv24', 'step': 192}, 'truncated data'),
    ],
)
def test_refused_with_a_remedy(fields, reason):
    with pytest.raises(BadInput) as refusal:
        decode_image(image(**fields))
    assert refusal.value.reason == reason and len(refusal.value.remedy) > 10


def test_compressed_pictures_are_refused_by_their_head():
    bomb = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR' + struct.pack('>II', 100_000, 100_000) + bytes(9)
    bomb += b'\0\0\0\0IEND\xaeB`\x82'
    cut = cv2.imencode('.png', RGB)[1].tobytes()[:60]
    for data, reason in (
        (bomb, 'too large'),
        (cut, 'truncated data'),
        (b'', 'unknown compression'),
        (b'GIF89a', 'unknown compression'),
    ):
        with pytest.raises(BadInput) as refusal:
            decode_compressed(CompressedImage(format='png', data=array.array('B', data)))
        assert refusal.value.reason == reason


def test_depth_in_metres():
    millimetres = np.array([[0, 500], [1500, 65535]], np.uint16)
    expected = [[np.nan, 0.5], [1.5, 65.535]]
    np.testing.assert_allclose(
        decode_depth(encoded(millimetres[..., None].view(np.uint8), '16UC1')), expected, rtol=1e-6
    )
    big = encoded(millimetres.byteswap()[..., None].view(np.uint8), '16UC1')
    big.is_bigendian = 1
    np.testing.assert_allclose(decode_depth(big), expected, rtol=1e-6)
    metres = np.array([[np.inf, 0.5], [1.5, -1]], np.float32)
    np.testing.assert_allclose(
        decode_depth(encoded(metres[..., None].view(np.uint8), '32FC1')), [[np.nan, 0.5], [1.5, np.nan]]
    )
    with pytest.raises(BadInput, match='unknown depth encoding'):
        decode_depth(encoded(RGB, 'rgb8'))


def info(**fields):
    return CameraInfo(
        **{
            'width': 640,
            'height': 480,
            'k': [600.0, 0, 320, 0, 610, 240, 0, 0, 1],
            'p': [500.0, 0, 310, 0, 0, 510, 230, 0, 0, 0, 1, 0],
            'd': [0.1, 0, 0, 0, 0],
            'distortion_model': 'plumb_bob',
            **fields,
        }
    )


def test_camera_info_fits_the_picture():
    camera = decode_camera_info(info(), 640, 480)
    np.testing.assert_array_equal(camera.K, [[600, 0, 320], [0, 610, 240], [0, 0, 1]])
    assert camera.distortion[0] == 0.1
    rectified = decode_camera_info(info(), 640, 480, rectified=True)
    assert rectified.K[0, 0] == 500 and rectified.distortion.size == 0
    window = info(binning_x=2, binning_y=2)
    window.roi.x_offset, window.roi.y_offset, window.roi.width, window.roi.height = 100, 40, 400, 400
    np.testing.assert_array_equal(
        decode_camera_info(window, 200, 200).K, [[300, 0, 110], [0, 305, 100], [0, 0, 1]]
    )


@pytest.mark.parametrize(
    'fields, reason',
    [
        ({'k': [0.0] * 9}, 'uncalibrated'),
        ({'k': [np.nan] * 9}, 'invalid'),
        ({'width': 320}, 'another size'),
        ({'distortion_model': 'equidistant'}, 'unsupported distortion'),
        ({'d': [0.1, 0.0, 0.0]}, 'unsupported distortion'),
        ({'d': [1e6, 0.0, 0.0, 0.0, 0.0]}, 'implausible'),
        ({'k': [600.0, 0, 320, 0, 610, 240, 0, 0, 0]}, 'invalid'),
        ({'roi': RegionOfInterest(x_offset=9, width=640, height=480)}, 'implausible'),
    ],
)
def test_camera_info_that_cannot_be_used(fields, reason):
    with pytest.raises(BadInput, match=reason):
        decode_camera_info(info(**fields), 640, 480)


def test_a_camera_info_is_decoded_when_it_changes(ros):
    """The Camera is that of the newest CameraInfo, and the same object while nothing in it changes."""
    node = HandNode(namespace='inputs')
    inputs = Inputs(node, mirrored=False)
    window = RegionOfInterest(x_offset=4, y_offset=2, width=640, height=480)
    changes = (
        {'k': [601.0, 0, 320, 0, 610, 240, 0, 0, 1]},
        {'d': [0.2, 0, 0, 0, 0]},
        {'distortion_model': 'equidistant', 'd': [0.1, 0.0, 0.0, 0.0]},
        {'roi': window, 'width': 644, 'height': 484},
        {'roi': RegionOfInterest(x_offset=5, width=640), 'width': 646},
        {'roi': RegionOfInterest(x_offset=6, width=640), 'width': 646},
        {'roi': RegionOfInterest(x_offset=6, width=640), 'width': 650},
        {'binning_x': 2, 'width': 1280},
        {'binning_y': 2, 'height': 960},
        {},
    )
    before = None
    for second, fields in enumerate(changes, 1):
        for nanosec in (0, 1):
            msg = info(**fields)
            msg.header.stamp = ns_to_stamp(10**9 * second + nanosec)
            inputs.infos.put(msg)
            camera = inputs.camera(10**9 * second + nanosec, 640, 480, rectified=False)
            assert (camera is before) == (nanosec == 1)
            assert camera == decode_camera_info(msg, 640, 480)
            before = camera
    assert inputs.camera(10**9 * second, 640, 480, rectified=True).K[0, 0] == 500
    for fields in ({'binning_x': 2}, {'binning_y': 2}, {'width': 641, 'roi': window}):
        for fitting in ({}, fields):  # both with the stamp 0
            inputs.infos.put(info(**fitting))
            with pytest.raises(BadInput) if fitting else nullcontext():
                inputs.camera(0, 640, 480, rectified=False)
    inputs.close()
    node.destroy_node()
