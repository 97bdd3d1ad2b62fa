"""hand_node in a real ROS graph: lifecycle, faults, QoS, parameters. The models are the shipped ones."""

import array
import pathlib
import re
import time

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from graph import counted
from lifecycle_msgs.msg import State
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from maskhand_ros import cli
from maskhand_ros.msg import Hand as HandMsg
from maskhand_ros.msg import HandArray, HandTopology
from maskhand_ros.nodes.hand_node import HandNode
from maskhand_ros.option import OptionError, ReadAt
from maskhand_ros.options import OPTIONS, PARAMETERS

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ROOT = pathlib.Path(__file__).resolve().parents[2]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def overrides(**values):
    return {'parameter_overrides': [Parameter(name, value=value) for name, value in values.items()]}


@pytest.fixture(scope='module')
def running(graph):
    """(graph, node, camera, heard hands, heard diagnostics) with an active node."""
    node = HandNode(namespace='faults')
    graph.add(node)
    heard = graph.hear(HandArray, '/faults/hand_node/hands')
    diagnostics = graph.hear(DiagnosticArray, '/diagnostics')
    camera = graph.camera('/faults')
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    graph.wait(camera.matched)
    graph.wait(lambda: node._inputs.image.reliability == ReliabilityPolicy.RELIABLE)
    return graph, node, camera, heard, diagnostics


def values(diagnostics, part):
    """(status, {key: value}) of the newest status of a part: images, calibration, model."""
    for array_msg in reversed(diagnostics):
        for status in array_msg.status:
            if status.name == f'hand_node: {part}':
                return status, {v.key: v.value for v in status.values}
    return DiagnosticStatus(), {}


@pytest.mark.parametrize(
    'wrong, reason',
    [
        ({'encoding': '8UC2'}, 'unknown encoding'),
        ({'data': array.array('B', bytes(10))}, 'truncated data'),
        ({'width': 0}, 'zero size'),
        ({'step': 7}, 'wrong step'),
        ({'width': 2**31, 'height': 2**31, 'step': 2**31}, 'too large'),
    ],
)
def test_bad_picture_is_counted_and_the_next_good_one_seen(running, wrong, reason):
    graph, _, camera, heard, diagnostics = running
    camera.show(**wrong)

    def told():
        status, told = values(diagnostics, 'images')
        return (
            told.get(f'{reason}: count') == '1'
            and len(told[f'{reason}: remedy']) > 10
            and status.level == DiagnosticStatus.WARN
        )

    graph.wait(told)
    header = camera.show()
    graph.wait(lambda: heard and heard[-1].header == header)
    assert (heard[-1].width, heard[-1].height) == (160, 120)


def test_calibration_faults_leave_the_node_seeing(running):
    graph, _, camera, heard, diagnostics = running
    assert int(values(diagnostics, 'calibration')[1]['no CameraInfo: count']) > 0
    header = camera.show(info=CameraInfo(width=160, height=120))
    graph.wait(lambda: heard[-1].header == header)
    graph.wait(lambda: 'uncalibrated CameraInfo: count' in values(diagnostics, 'calibration')[1])
    status, told = values(diagnostics, 'calibration')
    assert status.level == DiagnosticStatus.WARN and 'Calibrate' in told['uncalibrated CameraInfo: remedy']


def test_latched_topology_and_silence_while_inactive(running):
    graph, node, camera, heard, _ = running
    late = graph.hear(HandTopology, '/faults/hand_node/topology', LATCHED)
    assert graph.wait(lambda: late)[0].license
    assert node.trigger_deactivate() == SUCCESS
    count = len(heard)
    camera.show()
    time.sleep(0.3)
    assert len(heard) == count
    assert node.trigger_cleanup() == SUCCESS and node.pipeline is None
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    graph.wait(lambda: node._inputs.image.reliability == ReliabilityPolicy.RELIABLE)
    header = camera.show()
    graph.wait(lambda: heard[-1].header == header)


