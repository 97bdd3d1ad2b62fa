"""docs/faults.md, row by row: wrong calibration and time at a real hand_node (depth is in test_depth.py)."""

import re
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from graph import counted
from sensor_msgs.msg import CameraInfo

from maskhand_ros.msg import Hand

ROOT = Path(__file__).resolve().parents[2]


def changed(info, **fields):
    values = {'width': info.width, 'height': info.height, 'k': info.k, 'distortion_model': 'plumb_bob'}
    return CameraInfo(**{**values, **fields})


def scaled(info, fx=1.0, fy=1.0, cx=1.0):
    k = np.array(info.k)
    k[[0, 4, 2]] *= [fx, fy, cx]
    return changed(info, k=k)


# calibration


@pytest.fixture(scope='module')
def plain(graph):
    return graph.watch('plain')


CALIBRATION_FAULTS = {
    'zero intrinsics': (lambda info: changed(info, k=[0.0] * 9), 'uncalibrated CameraInfo'),
    'view of 170 degrees': (lambda info: scaled(info, 0.03, 0.03), 'implausible CameraInfo'),
    'view of 10 degrees': (lambda info: scaled(info, 20, 20), 'implausible CameraInfo'),
    'fx over fy': (lambda info: scaled(info, 1.6), 'implausible CameraInfo'),
    'principal point': (lambda info: scaled(info, cx=2.1), 'implausible CameraInfo'),
    'numbers not finite': (lambda info: scaled(info, np.nan), 'invalid CameraInfo'),
    'another size': (lambda info: changed(info, width=2 * info.width), 'CameraInfo of another size'),
    'unknown lens': (
        lambda info: changed(info, d=[0.1, 0.0, 0.0, 0.0], distortion_model='double_sphere'),
        'unsupported distortion',
    ),
}


@pytest.mark.parametrize('fault', CALIBRATION_FAULTS)
def test_calibration_that_cannot_be(plain, clip, fault):
    rgb, info, _ = clip
    spoil, reason = CALIBRATION_FAULTS[fault]
    before = len(plain.heard)
    for hand in plain.show(rgb, spoil(info)).hands:
        assert hand.scale_source == Hand.SCALE_NONE and len(hand.wrist) == len(hand.keypoints) == 0
    assert plain.heard[-1].hands and len(plain.heard) == before + 1
    plain.wait_told('calibration', reason)
    assert all(hand.scale_source == Hand.SCALE_POPULATION for hand in plain.show(rgb, info).hands)


def test_calibration_of_a_binned_window_of_the_sensor(plain, clip):
    rgb, info, _ = clip
    k = np.array(info.k)
    k[[0, 2, 4, 5]] *= 2
    k[[2, 5]] += [100, 40]
    window = changed(info, width=2 * info.width + 300, height=2 * info.height + 90, k=k)
    window.binning_x = window.binning_y = 2
    window.roi.x_offset, window.roi.y_offset = 100, 40
    window.roi.width, window.roi.height = 2 * info.width, 2 * info.height
    for one, two in zip(plain.show(rgb, info).hands, plain.show(rgb, window).hands, strict=True):
        assert one.wrist[0].pose.position.z == pytest.approx(two.wrist[0].pose.position.z, rel=0.02)


def test_a_fisheye_calibration_gives_a_metric_place(plain, clip):
    rgb, info, _ = clip
    fisheye = changed(info, d=[0.3, 0.2, 0.0, 0.0], distortion_model='equidistant')
    hands = plain.show(rgb, fisheye).hands
    assert hands
    assert all(hand.scale_source == Hand.SCALE_POPULATION and len(hand.wrist) == 1 for hand in hands)


@pytest.mark.parametrize('image_rectified', [False, True])
def test_a_rectified_image_with_the_calibration_of_the_raw_one(graph, clip, image_rectified):
    rgb, info, _ = clip
    watched = graph.watch(
        f'rectified {image_rectified}', topic='image_rect_color', image_rectified=image_rectified
    )
    p = [info.k[0], 0, info.k[2], 0, 0, info.k[4], info.k[5], 0, 0, 0, 1, 0]
    hands = watched.show(rgb, changed(info, d=[-0.3, 0.1, 0.0, 0.0, 0.0], p=p)).hands
    assert hands and all(hand.scale_source == Hand.SCALE_POPULATION for hand in hands)
    if image_rectified:
        watched.wait_level('calibration', DiagnosticStatus.OK, 'CameraInfo is used')
        assert not counted(watched.node.diagnostics.calibration)
    else:
        told = watched.wait_told('calibration', 'rectified image with distortion')
        assert 'image_rectified: true' in str(told.values)


