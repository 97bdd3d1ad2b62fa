"""A weights folder (`maskhand export`, or the shipped one) as a MaskHand in torch, to be trained further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from ..network_contract import CODEBOOK
from ..perception.weights import EXPORT_AGAIN, INDEX, POSE_MODEL_FILES, verify_weights
from .config import MaskHandConfig
from .maskhand import MaskHand
from .onnx_file import read_weights

TRAINED_FILES = (*POSE_MODEL_FILES, 'tokenizer_encoder.onnx')
"""Files that hold the weights."""


@torch.no_grad()
def read_model(folder: Path) -> tuple[MaskHand, dict[str, Any]]:
    """The MaskHand in `folder`, in evaluation mode, and the content of its model.json.

    Its weights are what the files hold: float32 values that half precision represents where a file stores
    half precision. ModelError if a file is missing, damaged, or does not hold the weights of the
    configuration in model.json, as after int8 quantisation.
    """
    description = verify_weights(folder, TRAINED_FILES)
    model = MaskHand(_configuration(folder, description)).eval()
    state: dict[str, torch.Tensor] = {}
    for name in TRAINED_FILES:
        if name.endswith('.onnx'):
            state.update(read_weights(folder / name))
    # The codebook has a file of its own, and no other state of a quantizer matters to a frozen tokenizer.
    expected = {name: v for name, v in model.state_dict().items() if '.quantizer.' not in name}
    wrong = [name for name in expected if name not in state or state[name].shape != expected[name].shape]
    if wrong:
        raise ModelError(
            f'the networks in {folder} do not hold the weights of the configuration in {INDEX}: '
            f'{len(wrong)} are missing, {wrong[0]} among them',
            f'give a folder that `maskhand export` wrote without --int8, or {EXPORT_AGAIN}',
        )
    model.load_state_dict({name: state[name] for name in expected}, strict=False)
    with np.load(folder / 'codebook.npz', allow_pickle=False) as arrays:
        model.tokenizer.quantizer.codebook.copy_(torch.from_numpy(arrays[CODEBOOK.name]))
    return model, description


def _configuration(folder: Path, description: dict[str, Any]) -> MaskHandConfig:
    """The configuration in model.json; ModelError if it is none of this version."""
    try:
        return MaskHandConfig.from_dict(description['config'])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f'{folder / INDEX}: {error!r} in `config`', EXPORT_AGAIN) from error
