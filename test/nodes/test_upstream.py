"""cv_bridge and sensor_msgs_py of an installed ROS 2 read what we publish, and read images as we do."""

import subprocess
import sys

import numpy as np
import pixels
import pytest
from std_msgs.msg import Header

from maskhand_ros.nodes.compressed import decode_compressed, encode_compressed
from maskhand_ros.nodes.images import decode_image, encode_image
from maskhand_ros.nodes.messages import cloud_msg

HEADER = Header(frame_id='camera')
RGB = np.kron(np.random.default_rng(0).integers(0, 256, (10, 16, 3), np.uint8), np.ones((4, 4, 1), np.uint8))

PROBE = """
import numpy
from cv_bridge.boost.cv_bridge_boost import cvtColor2
cvtColor2(numpy.zeros((4, 4, 3), numpy.uint8), 'bgr8', 'rgb8')
"""


@pytest.fixture(scope='module')
def bridge():
    """A CvBridge. Its compiled half can end the process under a NumPy that it was not built for: it is tried
    in another."""
    cv_bridge = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    tried = subprocess.run([sys.executable, '-c', PROBE], capture_output=True, text=True)
    if tried.returncode:
        why = (tried.stderr.strip() or f'exit code {tried.returncode}').splitlines()[-1]
        pytest.skip(f'cv_bridge does not run with NumPy {np.__version__}: {why}')
    return cv_bridge.CvBridge()


def test_cv_bridge_reads_our_overlay(bridge):
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(encode_image(RGB, HEADER), 'rgb8'), RGB)
    ours = encode_compressed(RGB, HEADER)
    theirs = bridge.compressed_imgmsg_to_cv2(ours, 'rgb8')
    np.testing.assert_array_equal(theirs, decode_compressed(ours))


def test_cv_bridge_reads_images_as_we_do(bridge):
    """Of those encodings that this cv_bridge knows as colour: the same numbers, but for rounding where a
    mosaic is scaled to 8 bit before it is demosaiced here and after it there."""
    from cv_bridge import CvBridgeError

    same = set()
    for encoding in pixels.ALL:
        for big_endian in (False, True):
            msg = pixels.image(RGB, encoding, big_endian=big_endian)
            try:
                theirs = bridge.imgmsg_to_cv2(msg, 'rgb8')
            except CvBridgeError:  # not known, or known without a colour (8UC3)
                continue
            difference = np.abs(decode_image(msg).astype(int) - theirs).max()
            assert difference <= (encoding.startswith('bayer') and encoding.endswith('16')), encoding
            same.add(encoding)
    assert same >= {'rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', 'rgb16', 'bgr16', 'yuv422'}
    assert same >= {name for name in pixels.ALL if name.startswith('bayer')}


def test_sensor_msgs_py_reads_our_cloud(make_hand):
    point_cloud2 = pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py is not installed'
    )
    hands = [make_hand(id=3), make_hand(id=7, seed=1)]
    points = point_cloud2.read_points(cloud_msg(hands, HEADER))
    xyz = np.stack([points[axis] for axis in 'xyz'], 1)
    np.testing.assert_allclose(xyz, np.concatenate([hand.keypoints for hand in hands]), atol=1e-6)
    np.testing.assert_allclose(points['stddev'], np.tile(hands[0].keypoint_stddev, 2), rtol=1e-6)
    np.testing.assert_array_equal(points['id'], np.repeat([3, 7], 21))
    np.testing.assert_array_equal(points['keypoint'], np.tile(range(21), 2))