def test_reliability_follows_the_publishers(running):
    graph, node, camera, heard, _ = running
    second = graph.node.create_publisher(
        Image, '/faults/image', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    graph.wait(lambda: node._inputs.image.reliability == ReliabilityPolicy.BEST_EFFORT)
    graph.wait(lambda: second.get_subscription_count() > 0)
    header = camera.show()
    graph.wait(lambda: heard[-1].header == header)
    graph.node.destroy_publisher(second)
    graph.wait(lambda: node._inputs.image.reliability == ReliabilityPolicy.RELIABLE)


def test_missing_models_fail_configure_with_the_remedy(graph, tmp_path):
    node = graph.add(HandNode(namespace='missing', **overrides(weights_dir=str(tmp_path))))
    diagnostics = graph.hear(DiagnosticArray, '/diagnostics')
    assert node.trigger_configure() == FAILURE
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_UNCONFIGURED
    what, fix = node.diagnostics.failure
    assert str(tmp_path) in what and fix
    graph.wait(
        lambda: any(
            status.level == DiagnosticStatus.ERROR and str(tmp_path) in status.message
            for msg in diagnostics
            for status in msg.status
        )
    )


def test_device_is_never_replaced_silently(graph):
    import onnxruntime

    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this machine has CUDA')
    node = graph.add(HandNode(namespace='gpu', **overrides(device='cuda')))
    assert node.trigger_configure() == FAILURE
    assert 'cuda' in ' '.join(node.diagnostics.failure).lower()


def test_config_lists_every_parameter_with_its_default(graph):
    text = (ROOT / 'config/hand.yaml').read_text()
    config = yaml.safe_load(text)['/**']['ros__parameters']
    assert config == {name: option.default for name, option in PARAMETERS.items()}
    marks = {ReadAt.START: '(start)', ReadAt.ACTIVATE: '(activate)', ReadAt.ALWAYS: '(live)'}
    node = graph.add(HandNode(namespace='described'))
    assert not any(map(node.has_parameter, OPTIONS.keys() - PARAMETERS.keys()))
    for name, option in PARAMETERS.items():
        descriptor = node.describe_parameter(name)
        assert descriptor.description and descriptor.type == node.get_parameter(name).type_.value
        assert option.range_text in descriptor.additional_constraints
        assert descriptor.read_only == (option.read_at is ReadAt.START)
        assert type(node.get_parameter(name).value) is type(option.default)
        (line,) = re.findall(rf'^    {name}: .*# (.*)', text, re.M)
        mark = re.match(r'\((start|activate|live)\)', line)
        assert (mark and mark[0]) == marks.get(option.read_at), line
    assert node.describe_parameter('hand_length').floating_point_range[0].to_value == 0.3
    assert node.describe_parameter('max_hands').integer_range[0].to_value == 8


@pytest.mark.parametrize(
    'name, value, says',
    [
        ('device', 'tpu', 'one of: cpu, cuda, tensorrt'),
        ('max_hands', 99, 'a whole number, 1 to 8 hands'),
        ('max_hands', 'two', 'a whole number, 1 to 8 hands'),
        ('hand_length', 17.0, '0 to 0.3 m. Did you mean 0.17'),
        ('hand_length', float('nan'), '0 to 0.3 m'),
        ('smoothing', False, "Did you mean 'off', with quotes"),  # what `smoothing: off` is in YAML
    ],
)
def test_values_out_of_range_are_refused_at_the_start(ros, name, value, says):
    with pytest.raises(OptionError, match=name) as error:
        HandNode(namespace='wrong', **overrides(**{name: value}))
    assert says in str(error.value)


def test_a_whole_number_is_taken_for_metres(graph):
    node = graph.add(HandNode(namespace='whole', **overrides(hand_length=0)))
    assert node.set_parameters([Parameter('image_timeout', value=5)])[0].successful
    assert [node.get_parameter(name).value for name in ('hand_length', 'image_timeout')] == [0.0, 5.0]


def test_parameters_are_set_where_the_state_allows_it(graph):
    """By the service, as `ros2 param set` does."""
    node = graph.add(HandNode(namespace='states'))
    client = graph.node.create_client(SetParameters, '/states/hand_node/set_parameters')
    graph.wait(client.service_is_ready)

    def set_to(name, value):
        msg = Parameter(name, value=value).to_parameter_msg()
        (result,) = graph.ask(client, SetParameters.Request(parameters=[msg])).results
        assert (node.get_parameter(name).value == value) == result.successful
        return result.successful, result.reason

    assert set_to('max_hands', 1) == (True, '')
    taken, reason = set_to('weights_dir', '/elsewhere')
    assert not taken and 'when the node starts' in reason
    assert node.trigger_configure() == SUCCESS
    assert node.pipeline.config.max_hands == 1
    taken, reason = set_to('threads', 1)
    assert taken and 'takes effect at the next configure' in reason and 'cleanup' in reason
    assert set_to('use_depth', True) == (True, '')
    assert node.trigger_activate() == SUCCESS
    assert node._inputs.depth is not None and node.pipeline.config.threads == 2
    for name, value, transitions in (
        ('threads', 3, ('deactivate', 'cleanup', 'configure', 'activate')),
        ('use_depth', False, ('deactivate', 'activate')),
    ):
        taken, reason = set_to(name, value)
        assert not taken and name in reason and 'while the node is active' in reason
        found = re.findall(r'\b(?:deactivate|cleanup|configure(?= and)|activate)\b', reason.split('. Do ')[1])
        assert tuple(found) == transitions
    taken, reason = set_to('jpeg_quality', 0)
    assert not taken and 'jpeg_quality is 0; it must be a whole number, 1 to 100 percent' in reason
    assert set_to('jpeg_quality', 50) == (True, '') and set_to('threads', 1) == (True, '')
    assert node.trigger_deactivate() == node.trigger_cleanup() == node.trigger_configure() == SUCCESS
    assert node.pipeline.config.threads == 1


def watch(graph, namespace, rgb, info, count=6, **values):
    """HandArrays and transforms of a node that is shown the same picture again and again."""
    transforms = graph.hear(TFMessage, '/tf')
    # A machine that stands still for seconds is no silent camera.
    watched = graph.watch(namespace, **values, image_timeout=60.0)
    graph.wait(lambda: watched.node._outputs._tf.get_subscription_count())
    for _ in range(count):
        header = watched.show(rgb, info).header
    graph.wait(lambda: transforms and transforms[-1].transforms[0].header.stamp == header.stamp)
    assert watched.node.trigger_deactivate() == SUCCESS
    own = [msg for msg in transforms if msg.transforms[0].child_frame_id.startswith(f'{namespace}/')]
    return watched.heard, own


def test_hands_and_frames_of_the_clip(graph, clip):
    heard, transforms = watch(graph, 'clip', *clip[:2])
    sides = {hand.side: hand for hand in heard[-1].hands}
    assert set(sides) == {HandMsg.LEFT, HandMsg.RIGHT}
    frames = {t.child_frame_id: t for t in transforms[-1].transforms}
    assert len(frames) == 42
    for side, name in ((HandMsg.LEFT, 'left'), (HandMsg.RIGHT, 'right')):
        hand, wrist = sides[side], frames[f'clip/{name}_hand/wrist']
        assert (
            hand.is_operator and hand.scale_source == HandMsg.SCALE_POPULATION and len(hand.vertices) > 1000
        )
        assert wrist.header == heard[-1].header
        place = wrist.transform.translation
        np.testing.assert_allclose(
            [place.x, place.y, place.z], [getattr(hand.keypoints[0], a) for a in 'xyz'], atol=1e-6
        )


OUTPUTS = {
    '/tf': TFMessage,
    'hands': HandArray,
    'right/wrist': PoseWithCovarianceStamped,
    'markers': MarkerArray,
    'keypoints': PointCloud2,
    'overlay': Image,
    'overlay/compressed': CompressedImage,
}
PLACED = {'/tf', 'right/wrist', 'markers', 'keypoints'}
"""Outputs that have a place in the camera's frame."""


def frame_ids(msg):
    """The frames that a message of OUTPUTS names as that of the camera."""
    if isinstance(msg, TFMessage):
        return {t.header.frame_id for t in msg.transforms if t.child_frame_id.endswith('/wrist')}
    return {marker.header.frame_id for marker in getattr(msg, 'markers', [msg])}


@pytest.fixture(scope='module')
def framed(graph):
    """A node whose outputs all have a subscriber: (Watched, {output: messages})."""
    watched = graph.watch('framed', image_timeout=60.0)
    heard = {
        name: graph.hear(kind, name if name == '/tf' else f'/framed/hand_node/{name}')
        for name, kind in OUTPUTS.items()
    }
    return watched, heard


@pytest.mark.parametrize(
    'given, camera_frame, expected, reason',
    [
        ('/camera', '', 'camera', 'frame_id with a leading slash'),
        ('//camera', '', 'camera', 'frame_id with a leading slash'),
        ('camera ', '', 'camera ', 'frame_id with white space or control characters'),
        ('cam\tera', '', 'cam\tera', 'frame_id with white space or control characters'),
        ('camera/', '', 'camera/', None),
        ('', '', '', 'empty frame_id'),
        ('/', '', '', 'empty frame_id'),
        (' ', '', '', 'empty frame_id'),
        ('', 'head_optical', 'head_optical', None),
        ('camera', 'head_optical', 'head_optical', None),
        ('', '/head_optical', 'head_optical', 'frame_id with a leading slash'),
    ],
)
def test_outputs_have_a_frame_that_tf2_takes_or_none(framed, clip, given, camera_frame, expected, reason):
    watched, heard = framed
    assert watched.node.set_parameters([Parameter('camera_frame', value=camera_frame)])[0].successful
    watched.camera.frame_id = given
    before = counted(watched.node.diagnostics.images)
    for _ in range(4):  # until the hands are the operator's and tracked
        watched.show(*clip[:2])
    for messages in heard.values():
        messages.clear()
    stamp = watched.show(*clip[:2]).header.stamp
    watched.graph.wait(lambda: all(heard[name] for name in OUTPUTS if expected or name not in PLACED))
    watched.graph.wait(lambda: heard['hands'][-1].header.stamp == stamp)  # not the image before
    assert [hand.is_operator for hand in heard['hands'][-1].hands] == [True, True]
    for name, messages in heard.items():
        ours = [msg for msg in messages if name != '/tf' or 'framed/' in msg.transforms[0].child_frame_id]
        assert {frame for msg in ours for frame in frame_ids(msg)} == (
            {expected} if expected or name not in PLACED else set()
        ), name
    now = counted(watched.node.diagnostics.images)
    assert {each for each in now if now[each] != before.get(each)} == ({reason} if reason else set())
    if reason:
        status = watched.wait_told('images', reason)
        assert 'camera_frame' in status.message and status.level == DiagnosticStatus.WARN


def test_a_hand_that_is_not_seen_is_predicted_if_asked_for_and_never_followed(graph, clip):
    rgb, info, _ = clip
    watched = graph.watch('predicted', predict=0.5)
    transforms = graph.hear(TFMessage, '/tf')
    wrists = graph.hear(PoseWithCovarianceStamped, '/predicted/hand_node/right/wrist')
    for _ in range(6):
        seen = watched.show(rgb, info)
    graph.wait(lambda: wrists and wrists[-1].header == seen.header)
    away = watched.show(np.full_like(rgb, 90), info)
    assert [hand.id for hand in away.hands] == [hand.id for hand in seen.hands]
    assert {hand.state for hand in away.hands} == {HandMsg.PREDICTED} and not away.lost_ids
    time.sleep(0.3)
    assert wrists[-1].header == seen.header
    assert all(t.header.stamp != away.header.stamp for msg in transforms for t in msg.transforms)


def test_a_mirrored_picture_tells_the_same_hands(graph, clip):
    rgb, info, _ = clip
    seen = {hand.side: hand for hand in watch(graph, 'straight', rgb, info)[0][-1].hands}
    mirrored = CameraInfo(width=info.width, height=info.height, k=info.k.copy(), distortion_model='plumb_bob')
    mirrored.k[2] = info.width - 1 - info.k[2]
    again = {
        hand.side: hand
        for hand in watch(graph, 'mirror', np.ascontiguousarray(rgb[:, ::-1]), mirrored, mirrored_input=True)[
            0
        ][-1].hands
    }
    assert set(seen) == set(again) == {HandMsg.LEFT, HandMsg.RIGHT}
    for side, hand in seen.items():
        u = np.array(hand.keypoints_px)[::2], info.width - 1 - np.array(again[side].keypoints_px)[::2]
        assert np.abs(u[0] - u[1]).mean() < 3
        z = hand.wrist[0].pose.position.z, again[side].wrist[0].pose.position.z
        assert z[0] == pytest.approx(z[1], rel=0.05)


def test_without_calibration_hands_have_no_place(graph, clip):
    rgb, *_ = clip
    node = graph.add(HandNode(namespace='blind'))
    heard = graph.hear(HandArray, '/blind/hand_node/hands')
    camera = graph.camera('/blind')
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    graph.wait(camera.matched)
    graph.wait(lambda: node._inputs.image.reliability == ReliabilityPolicy.RELIABLE)
    header = camera.show(rgb)
    graph.wait(lambda: heard and heard[-1].header == header)
    assert heard[-1].hands
    for hand in heard[-1].hands:
        assert hand.scale_source == HandMsg.SCALE_NONE and len(hand.wrist) == len(hand.keypoints) == 0
        assert len(hand.keypoints_wrist) == 21 and any(hand.keypoints_px)


def test_bench_refuses_an_option_that_the_node_does_not_have(capsys):
    assert cli.main(['bench', '--ros', '--iterations', '3']) == 1
    assert 'hand_node has no parameter iterations. Fix: leave out --iterations' in capsys.readouterr().err
