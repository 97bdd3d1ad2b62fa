"""The landmark network as a torch module: it computes what its ONNX file computes, and goes back to one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from maskhand_ros.model.depthwise import depthwise_conv
from maskhand_ros.model.landmark_network import LandmarkNetwork
from maskhand_ros.network_contract import LANDMARK_HEADS
from maskhand_ros.perception.weights import SHIPPED

FILE = SHIPPED / 'landmarks.onnx'


def by_onnx_runtime(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {'image': images}), strict=True))


@pytest.fixture(scope='module')
def images() -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, 224, 224), np.float32)


def test_the_module_computes_what_the_file_computes(images: np.ndarray) -> None:
    network = LandmarkNetwork(FILE)
    with torch.no_grad():
        found = network(torch.from_numpy(images))
    for name, expected in by_onnx_runtime(FILE, images).items():
        bound = 1e-4 * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=0, atol=bound, err_msg=name)


def headless(folder: Path) -> Path:
    """The shipped network without the LANDMARK_HEADS."""
    model, path = onnx.load(FILE), folder / 'headless.onnx'
    kept = [output for output in model.graph.output if output.name not in LANDMARK_HEADS]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    needed, nodes = {output.name for output in kept}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.insert(0, node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    weights = [weight for weight in model.graph.initializer if weight.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    onnx.save(model, path)
    return path


def test_changed_weights_and_new_heads_reach_the_saved_file(images: np.ndarray, tmp_path: Path) -> None:
    network = LandmarkNetwork(headless(tmp_path))
    network.add_heads()
    with torch.no_grad():
        for value in network.weights.values():  # exact in half precision, in which the file stores them
            value.copy_((value * 1.01).half().float())
        network.weights['bias_visibility'].fill_(0.5)
        expected = network(torch.from_numpy(images))
    network.save(tmp_path / 'saved.onnx')
    found = by_onnx_runtime(tmp_path / 'saved.onnx', images)
    assert set(LANDMARK_HEADS) < set(found)
    for name, values in found.items():
        bound = 1e-4 * max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(expected[name].numpy(), values, rtol=0, atol=bound, err_msg=name)
    assert np.abs(found['landmarks'] - by_onnx_runtime(FILE, images)['landmarks']).max() > 1
    assert LandmarkNetwork(tmp_path / 'saved.onnx')(torch.from_numpy(images)).keys() > set(LANDMARK_HEADS)


def test_a_head_reads_the_maps_at_its_landmark(tmp_path: Path) -> None:
    network = LandmarkNetwork(headless(tmp_path))
    network.add_heads()
    x, y = 60.0, 150.0
    with torch.no_grad():
        network.weights['weight_165'].zero_()
        network.weights['bias_165'].copy_(torch.tensor([x, y, 0.0] * 21))  # every landmark at one pixel
        network.weights['local_visibility'][80 + 5, 3] = 1  # channel 5 of map_142, for keypoint 3
        images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
        found = network(images)
    network.save(tmp_path / 'saved.onnx')
    column, row = (x + 0.5) / 16 - 0.5, (y + 0.5) / 16 - 0.5  # 14 cells of 16 px
    left, top = int(column), int(row)
    cells = found['map_142'][:, 5, top : top + 2, left : left + 2]
    across = torch.tensor([left + 1 - column, column - left])
    along = torch.tensor([top + 1 - row, row - top])
    expected = (cells * along[:, None] * across).sum((1, 2))
    torch.testing.assert_close(found['visibility'][:, 3], expected, rtol=1e-4, atol=1e-4)
    by_file = by_onnx_runtime(tmp_path / 'saved.onnx', images.numpy())['visibility']
    np.testing.assert_allclose(by_file, found['visibility'], atol=1e-3)
    assert np.abs(by_file[:, 4]).max() == 0


@pytest.mark.skipif(shutil.which('cc') is None, reason='no C compiler')
@pytest.mark.parametrize(
    ('channels', 'kernel', 'stride', 'pads'),
    [(16, 3, 1, (1, 1, 1, 1)), (48, 5, 1, (2, 2, 2, 2)), (32, 3, 2, (0, 1, 0, 1)), (16, 5, 2, (1, 2, 1, 2))],
)
def test_fast_gradients_are_those_of_pytorch(
    channels: int, kernel: int, stride: int, pads: tuple[int, int, int, int]
) -> None:
    torch.manual_seed(0)
    value = torch.randn(3, channels, 12, 10).bfloat16().float().requires_grad_()
    weight = torch.randn(channels, 1, kernel, kernel).bfloat16().float().requires_grad_()
    bias = torch.randn(channels).bfloat16().float().requires_grad_()
    expected_out = F.conv2d(F.pad(value, pads), weight, bias, stride, groups=channels)
    along = torch.randn_like(expected_out).bfloat16().float()
    expected = torch.autograd.grad(expected_out, (value, weight, bias), along)
    with torch.autocast('cpu', torch.bfloat16):
        out = depthwise_conv(value, weight, bias, stride, pads)
    assert type(out.grad_fn).__name__ == '_DepthwiseBackward'
    for found, wanted in zip(torch.autograd.grad(out, (value, weight, bias), along), expected, strict=True):
        torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=0.02 * wanted.abs().max().item())


def test_without_a_compiler_pytorch_trains() -> None:
    code = (
        'import torch\n'
        'from maskhand_ros.model.depthwise import depthwise_conv, kernels\n'
        'assert kernels() is None\n'
        'with torch.autocast("cpu", torch.bfloat16):\n'
        '    x = torch.ones(1, 16, 8, 8, requires_grad=True)\n'
        '    depthwise_conv(x, torch.ones(16, 1, 3, 3), torch.zeros(16), 1, (1, 1, 1, 1)).sum().backward()\n'
        'assert x.grad[0, 0, 4, 4] == 9'
    )
    subprocess.run(
        [sys.executable, '-c', code], check=True, env={'CC': 'no-such-compiler', 'PATH': ''}, timeout=120
    )
