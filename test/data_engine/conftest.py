"""The open hand and a maker of its renders, for the tests of this folder."""

import pytest

from maskhand_ros.hand_model.numpy_hand import HandModel


@pytest.fixture(scope='module')
def hand():
    return HandModel.load()


@pytest.fixture(scope='module')
def maker(hand):
    pytest.importorskip('moderngl', reason='rendering needs moderngl (extra `train`)')
    from maskhand_ros.data_engine.samples import SampleMaker

    try:
        return SampleMaker(hand, backdrops=4)
    except RuntimeError as error:
        pytest.skip(str(error))
