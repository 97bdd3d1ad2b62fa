"""Schema of the training shards: names, shapes, dtypes and units of their arrays, for writers and readers.

Shards of cues (`maskhand train data`) are .npz files with N samples in each array. Shards of images
(`maskhand train images`) are .tar files that hold for each sample `KEY.jpg`, the 224 x 224 crop, and
`KEY.npz`, the arrays without the dimension N and `hand`, the name of the hand model. Samples show right hands
(left ones mirrored); positions are in the frame of the crop's camera, keypoints start at the wrist.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import CommandError
from .network_contract import CUES, MAPS


@dataclass(frozen=True)
class ArraySpec:
    """One array of a shard; `shape` is that of one sample."""

    shape: tuple[int, ...]
    dtype: str
    unit: str


TRUTH = {
    'global_orient': ArraySpec((3, 3), 'float32', 'rotation matrix'),
    'hand_pose': ArraySpec((15, 3, 3), 'float32', 'rotation matrices'),
    'betas': ArraySpec((10,), 'float32', 'shape parameters of the hand model'),
    'wrist': ArraySpec((3,), 'float32', 'm'),
    'focal': ArraySpec((), 'float32', 'px of the crop'),
    'keypoints': ArraySpec((21, 3), 'float32', 'm from the wrist'),
    'keypoints_px': ArraySpec((21, 2), 'float32', 'px of the crop'),
    'visible': ArraySpec((21,), 'bool', 'whether a keypoint can be seen; none: the crop shows no hand'),
}
"""Ground truth of a sample, the same in both kinds of shards."""

SCALES = {name: f'{name}_scale' for name in MAPS}
"""Array that turns each feature map, which is stored as int8, back into its values: map * scale."""

CUE_SHARD = {
    'landmarks': ArraySpec(CUES['landmarks'], 'float32', 'px / 224 - 0.5, z px / 224'),
    'world_landmarks': ArraySpec(CUES['world_landmarks'], 'float32', 'm'),
    'presence': ArraySpec(CUES['presence'], 'float32', 'probability'),
    'handedness': ArraySpec(CUES['handedness'], 'float32', 'probability of a right hand'),
    'global_feature': ArraySpec(CUES['global_feature'], 'float16', 'activations'),
    **{name: ArraySpec(CUES[name], 'int8', 'activations / scale') for name in MAPS},
    **{SCALES[name]: ArraySpec(CUES[name][:1], 'float16', 'activations') for name in MAPS},
    **TRUTH,
    'kind': ArraySpec((), 'int8', 'index into data_engine.scenes.KINDS'),
}
"""Arrays of a shard of cues: network_contract.CUES but for the image, and the truth."""

IMAGE_CUES = ('landmarks', 'presence')
"""Cues that a shard of images holds."""

IMAGE_SHARD = {**{name: CUE_SHARD[name] for name in IMAGE_CUES}, **TRUTH}
"""Arrays of one sample of a shard of images."""


def read_arrays(
    file: Path | BinaryIO,
    where: str,
    specs: Mapping[str, ArraySpec],
    command: str,
    optional: Container[str] = (),
    one_sample: bool = False,
) -> dict[str, np.ndarray]:
    """Arrays (N, *shape) of `specs` in a .npz file; those named `optional` may be absent. `one_sample`: the
    file has arrays (*shape), and N becomes 1. Other arguments and errors: check_arrays."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in specs if name in stored}
    if one_sample:
        arrays = {name: array[None] for name, array in arrays.items()}
    expected = {name: spec for name, spec in specs.items() if name in arrays or name not in optional}
    check_arrays(where, arrays, expected, command)
    return arrays


def check_arrays(
    where: str, arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec], command: str
) -> None:
    """CommandError if `arrays` (N, *shape), read from `where`, lack one of `specs` or differ from it in
    shape, dtype or N. `command` writes such files."""
    fix = f'delete it and run `{command}` again'
    for name, spec in specs.items():
        expected = f'{spec.dtype} ({", ".join(map(str, ("N", *spec.shape)))}), {spec.unit}'
        if name not in arrays:
            raise CommandError(f'{where} lacks {name!r}: {expected}', fix)
        found = arrays[name]
        if (str(found.dtype), found.shape[1:]) != (spec.dtype, spec.shape) or not found.ndim:
            raise CommandError(f'{where}: {name!r} is {found.dtype} {found.shape}, expected {expected}', fix)
    counts = {name: len(arrays[name]) for name in specs}
    if len(set(counts.values())) > 1:
        raise CommandError(f'{where}: the arrays have different numbers of samples: {counts}', fix)
