"""Sources of the trainer's batches: cues in memory for `compact`, images from disk for `paper`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from maskhand_ros.data_engine.image_store import ImageShards
from maskhand_ros.data_engine.shard_store import ShardStore

from ..hand_model.numpy_hand import HandModel
from ..hand_model.torch_hand import TorchHand
from ..model.maskhand import MaskHand
from .cue_augmentation import augment
from .image_augmentation import augment_images
from .loop import TrainingRun

Batch = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Cues and truth."""

REFRESH_EVERY = 200
"""Steps between looks for new shards of cues."""
HELD_OUT = 1024
"""Samples of the split `val` that are measured while training."""


def _mediapipe_hand(path: Path | None) -> TorchHand:
    """The hand with keypoints at MediaPipe's places, or at its own where it has no such set."""
    try:
        return TorchHand(HandModel.load(path, 'mediapipe'))
    except ValueError:
        return TorchHand(HandModel.load(path))


class CueSource:
    """Shards of cues (`maskhand train data`); new ones are picked up on the way."""

    def __init__(self, args: argparse.Namespace, fabric: Fabric, refresh: bool = True) -> None:
        """`refresh` False: what is there now is all."""
        self._size, self._loud, self._refresh = args.batch_size, fabric.is_global_zero, refresh
        part = fabric.global_rank, fabric.world_size
        self.store = ShardStore(args.data, 'train', args.max_samples, fabric.device, part)
        self._held_out = None
        if fabric.is_global_zero and any(args.data.glob('val-*.npz')):
            self._held_out = ShardStore(args.data, 'val', HELD_OUT, fabric.device)
        self._hand = _mediapipe_hand(args.hand_model).to(fabric.device)

    def prepare(self, model: MaskHand) -> None:
        """Set what the model takes from its data."""
        every = max(1, len(self.store) // 4000)
        model.context.set_statistics(self.store.batch(torch.arange(len(self.store))[::every])[0])

    def batch(self, train: TrainingRun) -> Batch:
        """The next batch, augmented."""
        due = self._refresh and train.step % REFRESH_EVERY == 0
        if due and self.store.refresh() and self._loud:
            print(f'{len(self.store)} training samples in each process', flush=True)
        rows = torch.randint(len(self.store), (self._size,), generator=train.generator)
        cues, truth = self.store.batch(rows)
        return augment(cues, truth, self._hand, train.generator), truth

    def held_out(self) -> Iterable[Batch]:
        """Batches to measure on; none where there is no split `val`, and in all processes but the first."""
        return self._held_out.once(256) if self._held_out else ()

    def summary(self) -> dict:
        """What was trained on."""
        return {'samples_per_process': len(self.store)}


class ImageSource:
    """Shards of images (`maskhand train images`)."""

    def __init__(self, args: argparse.Namespace, fabric: Fabric) -> None:
        self._args = args
        self._batches: Iterator[Batch] | None = None
        part = fabric.global_rank, fabric.world_size
        name = HandModel.load(args.hand_model).name
        self._shards = ImageShards(args.data, 'train', name, fabric.device, part)
        self._held_out = None
        if fabric.is_global_zero and any(args.data.glob('val-*.tar')):
            self._held_out = ImageShards(args.data, 'val', name, fabric.device)

    def prepare(self, model: MaskHand) -> None:
        """Nothing: the backbone's statistics are ImageNet's."""

    def batch(self, train: TrainingRun) -> Batch:
        """The next batch, augmented; a run that goes on takes the shards in a new order."""
        if self._batches is None:
            seed = 1_000_003 * self._args.seed + train.step
            self._batches = self._shards.batches(self._args.batch_size, seed, self._args.workers)
        cues, truth = next(self._batches)
        return augment_images(cues, truth, train.generator), truth

    def held_out(self) -> Iterable[Batch]:
        """Batches to measure on; none where there is no split `val`, and in all processes but the first."""
        return self._held_out.once(32, HELD_OUT) if self._held_out else ()

    def summary(self) -> dict:
        """What was trained on."""
        return {'shards': len(self._shards.paths)}