def test_a_lens_model_that_folds_inside_the_image(plain, clip):
    rgb, info, _ = clip
    assert plain.show(rgb, changed(info, d=[-0.7, 0.0, 0.0, 0.0, 0.0])).hands
    plain.wait_told('calibration', 'lens model without inverse')


def test_calibration_that_is_wrong_but_possible_moves_the_hands(graph, clip):
    rgb, info, _ = clip
    watched = graph.watch('twice', smoothing='off')
    right = watched.show(rgb, info).hands
    wrong = watched.show(rgb, scaled(info, 2, 2)).hands
    for one, two in zip(right, wrong, strict=True):
        assert two.wrist[0].pose.position.z == pytest.approx(2 * one.wrist[0].pose.position.z, rel=0.1)


# time

MS = 1_000_000


@pytest.fixture
def timed(graph, clip, request):
    """A node that tracks both hands as the operator's, and their ids."""
    watched = graph.watch(request.node.name, operator_timeout=1.0)
    for _ in range(4):
        hands = watched.show(*clip[:2]).hands
    assert len(hands) == 2 and all(hand.is_operator for hand in hands)
    yield watched, {hand.id for hand in hands}
    watched.node.trigger_deactivate()


@pytest.mark.parametrize('step, reason', [(-120 * MS, 'time went back'), (1600 * MS, 'time leapt')])
def test_a_jump_of_time_ends_all_tracks(timed, clip, step, reason):
    watched, ids = timed
    answer = watched.show(*clip[:2], step_ns=step)
    assert set(answer.lost_ids) == ids and not {hand.id for hand in answer.hands} & ids
    assert len(answer.hands) == 2 and all(hand.state == Hand.TENTATIVE for hand in answer.hands)
    watched.wait_told('images', reason)
    assert not watched.show(*clip[:2]).lost_ids


def test_after_a_jump_back_nobody_is_the_operator_for_the_timeout(timed, clip):
    watched, _ = timed
    begin = watched.camera.stamp_ns - 500 * MS
    watched.show(*clip[:2], step_ns=-500 * MS)
    while not any(hand.is_operator for hand in watched.show(*clip[:2], step_ns=100 * MS).hands):
        assert watched.camera.stamp_ns - begin < 2000 * MS
    assert watched.camera.stamp_ns - begin >= 1000 * MS


@pytest.mark.parametrize(
    'step, reason', [(0, 'repeated stamp'), (-90 * MS, 'image out of order'), (None, 'zero stamp')]
)
def test_a_picture_without_a_time_of_its_own_is_left_out(timed, clip, step, reason):
    watched, ids = timed
    count, now = len(watched.heard), watched.camera.stamp_ns
    watched.camera.show(*clip[:2], step_ns=-now if step is None else step)
    watched.wait_told('images', reason)
    assert len(watched.heard) == count
    watched.camera.stamp_ns = now
    answer = watched.show(*clip[:2])
    assert {hand.id for hand in answer.hands} == ids and not answer.lost_ids


def test_a_clock_that_is_set_ends_all_tracks(timed, clip):
    watched, ids = timed
    watched.node._worker.forget_tracks()
    assert set(watched.show(*clip[:2]).lost_ids) == ids
    watched.wait_told('images', 'clock was set')


# the table


def test_the_tables_name_tests_that_exist():
    pages = (ROOT / page for page in ('docs/faults.md', 'SECURITY.md'))
    rows = [re.findall(r'`(test/[\w/]+\.py)::(\w+)', page.read_text()) for page in pages]
    assert min(map(len, rows)) > 8
    rows = sum(rows, [])
    for file, test in rows:
        assert f'def {test}(' in (ROOT / file).read_text(), f'{file}::{test}'
