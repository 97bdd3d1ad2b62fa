"""Endless batches of crops and truth from WebDataset shards (`maskhand train images`)."""

from __future__ import annotations

import io
import itertools
import random
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import webdataset
from torch import Tensor
from torch.utils.data import IterableDataset

from maskhand_ros.errors import CommandError
from maskhand_ros.shard_schema import IMAGE_CUES, IMAGE_SHARD, TRUTH, read_arrays

SHUFFLED = 2000
"""Samples of a process among which the next is drawn, still as JPEG: some 30 MB."""


class _ShardOrder(IterableDataset):
    """Paths of shards for ever, every pass in another order: `part` (k, n) is every n-th from the k-th on.

    Splitting the endless sequence rather than the list of files gives every process work, also where there
    are fewer shards than processes; none ever waits for another's end of a pass.
    """

    def __init__(self, paths: list[str], part: tuple[int, int], seed: int) -> None:
        super().__init__()
        self.paths, self.part, self.seed = paths, part, seed

    def __iter__(self) -> Iterator[dict[str, str]]:
        rng, (first, step) = random.Random(self.seed), self.part
        passes = (rng.sample(self.paths, len(self.paths)) for _ in itertools.count())
        for path in itertools.islice(itertools.chain.from_iterable(passes), first, None, step):
            yield {'url': path}


class ImageShards:
    """The samples of `<folder>/<split>-*.tar` as batches of cues (IMAGE_SHAPES) and truth.

    A run that goes on after a stop does not go back to the sample where it was: give another `seed` (the
    trainer adds the number of steps done), and the passes go through the shards in a new order. Over many
    sittings every sample is met as often; shards that have come in the meantime are found.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        hand_name: str,
        device: str | torch.device = 'cpu',
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """`part` (k, n): this is process k of n. CommandError if there are no shards, or they are not of the
        hand model `hand_name`."""
        self.paths = sorted(str(path) for path in Path(folder).glob(f'{split}-*.tar'))
        self.device, self.part = device, part
        if not self.paths:
            raise CommandError(
                f'no {split}-*.tar in {folder}',
                f'maskhand train images --out {folder} --split {split}, of the same hand model',
            )
        for path in self.paths:
            held = _hand_of(path)
            if held != hand_name:
                raise CommandError(
                    f'{path} holds parameters of the hand {held!r}, not of {hand_name!r}',
                    'give --hand-model the file that the shards were made with; keep each in its own folder',
                )

    def batches(
        self, size: int, seed: int, workers: int = 0
    ) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Endless batches (size, ...), shuffled; images are decoded by `workers` further processes."""
        pipeline = webdataset.DataPipeline(
            _ShardOrder(self.paths, self.part, seed),
            webdataset.split_by_worker,
            webdataset.tarfile_to_samples(),
            webdataset.detshuffle(SHUFFLED, min(SHUFFLED, 4 * size), seed=seed),
            webdataset.map(_decoded),
            webdataset.batched(size, collation_fn=_stacked, partial=False),
        )
        for batch in webdataset.WebLoader(pipeline, batch_size=None, num_workers=workers):
            yield self._on_device(batch)

    def once(self, size: int, limit: int) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """The first `limit` samples in their order, `size` at a time."""
        pipeline = webdataset.DataPipeline(
            webdataset.SimpleShardList(self.paths),
            webdataset.tarfile_to_samples(),
            webdataset.slice(limit),
            webdataset.map(_decoded),
            webdataset.batched(size, collation_fn=_stacked),
        )
        return map(self._on_device, pipeline)

    def poses(self, limit: int) -> np.ndarray:
        """hand_pose (n, 15, 3, 3) float32 of the first `limit` samples; no image is decoded."""
        pipeline = webdataset.DataPipeline(
            webdataset.SimpleShardList(self.paths),
            webdataset.tarfile_to_samples(select_files=lambda name: name.endswith('.npz')),
            webdataset.slice(limit),
        )
        return np.stack([_arrays_of(sample, ('hand_pose',))['hand_pose'] for sample in pipeline])

    def _on_device(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        tensors = {name: values.to(self.device) for name, values in batch.items()}
        return {name: tensors[name] for name in ('image', *IMAGE_CUES)}, {
            name: tensors[name] for name in TRUTH
        }


def decoded_samples(path: Path) -> Iterator[dict[str, np.ndarray]]:
    """The samples of one shard in their order: `image` (224, 224, 3) uint8 RGB and IMAGE_SHARD's arrays,
    float32."""
    shards = webdataset.SimpleShardList([str(path)])
    return iter(webdataset.DataPipeline(shards, webdataset.tarfile_to_samples(), webdataset.map(_decoded)))


def _hand_of(path: str) -> str:
    """The name of the hand model in the first sample of a shard."""
    with tarfile.open(path) as tar:
        member = next(member for member in tar if member.name.endswith('.npz'))
        with np.load(io.BytesIO(tar.extractfile(member).read()), allow_pickle=False) as arrays:
            return str(arrays['hand'])


def _arrays_of(sample: dict[str, Any], names: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays of one sample as float32; CommandError if they do not fit the schema."""
    specs = {name: IMAGE_SHARD[name] for name in names}
    where = f'{sample["__url__"]}, sample {sample["__key__"]}'
    file = io.BytesIO(sample['npz'])
    arrays = read_arrays(file, where, specs, 'maskhand train images', one_sample=True)
    return {name: array[0].astype(np.float32) for name, array in arrays.items()}


def _decoded(sample: dict[str, Any]) -> dict[str, np.ndarray]:
    bgr = cv2.imdecode(np.frombuffer(sample['jpg'], np.uint8), cv2.IMREAD_COLOR)
    return {'image': np.ascontiguousarray(bgr[..., ::-1]), **_arrays_of(sample, IMAGE_SHARD)}


def _stacked(samples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    # webdataset adds names of its own to a sample.
    names = ('image', *IMAGE_SHARD)
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in names}
