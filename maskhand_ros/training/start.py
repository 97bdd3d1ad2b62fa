"""The model that a run starts from: shipped, in a weights folder, or a checkpoint of another run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from ..errors import CommandError
from ..model.config import MaskHandConfig
from ..model.from_folder import read_model
from ..model.maskhand import MaskHand
from ..perception.weights import SHIPPED, find_weights

SHIPPED_NAME = 'shipped'
START_HELP = (
    f"start with a model's weights, tokenizer and configuration: '{SHIPPED_NAME}' (the installed model), a "
    'weights folder of `maskhand export`, or the checkpoint.pt of another run (its averaged weights)'
)


def start_from(where: str) -> tuple[MaskHand, dict[str, Any]]:
    """The model `where`, 'shipped', a weights folder or a checkpoint of `maskhand train model`; and what is
    known of it, for model.json: `name` and `version` of a folder, `training`.

    CommandError if there is no such file, or if it is no checkpoint; ModelError if the folder holds no model
    that can be trained.
    """
    path = SHIPPED if where == SHIPPED_NAME else Path(where)
    if path.is_dir():
        model, description = read_model(find_weights(path))
        known = {name: description.get(name) for name in ('name', 'version', 'training')}
        return model, {name: value for name, value in known.items() if value}
    if not path.is_file():
        raise CommandError(
            f'there is no {path}', f"give '{SHIPPED_NAME}', a weights folder or the checkpoint.pt of a run"
        )
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
        model = MaskHand(MaskHandConfig.from_dict(checkpoint['config']))
        model.load_state_dict(checkpoint['ema'])
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        text = ' '.join(str(error).split())[:200]
        raise CommandError(
            f'{path} is no checkpoint of `maskhand train model` ({type(error).__name__}: {text})',
            "give the checkpoint.pt of such a run, a weights folder, or 'shipped'",
        ) from error
    return model.eval(), {'training': checkpoint.get('summary', {})}
