"""Export of a trained MaskHand to a weights folder: ONNX networks, the codebook, and model.json, which lists
all files with their SHA-256.

`from_folder.py` reads the folder back. --int8 adds landmarks_int8.onnx: the folder's landmarks.onnx with
8-bit integers, by static quantisation on rendered crops. CPUs with VNNI or ARM's dot products run it if the
folder has one; other CPUs and GPUs run landmarks.onnx. Without a CHECKPOINT, --out is an existing weights
folder, for example one with your own landmarks.onnx.
"""

from __future__ import annotations

import argparse
import json
import shutil
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CommandError
from ..network_contract import (
    CODEBOOK,
    CONTEXT,
    FORMAT,
    LANDMARKS,
    LANDMARKS_INT8,
    NETWORKS,
    TOKEN_INPUTS,
)
from ..perception.weights import INDEX, SHIPPED, loadable_files
from .config import MaskHandConfig
from .context import Context
from .maskhand import MaskHand
from .onnx_file import write_onnx
from .quantizers import joint_logits


class _ContextGraph(nn.Module):
    def __init__(self, model: MaskHand) -> None:
        super().__init__()
        self.context, self.names = model.context, model.input_shapes

    def forward(self, *cues: Tensor) -> tuple[Tensor, ...]:
        context = self.context(dict(zip(self.names, cues, strict=True)))
        return (*context[:-1], *context.maps)


class _SynthesizerGraph(nn.Module):
    def __init__(self, model: MaskHand) -> None:
        super().__init__()
        self.synthesizer = model.synthesizer

    def forward(self, codes: Tensor, mask: Tensor, *context: Tensor) -> tuple[Tensor, ...]:
        fixed = len(Context._fields) - 1
        out = self.synthesizer(Context._make((*context[:fixed], context[fixed:])), codes, mask)
        return joint_logits(out.logits), *(value for value in out[2:] if value is not None)


class _TokenizerGraph(nn.Module):
    def __init__(self, model: MaskHand) -> None:
        super().__init__()
        self.tokenizer = model.tokenizer

    def forward(self, embeddings: Tensor) -> tuple[Tensor]:
        return (self.tokenizer.decode(embeddings),)


class _EncoderGraph(_TokenizerGraph):
    def forward(self, hand_pose: Tensor) -> tuple[Tensor]:
        return (self.tokenizer.encode(hand_pose),)


def export_model(
    model: MaskHand,
    folder: Path,
    training: dict,
    name: str | None = None,
    version: str | None = None,
    calibration: dict | None = None,
) -> None:
    """Write the networks (.onnx), codebook.npz and model.json into `folder`.

    `name` and `version` are what HandArray.network tells of the model (default: the name of the folder, and
    the date). model.json lists the SHA-256 of every .onnx and .npz file there; `training` and
    `calibration` (plain values) are kept in it.
    """
    config = model.config
    if config.head != 'tokens':
        raise ValueError(f"a model with the head '{config.head}' is for ablations: only tokens are exported")
    folder.mkdir(parents=True, exist_ok=True)
    codebook = _export_networks(model.cpu().eval(), folder)
    arrays: dict[str, Any] = {CODEBOOK.name: codebook}
    np.savez(folder / 'codebook.npz', **arrays)
    write_description(
        folder,
        {
            'format': FORMAT,
            'name': name or folder.resolve().name,
            'version': version or date.today().isoformat(),
            'tokens': config.tokenizer.tokens,
            'codebook_size': len(codebook),
            'config': config.to_dict(),
            'training': training,
            **({'calibration': calibration} if calibration else {}),
        },
    )


