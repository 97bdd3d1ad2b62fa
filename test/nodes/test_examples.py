"""The installed examples that read recordings, parameters and messages."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rclpy
from geometry_msgs.msg import Point
from rclpy.serialization import serialize_message

from maskhand_ros.msg import Hand, HandArray
from maskhand_ros.nodes.shared_files import share_path
from maskhand_ros.skeleton import KEYPOINT_NAMES

EXAMPLES = share_path('examples')


def to_csv(*words: Any) -> subprocess.CompletedProcess[str]:
    """Run bag_to_csv.py to its end."""
    command = [sys.executable, EXAMPLES / 'bag_to_csv.py', *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)


def test_bag_to_csv_writes_each_hand(tmp_path):
    recorder = pytest.importorskip('maskhand_ros.nodes.recorder', reason='needs rosbags')
    placed = Hand(id=3, side=Hand.RIGHT, state=Hand.TRACKED, confidence=0.75)
    placed.keypoints = [Point(x=index / 100, y=-0.5, z=0.25) for index in range(21)]
    unplaced = Hand(id=4, side=Hand.LEFT, state=Hand.TENTATIVE)
    message = HandArray(hands=[placed, unplaced])
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 5_000_000
    bag, table = tmp_path / 'hands.mcap', tmp_path / 'hands.csv'
    file = recorder.McapFile(bag)  # as `make demo` and `maskhand replay` do
    for topic in ('/one/hand_node/hands', '/two/hand_node/hands'):
        file.write(topic, 'maskhand_ros/msg/HandArray', 12_000_000_000, serialize_message(message))
    file.close()

    refused = to_csv(bag, table)
    assert refused.returncode == 1 and '/one/hand_node/hands, /two/hand_node/hands' in refused.stderr
    done = to_csv(bag, table, '--topic', '/two/hand_node/hands')
    assert done.returncode == 0, done.stderr
    right, left = csv.DictReader(table.read_text().splitlines())
    assert (right['stamp'], right['id']) == ('12.005000000', '3')
    assert (right['side'], right['state'], float(right['confidence'])) == ('right', 'tracked', 0.75)
    points = [[float(right[f'{name}_{axis}']) for axis in 'xyz'] for name in KEYPOINT_NAMES]
    assert points == [[index / 100, -0.5, 0.25] for index in range(21)]
    assert (left['side'], left['state'], left['wrist_x']) == ('left', 'tentative', '')


def test_moveit_servo_parameters_reach_a_node_of_its_name(ros):
    """ROS drops parameters without a word where the nesting of the file or the name of the node is wrong."""
    file = ['--ros-args', '--params-file', str(EXAMPLES / 'moveit_servo.yaml')]
    node = rclpy.create_node(
        'servo_node', cli_args=file, automatically_declare_parameters_from_overrides=True
    )
    found = {name: value.value for name, value in node.get_parameters_by_prefix('moveit_servo').items()}
    node.destroy_node()
    assert found['incoming_command_timeout'] == 0.2 and found['scale.linear'] <= 0.25
    assert found['pose_command_in_topic'] == '~/pose_target_cmds'
    for name in ('publish_period', 'pose_tracking.linear_tolerance', 'pose_tracking.angular_tolerance'):
        assert isinstance(found[name], float), name


RCLCPP = """
#include <functional>
#include <memory>
#include <string>
#include <builtin_interfaces/msg/time.hpp>
namespace rclcpp {
struct Duration { double seconds() const; };
struct Time { Time(builtin_interfaces::msg::Time); Duration operator-(Time) const; };
struct Clock {};
struct Logger {};
template<class M> struct Subscription { using SharedPtr = std::shared_ptr<Subscription>; };
struct Node {
  explicit Node(std::string);
  template<class M> typename Subscription<M>::SharedPtr create_subscription(
    std::string, int, std::function<void(std::shared_ptr<const M>)>);
  Time now();
  Clock * get_clock();
  Logger get_logger();
};
void init(int, char **);
void spin(std::shared_ptr<Node>);
void shutdown();
}
void rclcpp_log(rclcpp::Logger, const char *, ...) __attribute__((format(printf, 2, 3)));
#define RCLCPP_INFO(logger, ...) rclcpp_log(logger, __VA_ARGS__)
#define RCLCPP_WARN_THROTTLE(logger, clock, period, ...) rclcpp_log(logger, __VA_ARGS__)
"""
"""What read_hands.cpp uses of rclcpp, declared only."""


def test_read_hands_compiles_against_the_generated_messages(tmp_path):
    """With the declarations above. colcon compiles it with rclcpp's own, where they are installed."""
    compiler = shutil.which('c++') or pytest.skip('needs a C++ compiler')
    (tmp_path / 'rclcpp').mkdir()
    (tmp_path / 'rclcpp/rclcpp.hpp').write_text(RCLCPP)
    prefixes = [Path(prefix) for prefix in os.environ['AMENT_PREFIX_PATH'].split(os.pathsep)]
    folders = [tmp_path, *(folder for prefix in prefixes for folder in (prefix / 'include').glob('*'))]
    command = [compiler, '-std=c++17', '-fsyntax-only', '-Wall', '-Wextra', '-Werror']
    command += [word for folder in folders for word in ('-isystem', str(folder))]
    done = subprocess.run([*command, str(EXAMPLES / 'read_hands.cpp')], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
