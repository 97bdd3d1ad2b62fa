"""Depth at a real hand_node, registered or not, whole or faulty (docs/faults.md); how it is paired."""

import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from maskhand_ros.geometry import project, rotvec_to_matrix
from maskhand_ros.msg import Hand
from maskhand_ros.nodes.by_stamp import ByStamp
from maskhand_ros.nodes.messages import ns_to_stamp, to_quaternion
from maskhand_ros.nodes.transforms import TransformTree

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

FARTHER = 1.15
"""The depth pictures say that hands are so much farther away than they are: who believes them shows it."""
DEPTH_K = np.array([[400.0, 0, 330], [0, 400, 200], [0, 0, 1]])
WAY = rotvec_to_matrix(np.array([0.01, -0.02, 0.015])), np.array([0.04, -0.005, 0.01])
"""From the frame of the depth camera to the picture's."""


def depth_picture(keypoints, K, width, height, rotation=WAY[0].T @ WAY[0], translation=(0, 0, 0)):
    """(H, W) float32 metres: hands as flat pieces before a wall, in the camera to which `rotation` and
    `translation` take them."""
    picture = np.full((height, width), 2.0, np.float32)
    for hand in keypoints:
        points = hand * FARTHER @ np.transpose(rotation) + translation
        outline = cv2.convexHull(project(points, K).astype(np.float32)).round().astype(int)
        cv2.fillConvexPoly(picture, outline, float(np.median(points[[0, 1, 5, 9, 13, 17], 2])) - 0.012)
    return picture


class DepthCamera:
    """Publishes depth that goes with the next picture of a Watched node."""

    def __init__(self, watched, namespace):
        node = watched.graph.node
        self._camera = watched.camera
        self._images = node.create_publisher(Image, f'{namespace}/depth/image', 5)
        self._infos = node.create_publisher(CameraInfo, f'{namespace}/depth/camera_info', 5)
        watched.graph.wait(self._images.get_subscription_count)
        watched.graph.wait(self._infos.get_subscription_count)
        depth = watched.node._inputs.depth
        watched.graph.wait(lambda: depth._images.reliability == ReliabilityPolicy.RELIABLE)

    def show(self, metres, encoding='16UC1', K=None, frame_id='camera', age_ns=0):
        height, width = metres.shape
        header = Header(stamp=ns_to_stamp(self._camera.stamp_ns + 33_000_000 - age_ns), frame_id=frame_id)
        if K is not None:
            self._infos.publish(CameraInfo(header=header, width=width, height=height, k=K.reshape(9)))
        pixels = (metres * 1000).astype('<u2') if encoding == '16UC1' else metres.astype('<f4')
        msg = Image(header=header, width=width, height=height, encoding=encoding)
        msg.step, msg.data = pixels.strides[0], pixels.tobytes()
        self._images.publish(msg)


@pytest.fixture
def deep(graph, clip, request):
    """A node with depth that has seen the hands without it."""
    watched = graph.watch(request.node.name, use_depth=True, smoothing='off')
    for _ in range(2):
        assert not from_depth(watched.show(*clip[:2]).hands)
    yield SimpleNamespace(watched=watched, depth=DepthCamera(watched, watched.name))
    watched.node.trigger_deactivate()


def show_with_depth(deep, clip, *args, **kwargs):
    deep.depth.show(*args, **kwargs)
    return deep.watched.show(*clip[:2]).hands


def from_depth(hands):
    """Whether the hands' scale is from depth, all or none."""
    (source,) = {hand.scale_source for hand in hands}
    return source == Hand.SCALE_DEPTH


def assert_from_depth(hands, clip):
    truth = {Hand.LEFT: clip[2][0], Hand.RIGHT: clip[2][1]}
    assert {hand.side for hand in hands} == set(truth) and from_depth(hands)
    for hand in hands:
        assert hand.wrist[0].pose.position.z == pytest.approx(FARTHER * truth[hand.side][0, 2], rel=0.05)


