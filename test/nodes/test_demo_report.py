"""The demo's figures, from a file written as the recorder writes it."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from maskhand_ros.nodes.demo_report import read_recording, summarize
from maskhand_ros.nodes.messages import hands_to_msg, ns_to_stamp
from maskhand_ros.nodes.recorder import McapFile
from maskhand_ros.skeleton import LEFT, RIGHT

STAMPS = [1_000_000_000 + i * 33_333_333 for i in range(30)]


@pytest.fixture
def recorded(make_hand, tmp_path):
    """(Recording, truth): picture 3 was dropped, the left hand was missed in pictures 4 and 5, each answer
    came after 40 ms."""
    truth = {'keypoints': np.zeros((30, 2, 21, 3), np.float32), 'visible': np.ones((30, 2), bool)}
    file = McapFile(tmp_path / 'hands.mcap')
    for index, stamp in enumerate(STAMPS):
        hands = [make_hand(LEFT, 1, index), make_hand(RIGHT, 2, index, (0.1, 0, 0.4 + 0.01 * index))]
        truth['keypoints'][index] = [hand.keypoints for hand in hands]
        if index == 3:
            continue
        msg = hands_to_msg(
            hands[index in (4, 5) :], [], Header(stamp=ns_to_stamp(stamp)), 640, 480, 0.03, 'model', 'network'
        )
        file.write(
            '/hand_node/hands', 'maskhand_ros/msg/HandArray', stamp + 40_000_000, serialize_message(msg)
        )
    dropped = DiagnosticArray(status=[DiagnosticStatus(values=[KeyValue(key='dropped', value='1')])])
    file.write('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', STAMPS[-1], serialize_message(dropped))
    file.close()
    return read_recording(tmp_path / 'hands.mcap'), truth


def test_figures_of_a_perfect_node(recorded):
    summary = summarize(recorded[0], STAMPS, recorded[1])
    assert (summary['frames_in'], summary['frames_processed'], summary['frames_dropped']) == (30, 29, 1)
    assert summary['both_hands_fraction'] == round(27 / 29, 4)
    assert summary['latency_ms'] == {'p50': 40.0, 'p99': 40.0}
    assert summary['rate_hz'] == pytest.approx(28 / (29 / 30), abs=0.1)
    for key in ('keypoint_error_mm', 'pa_mpjpe_mm', 'wrist_depth_error_percent'):
        assert summary[key] < 0.01, key
    assert summary['thumb_index_correlation'] == 1 and summary['mean_hand_pa_mpjpe_mm'] > 3


def test_errors_have_their_size(recorded):
    recording, truth = recorded
    truth['keypoints'][:, :, 1:, 0] += 0.01  # 20 of 21 keypoints are 10 mm off the wrist-aligned ones
    truth['keypoints'][:, :, :, 2] *= 1.1
    summary = summarize(recording, STAMPS, truth)
    assert summary['keypoint_error_mm'] > 9
    assert summary['wrist_depth_error_percent'] == pytest.approx(100 / 11, abs=0.1)


def test_without_truth_errors_are_left_out_and_both_hands_count_from_their_first_picture(recorded):
    for stamp in STAMPS[:2]:
        recorded[0].hands[stamp] = []
    summary = summarize(recorded[0], STAMPS)
    assert 'pa_mpjpe_mm' not in summary and summary['both_hands_fraction'] == round(25 / 27, 4)
    nothing = summarize(recorded[0]._replace(hands={}, latency_s=np.zeros(0)), STAMPS, recorded[1])
    assert nothing['frames_processed'] == 0 and None not in nothing.values()
