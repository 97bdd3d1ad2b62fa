"""JSON of hands: the fields of Hand.msg, explained, readable and strict."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskhand_ros.clip import read_clip
from maskhand_ros.commands import hand_json
from maskhand_ros.geometry import Camera
from maskhand_ros.json_text import to_json
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.types import Frame, ScaleSource, TrackState
from maskhand_ros.skeleton import Handedness

MSG = Path(__file__).resolve().parents[2] / 'msg'


def fields_of(name):
    """Field names of a .msg file, in order."""
    lines = (line.split('#')[0].split() for line in (MSG / f'{name}.msg').read_text().splitlines())
    return [words[1] for words in lines if len(words) == 2 and '=' not in words[1]]


def constants_of(name, pattern):
    """{name: number} of a .msg file's constants that match."""
    found = re.findall(rf'^uint8 ({pattern})=(\d+)', (MSG / f'{name}.msg').read_text(), re.M)
    return {constant: int(number) for constant, number in found}


@pytest.fixture(scope='module')
def shown():
    """(pipeline, camera, hands) of a frame of the bundled clip, with hypotheses; without a camera too."""
    clip = read_clip()
    number = int(np.flatnonzero(clip.visible.all(1))[0])
    rgb = list(clip.frames())[number]
    camera = Camera(clip.K, rgb.shape[1], rgb.shape[0], np.array([0.1, 0, 0, 0.01]))
    pipeline = HandPipeline(PipelineConfig(hypotheses=2))
    placed = pipeline.process(Frame(rgb, 0, camera))
    pipeline.reset()
    return pipeline, camera, placed, pipeline.process(Frame(rgb, 0))


def test_fields_are_those_of_the_messages(shown):
    _, _, placed, unplaced = shown
    assert list(hand_json.FIELDS) == fields_of('Hand')
    for hand in (*placed, *unplaced):
        values = hand_json.hand_to_json(hand)
        assert list(values) == fields_of('Hand')
        assert [list(drawn) for drawn in values['hypotheses']] == [fields_of('HandHypothesis')] * 2
    states = {state.name: int(state) for state in TrackState}
    assert states == constants_of('Hand', 'TENTATIVE|TRACKED|PREDICTED')
    assert {side.name: int(side) for side in Handedness} == constants_of('Hand', 'LEFT|RIGHT')
    sources = {f'SCALE_{source.name}': int(source) for source in ScaleSource}
    assert sources == constants_of('Hand', r'SCALE_\w+')
    for names, field in ((TrackState, 'state'), (Handedness, 'side'), (ScaleSource, 'scale_source')):
        assert all(f'"{name}"' in hand_json.FIELDS[field] for name in names), field


def test_header_says_versions_camera_and_orders(shown):
    pipeline, camera, *_ = shown
    header = json.loads(to_json(hand_json.header(pipeline, 640, 480, camera)))
    shared = set(fields_of('HandArray') + fields_of('HandTopology')) & set(header)
    assert shared >= {'width', 'height', 'network', 'hand_model', 'keypoint_names', 'joint_names', 'parents'}
    assert header['network'] == pipeline.model_name and header['hand_model'] == pipeline.hand_model.name
    assert len(header['keypoint_names']) == 21 and len(header['joint_names']) == len(header['parents']) == 16
    assert header['camera'] == {
        'K': camera.K.tolist(),
        'distortion': [0.1, 0, 0, 0.01],
        'lens': 'pinhole',
    }
    assert hand_json.header(pipeline, 640, 480, None)['camera'] is None


def test_values_are_those_of_the_message(shown):
    pytest.importorskip('rclpy', reason='needs ROS 2')
    from maskhand_ros.nodes.messages import hand_to_msg

    _, _, placed, unplaced = shown
    for hand in (*placed, *unplaced):
        values, msg = hand_json.hand_to_json(hand), hand_to_msg(hand)
        roi = values['roi']
        assert all(
            roi[name] == getattr(msg.roi, name) for name in ('x_offset', 'y_offset', 'width', 'height')
        )
        assert values['side'] == Handedness(msg.side).name.lower()
        assert values['is_operator'] == msg.is_operator and values['id'] == msg.id
        for name in ('keypoint_stddev', 'keypoint_stddev_depth', 'mano_pose', 'vertices'):
            assert np.ravel(values[name]) == pytest.approx(np.array(getattr(msg, name)), abs=1e-5), name
        assert values['keypoint_visibility'] == pytest.approx(msg.keypoint_visibility, abs=1e-4)
        assert np.ravel(values['keypoints_px']) == pytest.approx(msg.keypoints_px, abs=0.01)
        assert values['betas'] == pytest.approx(msg.betas, abs=1e-4)
        assert np.array(values['keypoints_wrist']) == pytest.approx(points(msg.keypoints_wrist), abs=1e-5)
        assert (values['wrist'] is None, values['keypoints'] is None) == (not msg.wrist, not msg.keypoints)
        if msg.wrist:
            pose, own = msg.wrist[0].pose, values['wrist']['pose']
            assert own['position'] == pytest.approx(points([pose.position])[0], abs=1e-5)
            turn = pose.orientation
            assert own['orientation'] == pytest.approx([turn.x, turn.y, turn.z, turn.w], abs=1e-5)
            covariance = np.ravel(values['wrist']['covariance'])
            assert covariance == pytest.approx(msg.wrist[0].covariance, rel=1e-3)


def points(msgs):
    return np.array([(p.x, p.y, p.z) for p in msgs])


def test_a_single_image_has_a_state_of_its_own_and_vertices_may_be_left_out(shown):
    hand = shown[2][0]
    assert hand_json.hand_to_json(hand)['state'] == 'tentative'
    unknown = dataclasses.replace(hand, keypoint_visibility=None)
    assert hand_json.hand_to_json(unknown)['keypoint_visibility'] is None
    values = hand_json.hand_to_json(hand, vertices=False, single_image=True)
    assert values['state'] == hand_json.SINGLE_IMAGE not in set(map(str, TrackState))
    assert f'"{hand_json.SINGLE_IMAGE}"' in hand_json.FIELDS['state'] and values['vertices'] is None


def test_text_is_short_lines_but_for_the_mesh(shown):
    lines = to_json({'hands': [hand_json.hand_to_json(hand) for hand in shown[2]]}).splitlines()
    long = [line for line in lines if len(line) > 600]
    assert len(long) == 2 and all(line.strip().startswith('"vertices": [[') for line in long)
    assert any(re.fullmatch(r' +\[(-?[\d.e-]+, ){2}-?[\d.e-]+\],?', line) for line in lines), 'a keypoint'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_text_is_json_of_the_same_value(value):
    assert json.loads(to_json(value)) == value


def test_numpy_and_what_json_lacks():
    text = to_json({'a': np.float32(0.5), 'b': (np.nan, np.inf, np.int64(3)), 'c': np.zeros((2, 2)), 'd': {}})
    assert json.loads(text) == {'a': 0.5, 'b': [None, None, 3], 'c': [[0, 0], [0, 0]], 'd': {}}