def _export_networks(model: MaskHand, folder: Path) -> np.ndarray:
    """Write the networks into `folder`; the codebook (K, D) float32."""
    count = 2
    cues = {name: torch.rand(count, *size) for name, size in model.input_shapes.items()}
    context = model.context(cues)
    context = [part.detach() for part in (*context[:-1], *context.maps)]
    names = [tensor.name for tensor in CONTEXT[: len(context)]]
    quantizer = model.tokenizer.quantizer
    tokens = model.config.tokenizer.tokens
    codes = torch.zeros(count, tokens, quantizer.dimensions)
    mask = torch.ones(count, tokens, dtype=torch.bool)
    write_onnx(_ContextGraph(model), tuple(cues.values()), list(cues), names, folder / 'context.onnx')
    write_onnx(
        _SynthesizerGraph(model),
        (codes, mask, *context),
        [*(tensor.name for tensor in TOKEN_INPUTS), *names],
        [
            tensor.name
            for tensor in NETWORKS['synthesizer.onnx'].outputs
            if model.regresses_hand or not tensor.optional
        ],
        folder / 'synthesizer.onnx',
    )
    pose = torch.zeros(count, model.config.tokenizer.joints, 6)
    for file, graph, value in (
        ('tokenizer.onnx', _TokenizerGraph(model), codes),
        ('tokenizer_encoder.onnx', _EncoderGraph(model), pose),
    ):
        inputs, outputs = ([t.name for t in tensors] for tensors in vars(NETWORKS[file]).values())
        write_onnx(graph, (value,), inputs, outputs, folder / file)
    return quantizer.codebook.numpy()


def copy_networks(source: Path, folder: Path) -> None:
    """Copy what finds hands and their landmarks from the weights folder `source` into `folder`: a folder of
    models is whole."""
    if folder.samefile(source):
        return
    for name in ('palm_detector.onnx', LANDMARKS, LANDMARKS_INT8):
        if name != LANDMARKS_INT8 or (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def write_description(folder: Path, description: dict) -> None:
    """model.json: `description` and the SHA-256 of each file in `folder` that a model could load."""
    digests = {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in loadable_files(folder)
    }
    (folder / INDEX).write_text(json.dumps({**description, 'files': digests}, indent=2) + '\n')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand export`."""
    parser.add_argument(
        'checkpoints',
        type=Path,
        nargs='*',
        metavar='CHECKPOINT',
        help='checkpoint.pt of `maskhand train model`; of several of one run, the mean of their weights; '
        'none with --int8: the folder is there already',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for the exported files')
    parser.add_argument(
        '--int8',
        action='store_true',
        help='make landmarks_int8.onnx of the landmarks.onnx in the folder, for newer CPUs (takes minutes)',
    )
    parser.add_argument('--name', help="the model's name in HandArray.network (default: that of the folder)")
    parser.add_argument('--version', help="the model's version in HandArray.network (default: today's date)")


def mean_of(checkpoints: list[dict]) -> tuple[MaskHand, dict]:
    """The model with the mean of the averaged (EMA) weights of some checkpoints, and what they say of their
    training.

    Late weights are better on what was trained on and early ones on what was not: their mean keeps most of
    both (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). ValueError if they are of different
    configurations.
    """
    configs = [MaskHandConfig.from_dict(checkpoint['config']) for checkpoint in checkpoints]
    if any(config != configs[0] for config in configs):
        raise ValueError(
            'the checkpoints have different configurations: their weights have no mean; give those of one run'
        )
    model = MaskHand(configs[0])
    states = [checkpoint['ema'] for checkpoint in checkpoints]
    # In double precision the frozen tokenizer, which is the same in all, stays what it is.
    mean = {name: torch.stack([state[name] for state in states]).double().mean(0) for name in states[0]}
    model.load_state_dict(mean)
    trained = [checkpoint['summary'] for checkpoint in checkpoints]
    return model, trained[0] if len(trained) == 1 else {'mean_of': trained}


def run(args: argparse.Namespace) -> int:
    """Export the averaged (EMA) weights of checkpoints; with --int8 the 8-bit landmark network."""
    if not args.checkpoints and not args.int8:
        raise CommandError(
            'there is nothing to export', 'give a CHECKPOINT, or --int8 for a folder that is there already'
        )
    if args.checkpoints:
        _export_checkpoints(args)
    if args.int8:
        from .int8 import quantize_landmarks

        quantize_landmarks(args.out)
    for path in sorted(args.out.iterdir()):
        print(f'{path.name:24} {path.stat().st_size / 1e6:6.2f} MB')
    return 0


def _export_checkpoints(args: argparse.Namespace) -> None:
    paths = args.checkpoints
    model, trained = mean_of([torch.load(path, map_location='cpu', weights_only=True) for path in paths])
    args.out.mkdir(parents=True, exist_ok=True)
    copy_networks(SHIPPED, args.out)
    export_model(model, args.out, trained, args.name, args.version)
