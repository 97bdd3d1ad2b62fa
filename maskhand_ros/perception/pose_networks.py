"""Files of the pose model, checked against network_contract and against each other."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network_contract import CODEBOOK, TOKEN_INPUTS, ContractError, Sizes, TensorSpec, check_tensor
from .device import Device, Network
from .weights import EXPORT_AGAIN, INDEX


@dataclass(frozen=True)
class PoseNetworks:
    """The three networks of the pose model, and its `codebook` (K, D) float32."""

    context: Network
    synthesizer: Network
    tokenizer: Network
    codebook: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path, description: Mapping[str, Any], device: Device) -> PoseNetworks:
        """The model in `folder`, whose model.json holds `description`, on a Device.

        ModelError if a file does not fit the contract, model.json or another file of the folder.
        """
        sizes: Sizes = {name: (description[name], INDEX) for name in ('tokens', 'codebook_size')}
        context = device.open(folder / 'context.onnx', sizes=sizes)
        synthesizer = device.open(folder / 'synthesizer.onnx', sizes=context.sizes)
        _check_context(folder, context, synthesizer)
        joints = 15 if 'global_orient' in synthesizer.outputs else 16
        sizes = {**synthesizer.sizes, 'joints': (joints, 'synthesizer.onnx')}
        tokenizer = device.open(folder / 'tokenizer.onnx', sizes=sizes)
        codebook = _read_codebook(folder / 'codebook.npz', tokenizer.sizes)
        return cls(context, synthesizer, tokenizer, codebook)


def _check_context(folder: Path, context: Network, synthesizer: Network) -> None:
    """ModelError if the synthesizer has an input that the context network does not provide."""
    own = {tensor.name for tensor in TOKEN_INPUTS}
    for name in synthesizer.inputs:
        if name not in own and name not in context.outputs:
            raise ModelError(
                f'{folder / "synthesizer.onnx"} has input {name!r}, which is no output of context.onnx',
                EXPORT_AGAIN,
            )


def _read_codebook(path: Path, sizes: Sizes) -> NDArray[np.float32]:
    """Codebook (K, D); ModelError if it cannot be read or does not fit `sizes`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            codebook = arrays[CODEBOOK.name]
        found = TensorSpec(CODEBOOK.name, codebook.shape, str(codebook.dtype))
        check_tensor(path.name, 'array', CODEBOOK, found, sizes)
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, ContractError, ValueError) as error:
        raise ModelError(
            f'{path} does not fit this version of maskhand_ros: {error}', EXPORT_AGAIN
        ) from error
    return codebook