@pytest.mark.parametrize('encoding', ('16UC1', '32FC1'))
def test_depth_that_is_registered(deep, clip, encoding):
    info = clip[1]
    picture = depth_picture(clip[2], np.array(info.k).reshape(3, 3), info.width, info.height)
    assert_from_depth(show_with_depth(deep, clip, picture, encoding), clip)


def test_depth_all_zero(deep, clip):
    info = clip[1]
    assert not from_depth(show_with_depth(deep, clip, np.zeros((info.height, info.width))))
    deep.watched.wait_told('depth', 'empty depth')
    picture = depth_picture(clip[2], np.array(info.k).reshape(3, 3), info.width, info.height)
    assert_from_depth(show_with_depth(deep, clip, picture), clip)


def test_depth_older_than_100_ms(deep, clip):
    info = clip[1]
    picture = depth_picture(clip[2], np.array(info.k).reshape(3, 3), info.width, info.height)
    hands = show_with_depth(deep, clip, picture, age_ns=110_000_000)
    assert not from_depth(hands)
    deep.watched.wait_told('depth', 'depth too old')
    assert_from_depth(show_with_depth(deep, clip, picture, age_ns=90_000_000), clip)


def test_no_depth_at_all(deep, clip):
    time.sleep(1)  # until then it may be on its way
    assert not from_depth(deep.watched.show(*clip[:2]).hands)
    deep.watched.wait_told('depth', 'no depth')


def test_depth_of_an_encoding_that_is_not_depth(deep, clip):
    assert not from_depth(show_with_depth(deep, clip, np.full((480, 640), 2.0), encoding='64FC1'))
    deep.watched.wait_told('depth', 'unknown depth encoding')


def test_depth_that_misses_the_picture(deep, clip):
    wall, beside = np.full((400, 640), 2.0), transform('camera', 'beside', np.eye(3), [50.0, 0, 0])
    deep.watched.node._inputs.depth._tree.put(TFMessage(transforms=[beside]))
    assert not from_depth(show_with_depth(deep, clip, wall, K=DEPTH_K, frame_id='beside'))
    deep.watched.wait_told('depth', 'depth outside the image')


@pytest.mark.parametrize(
    'image, depth, camera_frame', [('/camera', 'camera', ''), ('camera', 'camera', 'head')]
)
def test_depth_in_the_frame_of_the_image_under_another_name(deep, clip, image, depth, camera_frame):
    info = clip[1]
    deep.watched.node.set_parameters([Parameter('camera_frame', value=camera_frame)])
    deep.watched.camera.frame_id = image
    picture = depth_picture(clip[2], np.array(info.k).reshape(3, 3), info.width, info.height)
    assert_from_depth(show_with_depth(deep, clip, picture, frame_id=depth), clip)


def test_depth_of_an_uncalibrated_camera(deep, clip):
    assert not from_depth(show_with_depth(deep, clip, np.full((400, 640), 2.0), K=np.zeros((3, 3))))
    deep.watched.wait_told('depth', 'uncalibrated CameraInfo')


def test_depth_beside_a_mirror_image(graph, clip):
    watched = graph.watch('mirror', use_depth=True, mirrored_input=True)
    DepthCamera(watched, watched.name).show(np.full((400, 640), 2.0), K=DEPTH_K)
    assert not from_depth(watched.show(*clip[:2]).hands)
    watched.wait_told('depth', 'unregistered depth of a mirrored image')


