"""Hands of a recording as CSV: one row a hand. Needs `pip install rosbags`, but no ROS.

    python3 bag_to_csv.py hands.mcap hands.csv
    python3 bag_to_csv.py my_bag hands.csv --topic /left_camera/hand_node/hands

Reads what `make demo`, `maskhand replay` and `ros2 bag record` write. Keypoints are in metres in the camera's
frame, and empty where the scale is unknown; `stamp` is that of the image, in seconds.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from typing import Any

from rosbags.rosbag2 import Reader

from maskhand_ros.nodes.message_types import typestore
from maskhand_ros.perception.types import TrackState
from maskhand_ros.skeleton import KEYPOINT_NAMES, Handedness

HAND_ARRAY = 'maskhand_ros/msg/HandArray'
COLUMNS = ['stamp', 'id', 'side', 'state', 'confidence']
COLUMNS += [f'{name}_{axis}' for name in KEYPOINT_NAMES for axis in 'xyz']


def rows(message: Any) -> Iterator[list[Any]]:
    """Yield a row for each hand of a HandArray."""
    stamp = message.header.stamp
    for hand in message.hands:
        names = str(Handedness(hand.side)), str(TrackState(hand.state))
        points = [f'{value:.5f}' for p in hand.keypoints for value in (p.x, p.y, p.z)]
        row = [f'{stamp.sec}.{stamp.nanosec:09}', hand.id, *names, f'{hand.confidence:.3f}']
        yield row + (points or [''] * 3 * len(KEYPOINT_NAMES))


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('bag', help='folder of a bag, or an .mcap file')
    parser.add_argument('csv')
    parser.add_argument('--topic', help='needed where the bag has several hand_nodes')
    args = parser.parse_args()

    store = typestore()
    with Reader(args.bag) as reader:
        arrays = [c for c in reader.connections if c.msgtype == HAND_ARRAY]
        chosen = [c for c in arrays if args.topic in (None, c.topic)]
        if len({c.topic for c in chosen}) != 1:
            topics = ', '.join(sorted({c.topic for c in arrays})) or 'none'
            raise SystemExit(f'{args.bag}: choose one of its HandArray topics with --topic: {topics}')
        with open(args.csv, 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for _, _, data in reader.messages(chosen):
                writer.writerows(rows(store.deserialize_cdr(data, HAND_ARRAY)))


if __name__ == '__main__':
    main()
