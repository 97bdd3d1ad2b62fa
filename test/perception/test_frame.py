"""What a Frame refuses, with the fix; and a video whose frames all have one stamp."""

import pathlib
import warnings

import numpy as np
import pytest

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame

RGB = np.zeros((48, 64, 3), np.uint8)
K = np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
DEPTH = np.ones((48, 64), np.float32)


@pytest.mark.parametrize(
    'fields, fix',
    [
        ({'rgb': RGB / 255}, 'multiply by 255 and convert to uint8'),
        ({'rgb': RGB.astype(np.uint16)}, '>> 8'),
        ({'rgb': RGB[..., 0]}, 'cv2.COLOR_GRAY2RGB'),
        ({'rgb': RGB[..., :1]}, 'cv2.COLOR_GRAY2RGB'),
        ({'rgb': np.zeros((48, 64, 4), np.uint8)}, 'image[:, :, :3]'),
        ({'rgb': RGB.transpose(2, 0, 1)}, 'image.transpose(1, 2, 0)'),
        ({'rgb': RGB[None]}, 'one image'),
        ({'rgb': RGB[:0]}, 'check that the image was read'),
        ({'rgb': None}, 'cv2.imread'),
        ({'rgb': 'hand.png'}, 'cv2.imread'),
        ({'rgb': pathlib.Path('hand.png')}, 'cv2.imread'),
        ({'rgb': RGB.tolist()}, 'np.asarray'),
        ({'rgb': np.zeros((1, 40_000, 3), np.uint8)}, 'cv2.resize'),
        ({'stamp_ns': 1.5}, 'round(1e9 * seconds)'),
        ({'stamp_ns': None}, 'round(1e9 * seconds)'),
        ({'camera': K}, 'Camera(K, 64, 48)'),
        ({'camera': K.tolist()}, 'Camera(K, 64, 48)'),
        ({'camera': Camera(K, 640, 480)}, 'the calibration of this size'),
        ({'depth': (1000 * DEPTH).astype(np.uint16)}, '/ 1000'),
        ({'depth': DEPTH.astype(float)}, 'depth.astype(np.float32)'),
        ({'depth': DEPTH[:24]}, 'register it to the image'),
        ({'depth': DEPTH.tolist()}, 'np.asarray'),
    ],
)
def test_a_frame_that_cannot_be_says_the_fix(fields, fix):
    with pytest.raises(ValueError) as error:
        Frame(**{'rgb': RGB, **fields})
    what, _, told = str(error.value).partition('. Fix: ')
    assert what.startswith(next(iter(fields))) and fix in told


def test_what_a_frame_takes():
    Frame(RGB[:, ::-1, ::-1], np.int64(5), Camera(K, 64, 48), DEPTH)


def test_a_stamp_that_stands_still_is_told_once():
    pipeline = HandPipeline()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        for _ in range(4):  # pictures that have nothing to do with each other
            pipeline.reset()
            pipeline.process(Frame(RGB))
        pipeline.end_tracks()
        for number in range(4):
            pipeline.process(Frame(RGB, number))
        assert not told
        for _ in range(3):
            pipeline.process(Frame(RGB, 3))
    assert len(told) == 1 and 'round(1e9 * seconds)' in str(told[0].message)
    assert told[0].filename == __file__
