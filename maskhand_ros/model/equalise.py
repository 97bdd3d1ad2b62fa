"""Channels of a convolutional network brought to like ranges, before its activations are quantised with one
scale each (cross-layer equalisation, Nagel et al. 2019, https://arxiv.org/abs/1906.04721).

A factor for each channel of an activation goes into the weights that make it, and its inverse into those that
read it: the network stays the same, but for its rounding.

- Sums of residual blocks, and what is added to them: each channel is brought halfway (in logarithms) to the
  largest one. All the way, the weights that read them would differ too much in turn.
- Activations cut at 6 that a convolution by channel (depthwise) reads: a channel that stays below 6 is
  enlarged until it nearly reaches it. The weights on both sides have a scale for each channel, so this costs
  nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

_CUT = 6.0
"""Upper limit of the activations."""
_MARGIN = 1.05
"""Room between the largest value seen in a channel and _CUT."""
_MOST = 32.0
"""Largest factor: a channel that is nearly empty on the crops seen may hold more on others."""


def equalised(model: onnx.ModelProto, inputs: Iterable[dict[str, np.ndarray]]) -> onnx.ModelProto:
    """A copy of `model`, whose weights are float32 initializers, with like ranges of the channels on
    `inputs`. Outputs keep their names and units."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    sums, cut = _sums(model), _read_by_channel(model)
    most = _largest(model, [name for group in sums for name in group] + cut, inputs)
    factors: dict[str, np.ndarray] = {}
    for group in sums:
        ranges = np.max([most[name] for name in group], axis=0)
        factors |= dict.fromkeys(group, np.sqrt(np.clip(ranges.max() / ranges, 1, _MOST)))
    for name in cut:
        factors[name] = np.clip(_CUT / (_MARGIN * most[name]), 1, _MOST)
    _scale_weights(model, factors)
    _restore_outputs(model, factors)
    del model.graph.value_info[:]  # names have changed
    return onnx.shape_inference.infer_shapes(model)


def _readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _sums(model: onnx.ModelProto) -> list[list[str]]:
    """Groups of activations that convolutions give without a cut and that are added to each other: they have
    one factor. None that anything but a convolution or an addition reads, unless it is an output of the model
    (`_restore_outputs`), or that is added to something else."""
    readers, groups, left_out = _readers(model), [], set[str]()
    outputs = {output.name for output in model.graph.output}
    for node in model.graph.node:
        name = node.output[0]
        if node.op_type == 'Conv':
            groups.append([name])
        elif node.op_type == 'Add':
            joined = [group for group in groups if not set(group).isdisjoint(node.input)]
            groups = [group for group in groups if group not in joined]
            members = [*(each for group in joined for each in group), name]
            groups.append(members)
            left_out |= set(node.input) - set(members)
            if left_out & set(node.input):
                left_out.add(name)
        if name not in outputs and any(each.op_type not in ('Conv', 'Add') for each in readers.get(name, [])):
            left_out.add(name)
    return [group for group in groups if left_out.isdisjoint(group)]


def _read_by_channel(model: onnx.ModelProto) -> list[str]:
    """Activations cut at _CUT that depthwise convolutions read, and nothing else."""
    readers = _readers(model)
    names = [node.output[0] for node in model.graph.node if node.op_type == 'Clip']
    return [
        name
        for name in names
        if readers.get(name) and all(_is_by_channel(reader) for reader in readers[name])
    ]


def _is_by_channel(node: onnx.NodeProto) -> bool:
    return node.op_type == 'Conv' and any(each.name == 'group' and each.i > 1 for each in node.attribute)


def _largest(
    model: onnx.ModelProto, names: Sequence[str], inputs: Iterable[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """{name: (C,)} largest absolute value in each channel of activations (N, C, H, W) on `inputs`."""
    watched = onnx.ModelProto.FromString(model.SerializeToString())
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=['CPUExecutionProvider'])
    most: dict[str, np.ndarray] = {}
    for each in inputs:
        for name, values in zip(names, session.run(None, each), strict=True):
            most[name] = np.maximum(most.get(name, 1e-3), np.abs(values).max((0, 2, 3)))
    return most


def _scale_weights(model: onnx.ModelProto, factors: dict[str, np.ndarray]) -> None:
    """Put the `factors` {activation: (C,)} into the convolutions on both sides."""
    stored, readers = {weight.name: weight for weight in model.graph.initializer}, _readers(model)
    for node in model.graph.node:
        if node.op_type != 'Conv':
            continue
        weights, bias = (numpy_helper.to_array(stored[name]) for name in node.input[1:3])
        if node.input[0] in factors:
            inverse = 1 / factors[node.input[0]]
            weights = weights * (inverse[:, None] if _is_by_channel(node) else inverse)[..., None, None]
        made = [node.output[0], *(each.output[0] for each in readers.get(node.output[0], []))]
        name = next((each for each in made if each in factors), None)
        if name is not None and (name == made[0] or readers[made[0]][0].op_type == 'Clip'):
            weights, bias = weights * factors[name][:, None, None, None], bias * factors[name]
        for name, values in zip(node.input[1:3], (weights, bias), strict=True):
            stored[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))


def _restore_outputs(model: onnx.ModelProto, factors: dict[str, np.ndarray]) -> None:
    """Divide the outputs of the model by their `factors`, also for what else reads them."""
    graph = model.graph
    for output in [each.name for each in graph.output if each.name in factors]:
        scaled, unit = f'{output}_scaled', f'{output}_unit'
        place = next(k for k, node in enumerate(graph.node) if output in node.output)
        graph.node[place].output[:] = [scaled]
        for node in graph.node:
            if node.op_type in ('Conv', 'Add'):
                node.input[:] = [scaled if name == output else name for name in node.input]
        inverse = (1 / factors[output]).astype(np.float32)[:, None, None]
        graph.initializer.append(numpy_helper.from_array(inverse, unit))
        restored = helper.make_node('Mul', [scaled, unit], [output], name=f'{output}_restored')
        graph.node.insert(place + 1, restored)
