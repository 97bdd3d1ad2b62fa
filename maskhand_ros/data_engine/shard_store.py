"""Training shards in memory: all samples as tensors, and new shards picked up while training."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskhand_ros.model.config import CUE_SHAPES, MAP_SHAPES
from maskhand_ros.shard_schema import CUE_SHARD, SCALES, TRUTH, read_arrays

STORED = {name: spec for name, spec in CUE_SHARD.items() if name != 'kind'}
"""Arrays that training reads."""


class ShardStore:
    """The samples of `<folder>/<split>-*.npz`, at most `limit`, on `device`; features in half precision, maps
    in eight bits (50 KB a sample)."""

    def __init__(
        self,
        folder: Path,
        split: str,
        limit: int = 400_000,
        device: str | torch.device = 'cpu',
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """`part` (k, n) keeps every n-th sample from the k-th on: n processes share the samples."""
        self.folder, self.split, self.limit = Path(folder), split, limit
        self.device, self.part = device, part
        self.tensors: dict[str, Tensor] = {}
        self._read: set[str] = set()
        self.refresh()
        if not len(self):
            raise FileNotFoundError(
                f'no {split}-*.npz in {self.folder}. Fix: maskhand train data --out {self.folder} '
                f'--split {split} --samples N'
            )

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values()), ()))

    def refresh(self) -> int:
        """Read the shards that have come since the last time; the number of new samples."""
        arrays, count = [], len(self)
        for path in sorted(self.folder.glob(f'{self.split}-*.npz')):
            if path.name in self._read or count >= self.limit:
                continue
            try:
                arrays.append(_read(path, self.limit - count, self.part))
            except (zipfile.BadZipFile, EOFError, OSError):
                continue  # still being written: read it next time
            self._read.add(path.name)
            count += len(arrays[-1]['focal'])
        if not arrays:
            return 0
        before = len(self)
        for name in STORED:
            parts = [torch.from_numpy(part.pop(name)).to(self.device) for part in arrays]
            old = [self.tensors.pop(name)] if name in self.tensors else []
            self.tensors[name] = torch.cat(old + parts)
        return len(self) - before

    def once(self, size: int) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """All samples in their order, `size` at a time."""
        return map(self.batch, torch.arange(len(self)).split(size))

    def batch(self, rows: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Cues (shapes in CUE_SHAPES) and truth of the samples `rows` (B,), float32."""
        rows = rows.to(self.device)
        cues, truth = (
            {name: self.tensors[name][rows].float() for name in names} for names in (CUE_SHAPES, TRUTH)
        )
        for name, scale in SCALES.items():
            cues[name] *= self.tensors[scale][rows].float()[..., None, None]
        return cues, truth


def _read(path: Path, limit: int, part: tuple[int, int]) -> dict[str, np.ndarray]:
    """Every n-th sample of a shard from the k-th on (`part`), at most `limit`; CommandError if it does not
    fit the schema."""
    first, step = part
    arrays = read_arrays(path, str(path), STORED, 'maskhand train data')
    sample = {name: array[first::step][:limit] for name, array in arrays.items()}
    for name in CUE_SHAPES.keys() - MAP_SHAPES.keys():
        sample[name] = np.clip(sample[name], -6e4, 6e4).astype(np.float16)
    for name in TRUTH:
        sample[name] = sample[name].astype(np.float32)
    return sample
