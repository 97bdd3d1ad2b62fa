"""Images of a bag as a clip: times of the stamps, the bag's calibration, damaged images left out."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('rosbags')

from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from maskhand_ros.errors import CommandError  # noqa: E402
from maskhand_ros.labelling.clip_input import BAG, ClipInput  # noqa: E402
from maskhand_ros.labelling.label_options import LabelOptions  # noqa: E402
from maskhand_ros.labelling.sources import open_source  # noqa: E402
from maskhand_ros.nodes.recorder import McapFile  # noqa: E402

START = 1_700_000_000_000_000_000


def image(number):
    message = Image(width=64, height=48, encoding='rgb8', step=192)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(START + number * 50_000_000, 10**9)
    message.data = np.full(48 * 192, 10 * number, np.uint8).tobytes()
    return message


def write_bag(path, images, topics=('/cam/image_raw',)):
    info = CameraInfo(width=64, height=48, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [70.0, 0.0, 32.0, 0.0, 70.0, 24.0, 0.0, 0.0, 1.0]
    file = McapFile(path)
    for number, message in enumerate(images):
        for topic in topics:
            file.write(topic, 'sensor_msgs/msg/Image', START + number, serialize_message(message))
        if number == 1:  # the calibration comes after the first image
            file.write('/cam/camera_info', 'sensor_msgs/msg/CameraInfo', START, serialize_message(info))
    file.close()
    return str(path)


def test_a_bag_is_a_clip(tmp_path):
    images = [image(number) for number in range(6)]
    images[3].data = images[3].data[:100]
    path = write_bag(tmp_path / 'a.mcap', images)
    for start, expected in ((0, [0, 1, 2, 4, 5]), (100_000_000, [2, 4, 5])):
        source = open_source(ClipInput(path, BAG), LabelOptions())
        frames = list(source.frames(start))
        source.close()
        assert [frame.time_ns for frame in frames] == [50_000_000 * number for number in expected]
        assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [10 * number for number in expected]
        assert {frame.camera.K[0, 0] for frame in frames} == {70.0}
        assert (source.rate, source.duration, source.damaged) == (20.0, pytest.approx(0.3), 1)
    given = open_source(ClipInput(path, BAG, (90.0, 90.0, 32.0, 24.0)), LabelOptions())
    assert next(given.frames(0)).camera.K[0, 0] == 90.0


def test_which_topic_must_be_clear(tmp_path):
    path = write_bag(tmp_path / 'a.mcap', [image(0)], ('/left', '/right'))
    with pytest.raises(CommandError, match=r'2 image topics \(/left, /right\)'):
        open_source(ClipInput(path, BAG), LabelOptions())
    assert open_source(ClipInput(path, BAG, topic='/left'), LabelOptions()).duration > 0
