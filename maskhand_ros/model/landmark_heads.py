"""The LANDMARK_HEADS as nodes of the landmark network's ONNX graph: visibility and variance of each landmark.

A head is linear in the global feature, and in the three feature maps at the landmark (bilinear samples): a
landmark is hidden or not by what the image shows in its place. Nothing else in the graph changes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..geometry import CROP_SIZE
from ..network_contract import CUES, LANDMARK_HEADS, MAPS

FIXED = 'grid_'
"""Prefix of the constants that turn landmarks into coordinates of GridSample; they are not trained."""
_POINTS = 21
_OPSET = 16
"""The first version with GridSample. The other operators of the network mean the same in it as in 13."""
_START = {'visibility': 0.0, 'landmark_log_variance': -6.0}
"""What an untrained head says; a log variance of -6 is 11 px."""


def with_heads(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with the LANDMARK_HEADS; `model` itself if it has them."""
    if set(LANDMARK_HEADS) <= {output.name for output in model.graph.output}:
        return model
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    (opset,) = found.opset_import
    opset.version = max(opset.version, _OPSET)
    _add_samples(graph)
    for name in LANDMARK_HEADS:
        _add_head(graph, name)
    return found


def _add_samples(graph: onnx.GraphProto) -> None:
    """Nodes that give `samples` (N, channels of the MAPS, 21, 1)."""
    pick = np.zeros((2 * _POINTS, 3 * _POINTS), np.float32)
    for axis in (0, 1):  # x and y of (x, y, z); -1 and 1 are the outer borders of the outer pixels
        pick[np.arange(axis, 2 * _POINTS, 2), np.arange(axis, 3 * _POINTS, 3)] = 2 / CROP_SIZE
    centre = np.full(2 * _POINTS, 1 / CROP_SIZE - 1, np.float32)
    shape = np.array([-1, _POINTS, 1, 2])
    for name, values in ((f'{FIXED}scale', pick), (f'{FIXED}centre', centre), (f'{FIXED}shape', shape)):
        graph.initializer.append(numpy_helper.from_array(values, name))
    nodes = [
        helper.make_node('Gemm', ['landmarks', f'{FIXED}scale', f'{FIXED}centre'], ['grid_flat'], transB=1),
        helper.make_node('Reshape', ['grid_flat', f'{FIXED}shape'], ['grid']),
        *(
            helper.make_node('GridSample', [name, 'grid'], [f'sample_{name}'], padding_mode='border')
            for name in MAPS
        ),
        helper.make_node('Concat', [f'sample_{name}' for name in MAPS], ['samples'], axis=1),
    ]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(np.array([1, 3]), f'{FIXED}axes'))


def _add_head(graph: onnx.GraphProto, name: str) -> None:
    channels = sum(CUES[each][0] for each in MAPS)
    (width,) = CUES['global_feature']
    weights = {
        f'weight_{name}': np.zeros((_POINTS, width)),
        f'bias_{name}': np.full(_POINTS, _START[name]),
        f'local_{name}': np.zeros((channels, _POINTS, 1)),
    }
    for tensor, values in weights.items():
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f'{tensor}_half'))
        graph.node.append(helper.make_node('Cast', [f'{tensor}_half'], [tensor], to=TensorProto.FLOAT))
    weight, bias, local = weights
    graph.node.extend(
        [
            helper.make_node('Gemm', ['global_feature', weight, bias], [f'whole_{name}'], transB=1),
            helper.make_node('Mul', ['samples', local], [f'parts_{name}']),
            helper.make_node('ReduceSum', [f'parts_{name}', f'{FIXED}axes'], [f'part_{name}'], keepdims=0),
            helper.make_node('Add', [f'whole_{name}', f'part_{name}'], [name]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ('N', _POINTS)))
