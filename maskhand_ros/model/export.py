"""A trained MaskHand to what the robot runs: three ONNX networks, the codebook, and model.json over all
weights."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..perception.weights import INDEX, SHIPPED, loadable_files
from .config import MaskHandConfig
from .context import Context
from .maskhand import MaskHand
from .quantizers import joint_logits

OPSET = 17
VERSION = '0.3.2'


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

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.tokenizer.decode(embeddings)


def store_half(graph_model: onnx.ModelProto) -> None:
    """Keep the large float32 weights of an ONNX model in half precision, each with a Cast back; computing
    stays float32."""
    graph = graph_model.graph
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 256:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f'{name}_half'))
        casts.append(
            helper.make_node('Cast', [f'{name}_half'], [name], to=TensorProto.FLOAT, name=f'{name}_cast')
        )
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], path: Path
) -> None:
    axes = {name: {0: 'N'} for name in names + outputs}
    # In a folder of its own: over 2 GB, torch writes every weight beside the graph into a file of its own.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings():
        # The exporter by tracing needs no further package and gives the operator set asked for.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            module.eval(),
            inputs,
            f'{folder}/{path.name}',
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(f'{folder}/{path.name}')
    store_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export_model(model: MaskHand, folder: Path, training: dict) -> None:
    """Write context, synthesizer and tokenizer .onnx, codebook.npz and model.json into `folder`.

    model.json lists the SHA-256 of every .onnx and .npz file there; `training` (plain values) is kept in it.
    """
    config = model.config
    if config.head != 'tokens':
        raise ValueError(f"a model with the head '{config.head}' is for ablations: only tokens are exported")
    folder.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    shape = config.tokenizer
    count = 2
    cues = {name: torch.rand(count, *size) for name, size in model.input_shapes.items()}
    context = model.context(cues)
    context = [part.detach() for part in (*context[:-1], *context.maps)]
    levels = len(context) - len(Context._fields) + 1
    names = [*Context._fields[:-1], *(f'map{level}' for level in range(levels))]
    quantizer = model.tokenizer.quantizer
    codes = torch.zeros(count, shape.tokens, quantizer.dimensions)
    mask = torch.ones(count, shape.tokens, dtype=torch.bool)
    _export(_ContextGraph(model), tuple(cues.values()), list(cues), names, folder / 'context.onnx')
    _export(
        _SynthesizerGraph(model),
        (codes, mask, *context),
        ['token_embeddings', 'mask', *names],
        [
            'logits',
            *(['global_orient'] * model.regresses_hand),
            'betas',
            'camera',
            'log_variance',
            *(['orient_log_variance'] * model.regresses_hand),
        ],
        folder / 'synthesizer.onnx',
    )
    _export(_TokenizerGraph(model), (codes,), ['embeddings'], ['hand_pose'], folder / 'tokenizer.onnx')
    np.savez(folder / 'codebook.npz', codebook=quantizer.codebook.numpy())
    write_description(
        folder,
        {
            'name': f'maskhand-{config.name}',
            'version': VERSION,
            'keypoint_set': 'mano',
            'tokens': shape.tokens,
            'codebook_size': len(quantizer.codebook),
            'iterations': 1,
            'config': config.to_dict(),
            'training': training,
        },
    )


def add_shipped_networks(folder: Path) -> None:
    """Copy what finds hands and their landmarks into `folder`: a folder of models is whole."""
    if not folder.samefile(SHIPPED):
        for name in ('palm_detector.onnx', 'landmarks.onnx'):
            shutil.copyfile(SHIPPED / name, folder / name)


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
        nargs='+',
        metavar='CHECKPOINT',
        help='checkpoint.pt of `maskhand train model`; of several of one run, the mean of their weights',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=SHIPPED,
        help='folder for the exported files (default: the weights of this package)',
    )


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
    """Export the averaged (EMA) weights of checkpoints."""
    paths = args.checkpoints
    model, trained = mean_of([torch.load(path, map_location='cpu', weights_only=True) for path in paths])
    args.out.mkdir(parents=True, exist_ok=True)
    add_shipped_networks(args.out)
    export_model(model, args.out, trained)
    for path in sorted(args.out.iterdir()):
        print(f'{path.name:24} {path.stat().st_size / 1e6:6.2f} MB')
    return 0