@pytest.mark.parametrize('topic', ('/tf_static', '/tf'))
def test_depth_of_another_camera(deep, clip, topic):
    """First without all that is needed, then with the CameraInfo, then with the transform."""
    rotation, translation = WAY[0].T, -WAY[0].T @ WAY[1]
    picture = depth_picture(clip[2], DEPTH_K, 640, 400, rotation, translation)
    side = {'frame_id': 'depth_camera'}
    hands = show_with_depth(deep, clip, picture, **side)
    assert not from_depth(hands)
    assert 'depth/camera_info' in deep.watched.wait_told('depth', 'depth without CameraInfo').message
    hands = show_with_depth(deep, clip, picture, K=DEPTH_K, **side)
    assert not from_depth(hands)
    assert '/tf_static' in deep.watched.wait_told('depth', 'no transform to the depth camera').message

    # A body on which both cameras sit, the depth camera as the picture's camera sees it.
    body = [0.0, 0.3, -0.1]
    tree = TFMessage(
        transforms=[
            transform('body', 'camera', np.eye(3), body),
            transform('body', 'depth_camera', WAY[0], WAY[1] + body),
        ]
    )
    publisher = deep.watched.graph.node.create_publisher(TFMessage, topic, LATCHED)
    deep.watched.graph.wait(publisher.get_subscription_count)
    publisher.publish(tree)
    deep.watched.graph.wait(lambda: deep.watched.node._inputs.depth._tree.lookup('camera', 'depth_camera'))
    assert_from_depth(show_with_depth(deep, clip, picture, K=DEPTH_K, **side), clip)
    deep.watched.graph.node.destroy_publisher(publisher)


def transform(parent, child, rotation, translation):
    return TransformStamped(
        header=Header(frame_id=parent),
        child_frame_id=child,
        transform=Transform(
            translation=Vector3(**dict(zip('xyz', map(float, translation), strict=True))),
            rotation=to_quaternion(rotation),
        ),
    )


def test_the_way_between_frames_goes_up_and_down_the_tree():
    rng, tree = np.random.default_rng(0), TransformTree()
    in_parent = {}
    for parent, child in (('root', 'a'), ('a', 'b'), ('root', 'c'), ('/c', '/d')):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotvec_to_matrix(rng.normal(size=3)), rng.normal(size=3)
        in_parent[child.strip('/')] = pose
        tree.put(TFMessage(transforms=[transform(parent, child, pose[:3, :3], pose[:3, 3])]))
    b, d = in_parent['a'] @ in_parent['b'], in_parent['c'] @ in_parent['d']
    for target, source, expected in (
        ('b', 'd', np.linalg.inv(b) @ d),
        ('d', 'b', np.linalg.inv(d) @ b),
        ('root', 'b', b),
        ('b', 'root', np.linalg.inv(b)),
        ('a', 'a', np.eye(4)),
    ):
        rotation, translation = tree.lookup(target, source)
        np.testing.assert_allclose(rotation, expected[:3, :3], atol=1e-12)
        np.testing.assert_allclose(translation, expected[:3, 3], atol=1e-12)
    assert tree.lookup('a', 'elsewhere') is None
    nothing = transform('root', 'e', np.eye(3), [0, 0, 0])
    nothing.transform.rotation.w = 0.0
    loop = [transform('y', 'x', np.eye(3), [0, 0, 0]), transform('x', 'y', np.eye(3), [0, 0, 0])]
    tree.put(TFMessage(transforms=[nothing, *loop]))
    assert tree.lookup('a', 'e') is None and tree.lookup('x', 'a') is None


def test_messages_are_paired_by_stamp_and_never_with_another_time():
    def message(ms):
        return SimpleNamespace(header=Header(stamp=ns_to_stamp(ms * 1_000_000)), ms=ms)

    def nearest(ms):
        found = messages.nearest(ms * 1_000_000, 100_000_000, timeout=0.001)
        return found and found.ms

    messages = ByStamp(capacity=3)
    assert nearest(5000) is messages.exact_or_latest(0) is None
    for ms in (4900, 5000, 5066, 5033):
        messages.put(message(ms))
    assert [nearest(ms) for ms in (5000, 5040, 5166, 5167, 4899)] == [5000, 5033, 5066, None, None]
    assert messages.exact_or_latest(5_066_000_000).ms == 5066 and messages.exact_or_latest(1).ms == 5033
    on_its_way = threading.Thread(target=lambda: messages.put(message(5100)))
    on_its_way.start()
    assert messages.nearest(5_100_000_000, 100_000_000, timeout=60).ms == 5100
    on_its_way.join()
    messages.put(message(1000))  # a bag that was started again
    assert nearest(5000) is None and nearest(1050) == 1000
