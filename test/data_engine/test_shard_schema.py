"""Shards that differ from their schema are refused by every reader, with what differs."""

import io
import tarfile

import cv2
import numpy as np
import pytest

from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.uncertainty_predictions import shard_batches
from maskhand_ros.shard_schema import CUE_SHARD, IMAGE_SHARD


def made(specs, count):
    return {name: np.zeros((count, *spec.shape), spec.dtype) for name, spec in specs.items()}


BROKEN = {
    'missing': (lambda arrays: arrays.pop('betas'), r"lacks 'betas': float32 \(N, 10\), shape parameters"),
    'shape': (
        lambda arrays: arrays.update(keypoints=np.zeros((4, 20, 3), np.float32)),
        r"'keypoints' is float32 \(4, 20, 3\), expected float32 \(N, 21, 3\), m from the wrist",
    ),
    'not packed': (
        lambda arrays: arrays.update(map_142=np.zeros((4, 112, 14, 14), np.float32)),
        r"'map_142' is float32 .*, expected int8 \(N, 112, 14, 14\)",
    ),
    'count': (lambda arrays: arrays.update(focal=np.zeros(3, np.float32)), "different numbers .*'focal': 3"),
}


@pytest.mark.parametrize('change, message', BROKEN.values(), ids=BROKEN)
def test_a_shard_of_cues_that_differs_is_refused(tmp_path, change, message):
    pytest.importorskip('torch')
    from maskhand_ros.data_engine.shard_store import ShardStore

    arrays, path = made(CUE_SHARD, 4), tmp_path / 'val-0-0000.npz'
    np.savez(path, **arrays)
    assert len(ShardStore(tmp_path, 'val')) == 4
    (cues, truth), *_ = shard_batches(tmp_path, 'val', 10)
    assert cues['map_142'].dtype == np.float32 and len(truth['kind']) == 4
    change(arrays)
    np.savez(path, **arrays)
    for read in (lambda: ShardStore(tmp_path, 'val'), lambda: next(shard_batches(tmp_path, 'val', 10))):
        with pytest.raises(CommandError, match=f'{path}.*{message}.*Fix: delete it and run `maskhand train'):
            read()


def test_a_shard_of_images_that_differs_is_refused(tmp_path):
    pytest.importorskip('torch')
    pytest.importorskip('webdataset', reason='needs the extra `train`')
    from maskhand_ros.data_engine.image_store import ImageShards

    def write(arrays):
        file = io.BytesIO()
        np.savez(file, **arrays, hand=np.array('open'))
        jpeg = cv2.imencode('.jpg', np.zeros((224, 224, 3), np.uint8))[1].tobytes()
        with tarfile.open(tmp_path / 'val-made-0-00000.tar', 'w') as tar:
            for suffix, content in (('jpg', jpeg), ('npz', file.getvalue())):
                member = tarfile.TarInfo(f'sample.{suffix}')
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return ImageShards(tmp_path, 'val', 'open')

    arrays = {name: array[0] for name, array in made(IMAGE_SHARD, 1).items()}
    cues, truth = next(write(arrays).once(1, 1))
    assert cues['image'].shape == (1, 224, 224, 3) and truth.keys() | cues.keys() >= IMAGE_SHARD.keys()
    arrays['wrist'] = np.zeros(2, np.float32)
    with pytest.raises(
        CommandError, match=r"val-made-0-00000.tar, sample sample: 'wrist' .*expected float32 \(N, 3\), m"
    ):
        next(write(arrays).once(1, 1))
