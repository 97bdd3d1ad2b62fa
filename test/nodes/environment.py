"""What every ROS test may rely on: a graph of its own, on this machine only, in the installed package."""

import os
import sys
from pathlib import Path

from maskhand_ros.nodes.shared_files import profile_variable

ROOT = Path(__file__).resolve().parents[2]


def prepare():
    """Before anything imports rclpy. What the environment already says is kept."""
    # Domains 1 to 100: above 101, ports clash with ephemeral ones.
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    os.environ.setdefault(profile_variable(), str(ROOT / 'config/fastdds.xml'))
