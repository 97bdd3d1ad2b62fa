"""The messages as frozen: names, types, constants, and a round trip through the middleware's format."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from geometry_msgs.msg import Point, PoseWithCovariance  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

from maskhand_ros.msg import Hand, HandArray, HandHypothesis, HandTopology  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
INTERFACES = sorted(
    str(path.relative_to(ROOT)) for kind in ('msg', 'srv') for path in ROOT.glob(f'{kind}/*.{kind}')
)


def test_fields_and_constants():
    assert list(HandArray.get_fields_and_field_types().items()) == [
        ('header', 'std_msgs/Header'),
        ('hands', 'sequence<maskhand_ros/Hand>'),
        ('lost_ids', 'sequence<uint32>'),
        ('width', 'uint32'),
        ('height', 'uint32'),
        ('processing_time', 'builtin_interfaces/Duration'),
        ('hand_model', 'string'),
        ('network', 'string'),
    ]
    fields = Hand.get_fields_and_field_types()
    assert fields['wrist'] == 'sequence<geometry_msgs/PoseWithCovariance, 1>'
    assert fields['keypoints'] == 'sequence<geometry_msgs/Point, 21>'
    assert fields['keypoints_wrist'] == 'geometry_msgs/Point[21]'
    assert (fields['keypoints_px'], fields['mano_pose'], fields['betas']) == (
        'float[42]',
        'float[48]',
        'float[10]',
    )
    assert len(fields) == 21
    assert fields['keypoint_visibility'] == 'sequence<float, 21>'
    assert fields['hypotheses'] == 'sequence<maskhand_ros/HandHypothesis>'
    assert HandHypothesis.get_fields_and_field_types()['keypoints_wrist'] == 'geometry_msgs/Point[21]'
    assert HandTopology.get_fields_and_field_types()['parents'] == 'int8[16]'
    assert (Hand.LEFT, Hand.RIGHT) == (1, 2)
    assert (Hand.TENTATIVE, Hand.TRACKED, Hand.PREDICTED) == (1, 2, 3)
    assert (
        Hand.SCALE_NONE,
        Hand.SCALE_POPULATION,
        Hand.SCALE_PARAMETER,
        Hand.SCALE_LEARNED,
        Hand.SCALE_DEPTH,
    ) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize('path', INTERFACES)
def test_every_field_is_commented(path):
    lines = (ROOT / path).read_text().splitlines()
    for index, line in enumerate(lines):
        if re.match(r'[a-z]', line) and '=' not in line.split('#')[0]:
            assert '#' in line or lines[index - 1].startswith('#'), (
                f'{path}:{index + 1} has no comment: {line}'
            )


def test_absent_is_empty_and_present_survives():
    absent = deserialize_message(serialize_message(HandArray(hands=[Hand(id=7)])), HandArray).hands[0]
    assert list(absent.wrist) == [] and list(absent.keypoints) == [] and len(absent.vertices) == 0

    hand = Hand(
        side=Hand.LEFT,
        is_operator=True,
        wrist=[PoseWithCovariance()],
        keypoints=[Point(x=float(i)) for i in range(21)],
    )
    hand.vertices.frombytes(np.arange(6, dtype=np.float32).tobytes())
    got = deserialize_message(serialize_message(hand), Hand)
    assert got == hand
    assert [p.x for p in got.keypoints] == list(range(21)) and len(got.wrist) == 1
