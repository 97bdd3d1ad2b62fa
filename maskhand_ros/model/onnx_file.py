"""A torch module as an ONNX file: operator set 17, any number of hands, large weights in half precision. Each
initializer has the name of its parameter, so that the weights can be read back into the module."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..network_contract import TensorSpec, check_network

OPSET = 17
_HALF = '_half'
"""What the name of a weight in half precision ends with."""
_DTYPES: dict[int, str] = {TensorProto.FLOAT: 'float32', TensorProto.BOOL: 'bool'}


def write_onnx(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str], path: Path
) -> None:
    """Write `module`, which returns a tuple of tensors (N, ...), as the ONNX file `path`.

    `names` are those of its `inputs`. ContractError if it does not fit the contract of that file
    (network_contract.NETWORKS).
    """
    axes = {name: {0: 'N'} for name in (*names, *outputs)}
    # In a folder of its own: over 2 GB, torch writes every weight beside the graph into a file of its own.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings():
        # The exporter by tracing needs no further package and gives the operator set asked for.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            module.eval(),
            inputs,
            f'{folder}/{path.name}',
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            # Folding would store transposed weights under new names, and without their being inputs, equal
            # ones under one name. ONNX Runtime folds when it loads: time and results are the same.
            do_constant_folding=False,
            keep_initializers_as_inputs=True,
        )
        model = onnx.load(f'{folder}/{path.name}')
    for value in [value for value in model.graph.input if value.name not in names]:
        model.graph.input.remove(value)
    with torch.no_grad():
        declare_shapes(model, [tuple(output.shape) for output in module(*inputs)])
    store_half(model)
    onnx.checker.check_model(model)
    check_network(path.name, tensors_of(model.graph.input), tensors_of(model.graph.output), {})
    onnx.save(model, path)


def store_half(graph_model: onnx.ModelProto) -> None:
    """Keep the large float32 weights of an ONNX model in half precision, each with a Cast back; computing
    stays float32. Logits stay as they are: half precision would change their exponentials by 0.2 %."""
    graph = graph_model.graph
    logits = {node.input[0] for node in graph.node if node.op_type == 'Softmax'}
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 256 or weight.name in logits:
            continue
        name, half = weight.name, weight.name + _HALF
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node('Cast', [half], [name], to=TensorProto.FLOAT, name=f'{name}_cast'))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The float32 weights of a file of `write_onnx`, by the names that they have in its module."""
    return {
        weight.name.removesuffix(_HALF): torch.from_numpy(numpy_helper.to_array(weight).astype(np.float32))
        for weight in onnx.load(path).graph.initializer
    }


def declare_shapes(model: onnx.ModelProto, shapes: Sequence[tuple[int, ...]]) -> None:
    """Set all dimensions of the outputs but the first, N: the exporter leaves some without a number."""
    for output, shape in zip(model.graph.output, shapes, strict=True):
        dims = output.type.tensor_type.shape.dim
        for dim, size in zip(dims[1:], shape[1:], strict=True):
            dim.dim_value = size


def tensors_of(values: Sequence[onnx.ValueInfoProto]) -> list[TensorSpec]:
    """Inputs or outputs of an ONNX graph."""
    return [
        TensorSpec(
            value.name,
            tuple(
                dim.dim_value if dim.HasField('dim_value') else dim.dim_param
                for dim in value.type.tensor_type.shape.dim
            ),
            _DTYPES.get(value.type.tensor_type.elem_type, 'other'),
        )
        for value in values
    ]
