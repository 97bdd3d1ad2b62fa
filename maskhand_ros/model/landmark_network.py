"""The landmark network (landmarks.onnx) as a torch module whose weights can be trained, and back to ONNX.

The module runs the ONNX graph node by node, so that it computes what the file computes, whoever trained it.
BatchNorm is folded into the convolutions already.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from .depthwise import depthwise_conv
from .landmark_heads import FIXED, with_heads

_HEADS = ('Reshape', 'GridSample', 'Concat', 'Mul', 'ReduceSum')
"""Operators that stand in the LANDMARK_HEADS only, as `landmark_heads` writes them."""
_OPERATORS = ('Conv', 'Gemm', 'Clip', 'Add', 'ReduceMean', 'Sigmoid', *_HEADS)
_TRAINED = ('Conv', 'Gemm', 'Mul')
"""Operators whose inputs but the first are weights."""


class LandmarkNetwork(nn.Module):
    """Images (B, 3, 224, 224), RGB 0..1, to the outputs of landmarks.onnx: {name: tensor (B, ...)}.

    `presence` and `handedness` are probabilities; `logits` gives them before the sigmoid as well, under
    `presence_logit` and `handedness_logit`.
    """

    def __init__(self, path: Path) -> None:
        """Takes graph and weights of an ONNX file. ValueError if it has an unknown operator."""
        super().__init__()
        self._read(onnx.load(path), path)

    def _read(self, model: onnx.ModelProto, path: Path) -> None:
        self._model, self._path = model, path
        constants = _constants(self._model.graph)
        self.weights = nn.ParameterDict()
        self._nodes: list[tuple[onnx.NodeProto, dict[str, Any]]] = []
        self._clips: dict[str, tuple[float, float]] = {}
        for node in self._model.graph.node:
            if node.op_type == 'Cast':
                continue
            if node.op_type not in _OPERATORS:
                raise ValueError(f'{path}: operator {node.op_type} is not one of {", ".join(_OPERATORS)}')
            self._nodes.append((node, {a.name: helper.get_attribute_value(a) for a in node.attribute}))
            if node.op_type in _TRAINED:
                for name in node.input[1:]:
                    self.weights[name] = nn.Parameter(torch.from_numpy(constants[name]))
                    self.weights[name].requires_grad_(not name.startswith(FIXED))
            elif node.op_type == 'Clip':
                low, high = (constants[name].item() for name in node.input[1:])
                self._clips[node.output[0]] = low, high

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """All outputs, and the logits of presence and handedness."""
        values = {'image': images}
        for node, attributes in self._nodes:
            values[node.output[0]] = self._node(node, attributes, values)
            if node.op_type == 'Sigmoid':
                values[f'{node.output[0]}_logit'] = values[node.input[0]]
        kept = [output.name for output in self._model.graph.output]
        return {name: values[name] for name in [*kept, 'presence_logit', 'handedness_logit']}

    def _node(self, node: onnx.NodeProto, attributes: dict[str, Any], values: dict[str, Tensor]) -> Tensor:
        value = values[node.input[0]]
        if node.op_type == 'Conv':
            weight, bias = (self.weights[name] for name in node.input[1:])
            return _conv(value, weight, bias, attributes)
        if node.op_type == 'Gemm':
            return F.linear(value, *(self.weights[name] for name in node.input[1:]))
        if node.op_type in _HEADS:
            return self._head_node(node, value, values)
        if node.op_type == 'Clip':
            return F.hardtanh(value, *self._clips[node.output[0]])
        if node.op_type == 'Add':
            return value + values[node.input[1]]
        if node.op_type == 'ReduceMean':
            return value.float().mean((2, 3))
        return value.float().sigmoid()

    def _head_node(self, node: onnx.NodeProto, value: Tensor, values: dict[str, Tensor]) -> Tensor:
        if node.op_type == 'Reshape':
            return value.unflatten(1, (-1, 1, 2))
        if node.op_type == 'GridSample':
            grid = values[node.input[1]].detach().float()  # a head does not move the landmarks
            return F.grid_sample(value.float(), grid, 'bilinear', 'border', align_corners=False)
        if node.op_type == 'Concat':
            return torch.cat([values[name] for name in node.input], 1)
        if node.op_type == 'Mul':
            return value * self.weights[node.input[1]]
        return value.sum((1, 3))

    def add_heads(self) -> None:
        """Add the LANDMARK_HEADS, untrained, to a network that has none."""
        self._read(with_heads(self._model), self._path)

    def save(self, path: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write the graph with the module's weights (or `weights`, by the names of `state_dict`) to an ONNX
        file, each stored with the data type that it has in the file that was read."""
        state = self.state_dict() if weights is None else weights
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        sources = _sources(model.graph)
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        for name in self.weights:
            tensor = tensors[sources.get(name, name)]
            dtype = numpy_helper.to_array(tensor).dtype
            values = state[f'weights.{name}'].detach().float().cpu().numpy().astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        onnx.checker.check_model(model)
        onnx.save(model, path)


def _sources(graph: onnx.GraphProto) -> dict[str, str]:
    """{float32 weight: initializer in half precision that a Cast makes it from}."""
    return {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'Cast'}


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Initializers as float32, also under the names that Casts give them."""
    values = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in graph.initializer}
    return values | {name: values[source] for name, source in _sources(graph).items()}


def _conv(value: Tensor, weight: Tensor, bias: Tensor, attributes: dict[str, Any]) -> Tensor:
    top, left, bottom, right = attributes['pads']
    stride, groups = tuple(attributes['strides']), attributes['group']
    if groups > 1:
        return depthwise_conv(value, weight, bias, stride[0], (left, right, top, bottom))
    if (top, left) == (bottom, right):
        return F.conv2d(value, weight, bias, stride, (top, left))
    return F.conv2d(F.pad(value, (left, right, top, bottom)), weight, bias, stride)
