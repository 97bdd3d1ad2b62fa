"""docs/faults.md, row by row: a camera that is silent or cannot be heard, clocks, a worker that hangs."""

import threading
import time

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import Log
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from maskhand_ros.msg import Hand
from maskhand_ros.nodes import diagnostics, faults, hand_node, worker
from maskhand_ros.nodes.faults import RECENT
from maskhand_ros.nodes.images import encode_image
from maskhand_ros.nodes.messages import ns_to_stamp

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def stranger():
    """A node in a context of its own: in one of ours a topic can have but one type."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('stranger', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture(scope='module')
def logged(graph):
    """A function that gives the lines that a Watched node has logged so far."""
    heard = graph.hear(Log, '/rosout', 1000)

    def lines(watched):
        return [msg.msg for msg in heard if msg.name == f'{watched.name[1:]}.hand_node']

    return lines


def test_silence_is_an_error_ends_all_tracks_and_the_next_picture_is_answered(graph, clip):
    rgb, info, _ = clip
    watched = graph.watch('silent', image_timeout=1.5)
    for _ in range(4):
        ids = {hand.id for hand in watched.show(rgb, info).hands}
    assert len(ids) == 2
    watched.wait_level(
        'images', DiagnosticStatus.ERROR, 'no images on /silent/image: its publisher is silent: /test; check'
    )
    graph.wait(lambda: not watched.node.diagnostics.hands)
    answer = watched.show(rgb, info)  # by its stamp 33 ms later: that alone would go on with the tracks
    assert set(answer.lost_ids) == ids and {hand.state for hand in answer.hands} == {Hand.TENTATIVE}
    for _ in range(4):
        answer = watched.show(rgb, info)
    assert [hand.state for hand in answer.hands] == [Hand.TRACKED] * 2
    assert not {hand.id for hand in answer.hands} & ids


UNHEARD = {
    'reliability': (
        Image,
        'image',
        {'image_qos': 'reliable'},
        'no images on /reliability/image: stranger offers best_effort, '
        'image_qos asks for reliable (Best effort',
    ),
    'type': (
        CompressedImage,
        'image',
        {},
        'no images on /type/image: '
        'stranger sends sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image; '
        'publish it as /type/image/compressed (a remapping in the camera driver) and set compressed:=true',
    ),
    'transport': (
        CompressedImage,
        'image/compressed',
        {},
        'no images on /transport/image: nobody publishes it, but /transport/image/compressed is there: '
        'set compressed:=true and image:=/transport/image',
    ),
    'raw': (
        Image,
        'image',
        {'compressed': True},
        'no images on /raw/image/compressed: nobody publishes it, but /raw/image is there: '
        'set compressed:=false and image:=/raw/image',
    ),
    'nobody': (
        Image,
        'imag',
        {},
        'no images on /nobody/image: nobody publishes it; Image topics here: /nobody/imag (by /stranger)',
    ),
}


@pytest.mark.parametrize('case', UNHEARD)
def test_a_camera_that_cannot_be_heard_is_named_with_the_reason(graph, stranger, logged, monkeypatch, case):
    kind, topic, values, says = UNHEARD[case]
    stranger.create_publisher(kind, f'/{case}/{topic}', BEST_EFFORT)
    watched = graph.watch(case, camera=False, image_timeout=0.2, **values)
    message = watched.wait_level('images', DiagnosticStatus.ERROR, says).message
    assert 'hand_node/overlay' not in message.split('by /stranger')[0]
    graph.wait(lambda: message in logged(watched))
    count = len(watched._statuses)
    graph.wait(lambda: len(watched._statuses) > count + 2)
    assert logged(watched).count(message) == 1
    monkeypatch.setattr(faults, 'REPEAT', 0.0)
    graph.wait(lambda: logged(watched).count(message) > 1)


def test_missing_camera_info_is_logged_with_the_topics_that_are_there(
    graph, stranger, logged, monkeypatch, clip
):
    monkeypatch.setattr(worker, 'DISCOVERY', 0.0)
    watched = graph.watch('no_info', camera=False)
    stranger.create_publisher(CameraInfo, '/no_info/color/camera_info', BEST_EFFORT)
    graph.wait(lambda: '/no_info/color/camera_info' in watched.node._inputs._why_no_info[1])
    images = graph.node.create_publisher(Image, '/no_info/image', 5)
    graph.wait(images.get_subscription_count)
    for second in (1, 2):
        images.publish(encode_image(clip[0], Header(stamp=ns_to_stamp(second * 10**9), frame_id='camera')))
        graph.wait(lambda second=second: len(watched.heard) == second)
    (line,) = [line for line in graph.wait(lambda: logged(watched)) if 'CameraInfo' in line]
    assert line.startswith(
        'no CameraInfo: nobody publishes /no_info/camera_info. Publish it beside the image'
    )
    assert 'CameraInfo topics here: /no_info/color/camera_info (by /stranger)' in line
    status = watched.wait_told('calibration', 'no CameraInfo')
    assert '/no_info/color/camera_info' in status.message


def test_a_second_node_of_the_same_name_is_told(graph, stranger, logged):
    watched = graph.watch('twins', camera=False)
    assert not any('another node' in line for line in logged(watched))
    twin = rclpy.create_node('hand_node', namespace='twins', context=stranger.context)
    says = 'another node is named /twins/hand_node in ROS_DOMAIN_ID'
    status = watched.wait_level('model', DiagnosticStatus.WARN, says)
    assert 'namespace:=NAME' in status.message
    graph.wait(lambda: status.message in logged(watched))
    twin.destroy_node()
    watched.wait_level('model', DiagnosticStatus.OK, 'active')


def test_calibration_of_another_stamp_is_used_and_counted(graph, clip):
    rgb, info, _ = clip
    watched = graph.watch('pairing')
    for _ in range(2):
        watched.show(rgb, info)
    for _ in range(3):
        assert all(hand.scale_source == Hand.SCALE_POPULATION for hand in watched.show(rgb).hands)
    watched.wait_level('calibration', DiagnosticStatus.OK, 'the latest for 3 of 5 images')


@pytest.mark.parametrize('ahead, level', [(0.0, DiagnosticStatus.OK), (60.0, DiagnosticStatus.WARN)])
def test_the_clock_of_a_camera_that_is_not_ours(graph, clip, ahead, level):
    watched = graph.watch(f'clock_{level[0]}')
    watched.camera.stamp_ns = time.time_ns() + int(ahead * 1e9)
    if ahead:
        watched.camera.frame_id = '/camera'  # a fault of every image hides no other
    watched.show(*clip[:2])
    watched.wait_level('images', level, 'images arrive -' if ahead else 'dropped for newer ones')


def test_simulated_time_that_starts_again_ends_all_tracks(graph, clip):
    watched = graph.watch('simulated', use_sim_time=True)
    clock = graph.node.create_publisher(Clock, '/clock', 10)

    def show(seconds):
        watched.camera.stamp_ns = now = int(seconds * 1e9)
        clock.publish(Clock(clock=ns_to_stamp(now)))
        graph.wait(lambda: watched.node.get_clock().now().nanoseconds == now)
        return watched.show(*clip[:2], step_ns=0)

    graph.wait(lambda: clock.get_subscription_count())
    ids = {hand.id for k in range(4) for hand in show(100 + k / 30).hands}
    assert len(ids) == 2
    answer = show(3.0)
    assert set(answer.lost_ids) == ids and answer.header.stamp.sec == 3
    assert not {hand.id for hand in show(3.03).hands} & ids
    watched.wait_told('images', 'time went back')


def test_a_worker_that_hangs_is_an_error_and_no_second_one_is_started(graph, clip, monkeypatch, logged):
    monkeypatch.setattr(diagnostics, 'STUCK', 0.3)
    watched = graph.watch('hanging')
    free, process = threading.Event(), watched.node.pipeline.process
    monkeypatch.setattr(watched.node.pipeline, 'process', lambda frame: free.wait(60) and process(frame))
    try:
        watched.camera.show(*clip[:2])
        watched.wait_level('model', DiagnosticStatus.ERROR, 'stuck in one image')
        graph.wait(lambda: any('stuck in one image' in line for line in logged(watched)))
        assert watched.node.trigger_deactivate() == SUCCESS
        assert watched.node.trigger_activate() == FAILURE
    finally:
        free.set()
    graph.wait(lambda: not watched.node._stuck_worker.is_busy)
    watched.activate()
    assert len(watched.show(*clip[:2]).hands) == 2


def test_a_transition_that_fails_says_why_and_leaves_nothing_behind(graph, clip, monkeypatch):
    watched = graph.watch('failing')
    assert watched.node.trigger_deactivate() == SUCCESS
    with monkeypatch.context() as broken:
        broken.setattr(hand_node, 'Worker', lambda *_: 1 / 0)
        assert watched.node.trigger_activate() == FAILURE
    watched.wait_level('model', DiagnosticStatus.ERROR, 'ZeroDivisionError')
    assert watched.node.count_subscribers(f'{watched.name}/image') == 0
    watched.activate()
    assert len(watched.show(*clip[:2]).hands) == 2


def test_a_gpu_that_goes_away_is_told_with_what_to_do(graph, clip, monkeypatch):
    watched = graph.watch('lost_gpu')
    device = watched.node.pipeline.device
    network = watched.node.pipeline._cues._network

    def lose_it(frame):
        device.failed(network, network.session, RuntimeError('CUDA failure 2: out of memory'))
        return process(frame)

    process = watched.node.pipeline.process
    monkeypatch.setattr(watched.node.pipeline, 'process', lose_it)
    device.name, device.providers = 'cuda', ['CUDAExecutionProvider']
    watched.camera.show(*clip[:2])
    status = watched.wait_level('model', DiagnosticStatus.ERROR, "device 'cuda' failed while running")
    assert 'allow_cpu_fallback' in status.message
    device._cpu_fallback = True
    assert len(watched.show(*clip[:2]).hands) == 2
    monkeypatch.setattr(watched.node.pipeline, 'process', process)
    time.sleep(RECENT)
    status = watched.wait_level('model', DiagnosticStatus.WARN, 'running on the CPU instead of cuda')
    assert 'out of memory' in status.message


def test_a_limit_of_latency_is_kept_by_going_without_and_says_so(graph, clip):
    rgb, info, _ = clip
    watched = graph.watch('hurried', max_latency=0.001, hypotheses=4)  # no machine is so fast
    assert all(len(hand.hypotheses) == 4 for hand in watched.show(rgb, info).hands)
    hands = [watched.show(rgb).hands for _ in range(80)]
    assert len(hands[-1]) == 1 and not hands[-1][0].hypotheses
    without = next(k for k, seen in enumerate(hands) if not any(hand.hypotheses for hand in seen))
    fewer = next(k for k, seen in enumerate(hands) if len(seen) == 1)
    assert without < fewer
    says = 'load shedding for max_latency: reduced hypotheses 0, search_budget 0.001, max_hands 1'
    watched.wait_level('model', DiagnosticStatus.WARN, says)
