"""The landmark network with 8-bit integers: `maskhand export --int8`.

Static quantisation of convolutions by ONNX Runtime's tools (QuantizeLinear and DequantizeLinear nodes):
unsigned activations, whose ranges are those on rendered crops, after their channels were brought to like
ranges (equalise.py); signed weights with a scale for each channel. The finest maps, the sums of residual
blocks and what follows the last map stay in floating point (`quantized_nodes`).

ONNX Runtime has fast and exact kernels for these types on x86 with VNNI and on ARM with dot products or i8mm.
On x86 without VNNI sums of 16 bits overflow: the run time takes the other file (`weights.landmarks_file`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ..data_engine.image_shards import rendered_samples
from ..data_engine.samples import SampleMaker
from ..data_engine.scenes import HAND_KINDS
from ..geometry import CROP_SIZE
from ..hand_model.numpy_hand import HandModel
from ..network_contract import INT8_SOURCE, LANDMARKS, LANDMARKS_INT8, MAPS, check_network
from ..perception.weights import INDEX, find_weights
from .equalise import equalised
from .export import write_description
from .onnx_file import tensors_of

CROPS = 240
"""Rendered crops from which the ranges of the activations are taken."""

_SHARES = {**dict.fromkeys(HAND_KINDS, 1 / 8), 'no_hand': 1 / 8}
"""Kinds of rendered scenes and their shares."""

_FINEST_MAP = CROP_SIZE // 4
"""Edge of the finest maps that are quantised, px. Above, in the first four convolutions, few channels of very
different range share one scale: they make nine tenths of the error and are not faster in integers. The next
one makes the largest error of those that are left, and stays as well."""

_OPERATORS = ('Conv', 'Clip', 'Relu')
"""Without Add: a sum in floating point costs less than its conversions, and errors do not add up in it."""


def quantize_landmarks(folder: Path, seed: int = 0) -> None:
    """Write landmarks_int8.onnx, made of landmarks.onnx, into a weights `folder`, and list the files of the
    folder, as they are, in model.json.

    It depends on landmarks.onnx, `seed` (of the rendered crops) and the versions of the renderer and of ONNX
    Runtime. ModelError if the folder has no model.json, OSError if it has no landmarks.onnx, ContractError if
    the result does not fit network_contract.
    """
    description = json.loads((find_weights(folder) / INDEX).read_text())
    source = folder / LANDMARKS
    model = quantized(onnx.load(source), list(calibration_crops(CROPS, seed)))
    onnx.helper.set_model_props(model, {INT8_SOURCE: sha256(source.read_bytes()).hexdigest()})
    onnx.checker.check_model(model)
    check_network(LANDMARKS_INT8, tensors_of(model.graph.input), tensors_of(model.graph.output), {})
    onnx.save(model, folder / LANDMARKS_INT8)
    write_description(folder, description)


def calibration_crops(count: int, seed: int) -> Iterator[np.ndarray]:
    """Yields `count` rendered crops (224, 224, 3) uint8 RGB, of scenes of each kind and of some without a
    hand."""
    maker, rng = SampleMaker(HandModel.load()), np.random.default_rng(seed)
    for crop, _ in rendered_samples(maker, rng, count, _SHARES):
        yield crop


def quantized(model: onnx.ModelProto, crops: Sequence[np.ndarray]) -> onnx.ModelProto:
    """The landmark network `model` with its `quantized_nodes` in integers, ranges from `crops` (224, 224, 3)
    uint8 RGB."""
    _unpack_weights(model)
    for node in model.graph.node:
        node.name = node.name or node.output[0]
    model = equalised(model, map(_as_input, crops))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / LANDMARKS_INT8
        quantize_static(
            model,
            path,
            _Crops(crops),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=[node.name for node in quantized_nodes(model)],
            op_types_to_quantize=list(_OPERATORS),
        )
        return onnx.load(path)


def quantized_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Convolutions and activations that lead to a feature map and touch no map finer than _FINEST_MAP,
    without the first of these convolutions. `model` has shapes (onnx.shape_inference)."""
    graph = model.graph
    size = {
        value.name: max((dim.dim_value for dim in value.type.tensor_type.shape.dim[2:]), default=0)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    needed, chosen = set(MAPS), []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        needed.update(node.input)
        touched = max(size.get(name, 0) for name in (*node.input[:1], *node.output))
        if node.op_type in _OPERATORS and touched <= _FINEST_MAP:
            chosen.append(node)
    chosen.reverse()
    first = next(k for k, node in enumerate(chosen) if node.op_type == 'Conv')
    return chosen[first + 1 :]


def _unpack_weights(model: onnx.ModelProto) -> None:
    """Replace the weights in half precision, and their Cast, by weights in single precision."""
    graph = model.graph
    stored = {weight.name: weight for weight in graph.initializer}
    for cast in [node for node in graph.node if node.op_type == 'Cast' and node.input[0] in stored]:
        weight = stored[cast.input[0]]
        values = numpy_helper.to_array(weight).astype(np.float32)
        weight.CopyFrom(numpy_helper.from_array(values, cast.output[0]))
        graph.node.remove(cast)


def _as_input(crop: np.ndarray) -> dict[str, np.ndarray]:
    """A crop (224, 224, 3) uint8 RGB as {image: (1, 3, 224, 224) float32}."""
    return {'image': cv2.dnn.blobFromImage(crop, 1 / 255)}


class _Crops(CalibrationDataReader):
    """Crops as inputs of the landmark network, one at a time."""

    def __init__(self, crops: Sequence[np.ndarray]) -> None:
        self._inputs = map(_as_input, crops)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input {image: (1, 3, 224, 224) float32}; None after the last."""
        return next(self._inputs, None)
