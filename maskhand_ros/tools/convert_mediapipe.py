"""MediaPipe's hand networks (Apache-2.0) from TFLite to ONNX: palm detector and hand landmark net.

The .tflite files come from the wheel that `pip download mediapipe==0.10.14 --no-deps` fetches; later wheels
hold none. TFLite computes channels-last, ONNX channels-first: every four-dimensional tensor is transposed
once, here, in its constants and shapes, and never at run time except before a Reshape. Weights stay half
precision as they are in the file, each with a Cast to float32 that ONNX Runtime folds when it loads.

    python -m maskhand_ros.tools.convert_mediapipe mediapipe-0.10.14-….whl [--out maskhand_ros/weights]
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

PALM_FILE = 'mediapipe/modules/palm_detection/palm_detection_full.tflite'
LANDMARK_FILE = 'mediapipe/modules/hand_landmark/hand_landmark_full.tflite'

PALM_OUTPUTS = ('boxes', 'scores')
LANDMARK_OUTPUTS = ('landmarks', 'presence', 'handedness', 'world_landmarks')

LANDMARK_FEATURES = {
    160: ('global_feature', (1152,)),
    131: ('map_131', (80, 14, 14)),
    142: ('map_142', (112, 14, 14)),
    157: ('map_157', (192, 7, 7)),
}
"""Tensor index in the 0.10.14 file: name and shape (C, H, W) of the inner tensors that the pose model looks
at."""

_DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
}
_OPERATORS = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_TO_CHANNELS_LAST = (0, 2, 3, 1)


class TfliteToOnnx:
    """Rewrites one TFLite graph as ONNX. One method per operator; an operator without a method is an
    error."""

    def __init__(
        self,
        data: bytes,
        input_name: str,
        output_names: Sequence[str],
        features: dict[int, tuple[str, tuple[int, ...]]] | None = None,
    ) -> None:
        """`data` is a .tflite file's bytes; `features` {tensor index: (name, shape)} become further
        outputs."""
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._constants: dict[int, np.ndarray] = {}
        self._names = {self._graph.Inputs(0): input_name}
        self._names.update({self._graph.Outputs(k): name for k, name in enumerate(output_names)})
        if self._graph.OutputsLength() != len(output_names):
            raise ValueError(
                f'expected {len(output_names)} outputs {output_names}, '
                f'the file has {self._graph.OutputsLength()}: is it from mediapipe==0.10.14?'
            )
        for index, (name, shape) in (features or {}).items():
            if self._onnx_shape(index)[1:] != shape:
                raise ValueError(
                    f'inner tensor {index} ({name}) has shape {self._onnx_shape(index)[1:]}, '
                    f'not {shape}: is the file from mediapipe==0.10.14?'
                )
            self._names[index] = name
        self._input_name, self._output_indices = input_name, list(self._names)[1:]

    def convert(self) -> onnx.ModelProto:
        """The checked onnx.ModelProto; its batch size is free."""
        for index in range(self._graph.TensorsLength()):
            data = self._model.Buffers(self._graph.Tensors(index).Buffer()).DataAsNumpy()
            if not isinstance(data, int) and data.size:
                dtype = _DTYPES[self._graph.Tensors(index).Type()]
                self._constants[index] = np.frombuffer(data.tobytes(), dtype).reshape(self._shape(index))
        for k in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(k)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            name = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            method = getattr(self, '_' + name.lower(), None)
            if method is None:
                raise NotImplementedError(f'operator {name} of the TFLite file has no ONNX counterpart here')
            inputs, outputs = operator.InputsAsNumpy().tolist(), operator.OutputsAsNumpy().tolist()
            method(inputs, outputs[0], operator.BuiltinOptions())
        graph = helper.make_graph(
            self._nodes,
            'mediapipe',
            [self._value_info(self._graph.Inputs(0))],
            [self._value_info(index) for index in self._output_indices],
            list(self._initializers.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid('', 13)], producer_name='maskhand_ros'
        )
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return model

    # Names, shapes, constants

    def _shape(self, index: int) -> tuple[int, ...]:
        tensor = self._graph.Tensors(index)
        return tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()

    def _onnx_shape(self, index: int) -> tuple[int, ...]:
        shape = self._shape(index)
        if len(shape) != 4:
            return shape
        # A map of one pixel is the output of a mean, which keeps no map here.
        return (
            (shape[0], shape[3])
            if shape[1:3] == (1, 1)
            else tuple(shape[axis] for axis in _TO_CHANNELS_FIRST)
        )

    def _name(self, index: int) -> str:
        return self._names.get(index, f'tensor_{index}')

    def _value_info(self, index: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(
            self._name(index), TensorProto.FLOAT, ['N', *self._onnx_shape(index)[1:]]
        )

    def _initializer(self, name: str, array: np.ndarray) -> str:
        self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _weight(self, name: str, array: np.ndarray) -> str:
        """A weight in half precision and its Cast; the values come from half precision, so nothing is
        lost."""
        self._node(
            'Cast', [self._initializer(name + '_half', array.astype(np.float16))], name, to=TensorProto.FLOAT
        )
        return name

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _options(self, kind: type, table: Any) -> Any:
        options = kind()
        options.Init(table.Bytes, table.Pos)
        return options

    def _activated(
        self, kind: str, inputs: Sequence[str], output: int, activation: int, **attributes: Any
    ) -> None:
        """One node and, after it, the activation that TFLite has fused into the operator."""
        name = self._name(output)
        if activation == tflite.ActivationFunctionType.NONE:
            return self._node(kind, inputs, name, **attributes)
        self._node(kind, inputs, name + '_linear', **attributes)
        if activation == tflite.ActivationFunctionType.RELU:
            return self._node('Relu', [name + '_linear'], name)
        if activation == tflite.ActivationFunctionType.RELU6:
            bounds = [self._initializer('zero', np.float32(0)), self._initializer('six', np.float32(6))]
            return self._node('Clip', [name + '_linear', *bounds], name)
        raise NotImplementedError(f'activation {activation} of the TFLite file')

    # Operators

    def _dequantize(self, inputs: list[int], output: int, _: Any) -> None:
        self._constants[output] = self._constants[inputs[0]].astype(np.float32)

    def _convolution(
        self, inputs: list[int], output: int, options: Any, weight: np.ndarray, groups: int
    ) -> None:
        kernel = weight.shape[2:]
        stride = (options.StrideH(), options.StrideW())
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for axis, size in enumerate(self._shape(inputs[0])[1:3]):
                # TFLite puts the odd pixel of padding after the image.
                total = max((-(-size // stride[axis]) - 1) * stride[axis] + kernel[axis] - size, 0)
                pads[axis], pads[axis + 2] = total // 2, total - total // 2
        names = [
            self._name(inputs[0]),
            self._weight(f'weight_{output}', weight),
            self._weight(f'bias_{output}', self._constants[inputs[2]]),
        ]
        self._activated(
            'Conv',
            names,
            output,
            options.FusedActivationFunction(),
            strides=stride,
            pads=pads,
            group=groups,
            kernel_shape=kernel,
        )

    def _conv_2d(self, inputs: list[int], output: int, table: Any) -> None:
        weight = self._constants[inputs[1]].transpose(_TO_CHANNELS_FIRST)
        self._convolution(inputs, output, self._options(tflite.Conv2DOptions, table), weight, 1)

    def _depthwise_conv_2d(self, inputs: list[int], output: int, table: Any) -> None:
        weight = self._constants[inputs[1]].transpose(3, 0, 1, 2)
        self._convolution(
            inputs, output, self._options(tflite.DepthwiseConv2DOptions, table), weight, len(weight)
        )

    def _add(self, inputs: list[int], output: int, table: Any) -> None:
        activation = self._options(tflite.AddOptions, table).FusedActivationFunction()
        self._activated('Add', [self._name(index) for index in inputs], output, activation)

    def _mean(self, inputs: list[int], output: int, _: Any) -> None:
        if sorted(self._constants[inputs[1]].ravel().tolist()) != [1, 2]:
            raise NotImplementedError('a mean over other axes than height and width')
        self._node('ReduceMean', [self._name(inputs[0])], self._name(output), axes=[2, 3], keepdims=0)

    def _fully_connected(self, inputs: list[int], output: int, table: Any) -> None:
        activation = self._options(tflite.FullyConnectedOptions, table).FusedActivationFunction()
        names = [
            self._name(inputs[0]),
            self._weight(f'weight_{output}', self._constants[inputs[1]]),
            self._weight(f'bias_{output}', self._constants[inputs[2]]),
        ]
        self._activated('Gemm', names, output, activation, transB=1)

    def _logistic(self, inputs: list[int], output: int, _: Any) -> None:
        self._node('Sigmoid', [self._name(inputs[0])], self._name(output))

    def _prelu(self, inputs: list[int], output: int, _: Any) -> None:
        """slope * x + (1 - slope) * relu(x), as depthwise convolutions of one pixel: ONNX Runtime has no
        fast PRelu on the CPU. With it the palm detector takes 1.8 times as long."""
        name, x = self._name(output), self._name(inputs[0])
        slope = self._weight(f'slope_{output}', self._constants[inputs[1]].reshape(-1, 1, 1, 1))
        one = self._initializer('one', np.float32(1))
        self._node('Sub', [one, slope], f'rest_{output}')
        self._node('Relu', [x], name + '_positive')
        groups = self._constants[inputs[1]].size
        for part, weight in ((x, slope), (name + '_positive', f'rest_{output}')):
            self._node('Conv', [part, weight], f'{part}_{weight}', group=groups, kernel_shape=(1, 1))
        self._node('Add', [f'{x}_{slope}', f'{name}_positive_rest_{output}'], name)

    def _max_pool_2d(self, inputs: list[int], output: int, table: Any) -> None:
        options = self._options(tflite.Pool2DOptions, table)
        self._node(
            'MaxPool',
            [self._name(inputs[0])],
            self._name(output),
            kernel_shape=[options.FilterHeight(), options.FilterWidth()],
            strides=[options.StrideH(), options.StrideW()],
        )

    def _pad(self, inputs: list[int], output: int, _: Any) -> None:
        amounts = self._constants[inputs[1]][list(_TO_CHANNELS_FIRST)]
        name = self._initializer(
            f'pad_{output}', np.concatenate([amounts[:, 0], amounts[:, 1]]).astype(np.int64)
        )
        self._node('Pad', [self._name(inputs[0]), name], self._name(output))

    def _resize_bilinear(self, inputs: list[int], output: int, table: Any) -> None:
        options = self._options(tflite.ResizeBilinearOptions, table)
        mode = (
            'align_corners'
            if options.AlignCorners()
            else 'half_pixel'
            if options.HalfPixelCenters()
            else 'asymmetric'
        )
        before, after = self._shape(inputs[0]), self._shape(output)
        scales = np.array([1, 1, after[1] / before[1], after[2] / before[2]], np.float32)
        self._node(
            'Resize',
            [self._name(inputs[0]), '', self._initializer(f'scales_{output}', scales)],
            self._name(output),
            mode='linear',
            coordinate_transformation_mode=mode,
        )

    def _reshape(self, inputs: list[int], output: int, _: Any) -> None:
        name = self._name(output)
        self._node('Transpose', [self._name(inputs[0])], name + '_last', perm=_TO_CHANNELS_LAST)
        # 0 keeps the batch, -1 takes what is left.
        shape = np.array([0, -1, *self._shape(output)[2:]], np.int64)
        self._node('Reshape', [name + '_last', self._initializer(f'shape_{output}', shape)], name)

    def _concatenation(self, inputs: list[int], output: int, table: Any) -> None:
        axis = self._options(tflite.ConcatenationOptions, table).Axis()
        self._node('Concat', [self._name(index) for index in inputs], self._name(output), axis=axis)


def convert(wheel: Path, out_dir: Path) -> None:
    """Writes `palm_detector.onnx` and `landmarks.onnx` into `out_dir` from the path of the mediapipe 0.10.14
    wheel.

    palm_detector: image (N, 3, 192, 192) RGB 0..1 -> boxes (N, 2016, 18), scores (N, 2016, 1) before the
    sigmoid. landmarks: image (N, 3, 224, 224) RGB 0..1 -> landmarks (N, 63) px, presence (N, 1), handedness
    (N, 1), world_landmarks (N, 63) m, global_feature (N, 1152), map_131 (N, 80, 14, 14), map_142 (N, 112, 14,
    14), map_157 (N, 192, 7, 7).
    """
    with zipfile.ZipFile(wheel) as archive:
        missing = {PALM_FILE, LANDMARK_FILE} - set(archive.namelist())
        if missing:
            raise ValueError(
                f'{wheel} does not hold {sorted(missing)}; '
                'get the right wheel with: pip download mediapipe==0.10.14 --no-deps'
            )
        palm, landmark = archive.read(PALM_FILE), archive.read(LANDMARK_FILE)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, data, outputs, features in (
        ('palm_detector', palm, PALM_OUTPUTS, None),
        ('landmarks', landmark, LANDMARK_OUTPUTS, LANDMARK_FEATURES),
    ):
        onnx.save(TfliteToOnnx(data, 'image', outputs, features).convert(), out_dir / f'{name}.onnx')


def main() -> None:
    """The command line in the module's docstring."""
    parser = argparse.ArgumentParser(
        description='Convert the hand networks of a mediapipe 0.10.14 wheel to ONNX.'
    )
    parser.add_argument('wheel', type=Path, help='from: pip download mediapipe==0.10.14 --no-deps')
    parser.add_argument('--out', type=Path, default=Path(__file__).resolve().parents[1] / 'weights')
    arguments = parser.parse_args()
    convert(arguments.wheel, arguments.out)
    print(f'wrote palm_detector.onnx and landmarks.onnx to {arguments.out}')


if __name__ == '__main__':
    main()
