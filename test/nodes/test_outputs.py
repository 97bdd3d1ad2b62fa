"""What belongs to a picture is built for those who subscribe, and for nobody else."""

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from maskhand_ros.nodes import outputs
from maskhand_ros.nodes.markers import HandMarkers

# topic, from ~/ -> (type, what builds it)
COSTLY = {
    '/tf': (TFMessage, (outputs, 'hand_transforms')),
    'right/wrist': (PoseWithCovarianceStamped, (outputs.messages, 'wrist_msg')),
    'markers': (MarkerArray, (HandMarkers, 'build')),
    'keypoints': (PointCloud2, (outputs.messages, 'cloud_msg')),
    'overlay': (Image, (outputs, 'encode_image')),
    'overlay/compressed': (CompressedImage, (outputs, 'encode_compressed')),
}
DRAWN = 'overlay', 'overlay/compressed'


@pytest.fixture
def built(monkeypatch):
    """Names of what was built so far, in order."""
    names = []

    def counted(name, original):
        return lambda *args, **kwargs: (names.append(name), original(*args, **kwargs))[1]

    for name, (_, place) in {**COSTLY, 'drawing': (None, (outputs, 'draw_hands'))}.items():
        monkeypatch.setattr(*place, counted(name, getattr(*place)))
    return names


def test_nothing_is_built_that_nobody_subscribes_to(graph, clip, built):
    rgb, info, _ = clip
    watched = graph.watch('unheard')

    def built_for_one():
        built.clear()
        assert watched.show(rgb, info).hands
        return set(built)

    assert not any(built_for_one() for _ in range(3))
    for topic, (kind, _) in COSTLY.items():
        wanted = {topic, 'drawing'} if topic in DRAWN else {topic}
        heard = []
        name = topic if topic.startswith('/') else f'/unheard/hand_node/{topic}'
        subscription = graph.node.create_subscription(kind, name, heard.append, 1)
        graph.wait(lambda wanted=wanted: built_for_one() == wanted)
        graph.wait(lambda heard=heard: heard)
        graph.node.destroy_subscription(subscription)
        graph.wait(lambda: not built_for_one())
