"""Hands to messages and back, TF, markers, cloud."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from maskhand_ros.errors import FieldError
from maskhand_ros.nodes.markers import HandMarkers
from maskhand_ros.nodes.messages import (
    CLOUD_TYPE,
    cloud_msg,
    hand_to_msg,
    hands_to_msg,
    is_finite,
    msg_to_hand,
    ns_to_stamp,
    stamp_to_ns,
    topology_msg,
    wrist_msg,
)
from maskhand_ros.nodes.transforms import HandNames, hand_transforms, prefix_for
from maskhand_ros.perception.types import PREDICTED, SCALE_NONE, Hypothesis
from maskhand_ros.skeleton import JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES, LEFT, RIGHT

HEADER = Header(stamp=ns_to_stamp(1_234_567_890_123_456_789), frame_id='camera')


@pytest.mark.parametrize('side', (LEFT, RIGHT))
def test_there_and_back(make_hand, side):
    hand = make_hand(side)
    hand.hypotheses = [
        Hypothesis(p, p * hand.keypoints_wrist, hand.mano_pose, hand.betas) for p in (0.5, 0.2)
    ]
    again = msg_to_hand(hand_to_msg(hand))
    for one, other in zip((hand, *hand.hypotheses), (again, *again.hypotheses), strict=True):
        for name, value in vars(one).items():
            if name != 'hypotheses':
                np.testing.assert_allclose(getattr(other, name), value, atol=2e-6, err_msg=name)
    hand.hypotheses[1].betas = np.full(10, np.nan)
    assert not is_finite(hand)


def test_unplaced_hand_has_empty_arrays(make_hand):
    hand = make_hand()
    hand.wrist_position = hand.wrist_covariance = hand.keypoints = hand.keypoint_visibility = None
    hand.scale_source = SCALE_NONE
    msg = hand_to_msg(hand, with_vertices=False)
    assert len(msg.wrist) == len(msg.keypoints) == len(msg.vertices) == len(msg.keypoint_visibility) == 0
    assert len(msg.keypoints_wrist) == 21
    again = msg_to_hand(msg)
    assert again.wrist_position is again.keypoints is again.keypoint_visibility is None
    assert hand_transforms(hand, 'h', HEADER) == [] and cloud_msg([hand], HEADER).width == 0


def test_a_hand_of_an_older_message_names_the_missing_field(make_hand):
    msg = hand_to_msg(make_hand())
    older = {name: getattr(msg, name) for name in msg.get_fields_and_field_types()}
    del older['keypoint_visibility']
    with pytest.raises(FieldError, match='keypoint_visibility.*older Hand.msg.*maskhand replay'):
        msg_to_hand(SimpleNamespace(**older))


def test_hand_array_says_where_it_comes_from(make_hand):
    msg = hands_to_msg([make_hand()], [7], HEADER, 640, 480, 0.25, 'open', 'net 1')
    assert msg.header == HEADER and stamp_to_ns(msg.header.stamp) == 1_234_567_890_123_456_789
    assert (msg.width, msg.height, list(msg.lost_ids)) == (640, 480, [7])
    assert (msg.processing_time.nanosec, msg.hand_model, msg.network) == (250_000_000, 'open', 'net 1')


def resolve(transforms):
    """{frame: (rotation, position)} in the root frame, down the tree."""
    frames = {HEADER.frame_id: (np.eye(3), np.zeros(3))}
    for t in transforms:
        rotation, position = frames[t.header.frame_id]
        x, y, z, w = (getattr(t.transform.rotation, a) for a in 'xyzw')
        own = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        shift = t.transform.translation
        frames[t.child_frame_id] = rotation @ own, position + rotation @ [shift.x, shift.y, shift.z]
    return frames


@pytest.mark.parametrize('side', (LEFT, RIGHT))
def test_tf_chain_ends_at_the_keypoints(make_hand, side):
    hand = make_hand(side, seed=3)
    transforms = hand_transforms(hand, 'hand', HEADER)
    assert all(t.header.stamp == HEADER.stamp for t in transforms)
    parents = {t.child_frame_id: t.header.frame_id for t in transforms}
    assert parents['hand/wrist'] == 'camera' and parents['hand/index_1'] == 'hand/wrist'
    assert parents['hand/index_2'] == 'hand/index_1' and parents['hand/index_tip'] == 'hand/index_3'
    frames = resolve(transforms)
    assert len(frames) == 22
    for name, keypoint in zip(KEYPOINT_NAMES, hand.keypoints, strict=True):
        np.testing.assert_allclose(frames[f'hand/{name}'][1], keypoint, atol=1e-6, err_msg=name)
    # Fingers lie ahead of the wrist, on both hands.
    assert ((hand.keypoints[9] - hand.keypoints[0]) @ frames['hand/wrist'][0])[0] > 0.03
    hand.state = PREDICTED
    assert hand_transforms(hand, 'hand', HEADER) == []


def test_frame_names(make_hand):
    names = HandNames(2, prefix_for('', '/left_camera'))
    assert names.name(make_hand(LEFT)) == 'left_camera/left_hand'
    others = [make_hand(id=i, operator=False) for i in (5, 6, 7)]
    assert [names.name(hand) for hand in others] == ['left_camera/hand_0', 'left_camera/hand_1', None]
    names.forget([5])
    assert [names.name(hand) for hand in others[1:]] == ['left_camera/hand_1', 'left_camera/hand_0']
    assert (prefix_for('', '/'), prefix_for('/', '/ns'), prefix_for('a', '/ns')) == ('', '', 'a/')


def test_markers_show_and_delete(make_hand, hand_model):
    markers = HandMarkers(hand_model)
    left, right = make_hand(LEFT, id=1), make_hand(RIGHT, id=2)
    right.state = PREDICTED
    shown = deserialize_message(markers.build([left, right], HEADER), MarkerArray).markers
    assert [(m.ns, m.id, m.action) for m in shown] == [
        (ns, i, Marker.ADD) for i in (1, 2) for ns in ('mesh', 'skeleton')
    ]
    for marker, hand in zip(shown[::2], (left, right), strict=True):
        corners = np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 3, 3)
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        volume = (corners[:, 0] * outward).sum() / 6
        assert 5e-5 < volume < 1e-3, f'side {hand.side}: triangles must face outwards'
        assert set(map(tuple, corners.reshape(-1, 3))) == set(map(tuple, hand.vertices))
    kinds = {'mesh': (Marker.TRIANGLE_LIST, 0), 'skeleton': (Marker.LINE_LIST, 40)}
    for marker in shown:
        assert marker.header == HEADER and marker.lifetime.nanosec == 200_000_000 and marker.text == ''
        assert (marker.type, len(marker.colors)) == kinds[marker.ns]
    assert shown[2].color.a < 0.5 * shown[0].color.a, 'what is not seen is drawn faintly'
    assert len({(c.r, c.g, c.b) for c in shown[1].colors}) == 5, 'a colour for each finger'
    fewer = deserialize_message(markers.build([left], HEADER), MarkerArray).markers
    assert [(m.ns, m.id, m.action) for m in fewer[:2]] == [
        ('mesh', 2, Marker.DELETE),
        ('skeleton', 2, Marker.DELETE),
    ]
    none = deserialize_message(markers.build([], HEADER), MarkerArray).markers
    assert [(m.ns, m.id, m.action) for m in none] == [(ns, 1, Marker.DELETE) for ns in ('mesh', 'skeleton')]


@pytest.mark.parametrize('side', (LEFT, RIGHT))
def test_triangles_come_far_ones_first(make_hand, hand_model, side):
    """Viewers draw what is transparent in the order given: the last one drawn is the one that is seen."""
    hand = make_hand(side, seed=4)
    (mesh, _) = deserialize_message(HandMarkers(hand_model).build([hand], HEADER), MarkerArray).markers
    corners = np.array([(p.x, p.y, p.z) for p in mesh.points])
    depth = (corners @ hand.wrist_rotation.T + hand.wrist_position)[:, 2].reshape(-1, 3).mean(1)
    assert mesh.color.a < 1 and np.ptp(depth) > 0.02 and (np.diff(depth) < 1e-6).all()


def test_cloud_and_topology(make_hand, hand_model):
    hands = [make_hand(LEFT, id=1), make_hand(RIGHT, id=2)]
    cloud = cloud_msg(hands, HEADER)
    hands[1].keypoint_stddev = np.linspace(0.001, 0.005, 21)
    points = np.frombuffer(cloud_msg(hands, HEADER).data, CLOUD_TYPE)
    np.testing.assert_allclose(points['stddev'][21:], hands[1].keypoint_stddev, rtol=1e-6)
    np.testing.assert_allclose(points['z'][21:], hands[1].keypoints[:, 2], rtol=1e-6)
    assert (
        list(points['id'][[0, 21]]) == [1, 2]
        and points['keypoint'][41] == 20
        and cloud.row_step == len(cloud.data)
    )
    topology = topology_msg(hand_model)
    assert topology.hand_model == hand_model.name and len(topology.triangles_left) == hand_model.faces.size
    assert list(topology.keypoint_edges[:2]) == [0, 1]
    assert list(topology.keypoint_names) == list(KEYPOINT_NAMES)
    assert list(topology.joint_names) == list(JOINT_NAMES)
    assert list(topology.parents) == list(JOINT_PARENTS) and topology.parents[0] == -1
    right, left = (np.reshape(part, (-1, 3)) for part in (topology.triangles_right, topology.triangles_left))
    np.testing.assert_array_equal(right, hand_model.faces)
    # A mirror turns the winding: the same triangles, the other way round.
    assert {tuple(np.roll(corners, -corners.argmin())) for corners in left} == {
        tuple(np.roll(corners[::-1], -corners[::-1].argmin())) for corners in right
    }


def test_numbers_that_are_not_finite_are_seen(make_hand):
    hand = make_hand()
    assert is_finite(hand)
    for name, value in vars(hand).items():
        if isinstance(value, float):
            broken = math.inf
        elif isinstance(value, np.ndarray):
            broken = value.astype(float)
            broken.flat[-1] = np.nan
        else:
            continue
        if name != 'filter_delay':
            assert not is_finite(dataclasses.replace(hand, **{name: broken})), name


def test_the_wrist_pose_has_the_header_and_the_covariance(make_hand):
    hand = make_hand()
    hand.wrist_covariance = np.arange(36.0).reshape(6, 6)
    msg = wrist_msg(hand, HEADER)
    assert msg.header == HEADER and list(msg.pose.covariance) == list(range(36))
