"""A tiny MaskHand and tiny shards for the tests of this folder, and a few rendered hands."""

import pytest
from tiny_model import fake_shard, one_thread, shards, tiny_model  # noqa: F401

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.weights import SHIPPED


@pytest.fixture(scope='session')
def rendered(tmp_path_factory):
    """A folder with a few rendered hands, of the splits train and val."""
    pytest.importorskip('moderngl', reason='rendering needs moderngl (extra `train`)')
    from maskhand_ros.data_engine.samples import SampleMaker
    from maskhand_ros.data_engine.shards import make_shard, write_shard

    folder = tmp_path_factory.mktemp('rendered')
    try:
        maker = SampleMaker(HandModel.load(), backdrops=4)
    except RuntimeError as error:
        pytest.skip(str(error))
    network = CueNetwork(SHIPPED / 'landmarks.onnx')
    for split, count in (('train', 16), ('val', 32)):
        arrays = make_shard(maker, network, split, 0, 0, count, {'camera': 1.0})
        write_shard(folder / f'{split}-0-0000.npz', arrays)
    return folder
