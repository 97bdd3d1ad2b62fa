"""Pictures of three processes reach the node: on a default Fast DDS, and with the profile that is shipped."""

import json
import os
import subprocess
import sys

import pytest

from maskhand_ros.nodes.shared_files import profile_variable


@pytest.mark.parametrize(
    'fastdds, camera, size',
    [
        ('default', 'reliable', '640x480'),
        ('default', 'reliable', '1280x720'),
        ('images', 'best_effort', '1280x720'),  # on a default Fast DDS most of these are lost
    ],
)
def test_pictures_arrive_and_are_answered(tmp_path, fastdds, camera, size):
    """At a rate that a slow machine manages: what is missing is lost, not late."""
    out = tmp_path / 'bench.json'
    words = f'--ros --hands 1 --rate 6 --frames 60 --size {size} --fastdds {fastdds} --camera-qos {camera}'
    # A graph of its own, and the profile that the command finds by itself.
    own = {
        name: text for name, text in os.environ.items() if name not in ('ROS_DOMAIN_ID', profile_variable())
    }
    subprocess.run(
        [sys.executable, '-m', 'maskhand_ros.cli', 'bench', *words.split(), '--json', str(out)],
        env=own,
        check=True,
        timeout=120,
    )
    report = json.loads(out.read_text())
    frames = report['frames']
    assert frames['sent'] == 60 and 0.95 * 60 <= frames['processed'] <= 60, report
    assert report['mean_hands'] > 0.9 and report['latency_ms']['p50'] > report['node_ms']['p50'] > 0
    assert set(report['cpu_cores']) == {'camera', 'hand_node', 'listener'}
