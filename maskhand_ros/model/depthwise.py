"""A depthwise convolution that trains fast on a CPU in bfloat16.

In bfloat16 PyTorch's gradients of a depthwise convolution take most of a training step on a CPU. Those in
depthwise.c take a fifth of the time; they are compiled when training starts, by the compiler that CC names
(default `cc`); where there is none, and on a GPU, PyTorch's own are used.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

Pads = tuple[int, int, int, int]
"""Left, right, top, bottom."""
_LANES, _KERNELS = 16, (3, 5)


def depthwise_conv(value: Tensor, weight: Tensor, bias: Tensor, stride: int, pads: Pads) -> Tensor:
    """conv2d of `value` (B, C, H, W), padded by `pads`, with `weight` (C, 1, k, k) and `bias` (C,)."""
    fast = value.device.type == 'cpu' and torch.is_autocast_enabled('cpu') and torch.is_grad_enabled()
    if fast and weight.shape[0] % _LANES == 0 and weight.shape[-1] in _KERNELS and kernels() is not None:
        return _Depthwise.apply(value, weight, bias, stride, pads)
    return F.conv2d(F.pad(value, pads), weight, bias, stride, groups=weight.shape[0])


@functools.cache
def kernels() -> ctypes.CDLL | None:
    """The compiled kernels; None where there is no C compiler or it fails."""
    compiler = shutil.which(os.environ.get('CC', 'cc'))
    if compiler is None:
        return None
    source = Path(__file__).with_suffix('.c')
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / 'depthwise.so'
        command = [
            compiler,
            '-O3',
            '-march=native',
            '-shared',
            '-fPIC',
            '-w',
            str(source),
            '-o',
            str(library),
        ]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        return ctypes.CDLL(str(library))  # stays loaded when the file is deleted


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            'n', 'height', 'width', 'channels', 'out_height', 'out_width', 'kernel', 'stride', 'top', 'left',
        )
    ]  # fmt: skip


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: Tensor, bias: Tensor, stride: int, pads: Pads) -> Tensor:
        value = value.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        left, right, top, bottom = pads
        even = left == right and top == bottom
        padded = value if even else F.pad(value, pads)
        half = weight.to(torch.bfloat16), bias.to(torch.bfloat16)
        padding = (top, left) if even else 0
        out = F.conv2d(padded, *half, stride, padding, groups=weight.shape[0])
        ctx.save_for_backward(value, weight)
        ctx.stride, ctx.pads = stride, pads
        return out.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        value, weight = ctx.saved_tensors
        gradient = gradients[0].to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        count, channels, height, width = value.shape
        size = weight.shape[-1]
        left, _, top, _ = ctx.pads
        shape = _Shape(count, height, width, channels, *gradient.shape[2:], size, ctx.stride, top, left)
        library = kernels()
        of_weight = torch.empty(size, size, channels)
        library.depthwise_weight_gradient(
            _pointer(value), _pointer(gradient), _pointer(of_weight), ctypes.byref(shape)
        )
        if ctx.stride == 1:  # PyTorch's is the faster one here: a convolution with the kernel turned round
            padding = top, left
            half = weight.to(torch.bfloat16)
            of_value = conv2d_input(value.shape, half, gradient, 1, padding, groups=channels)
        else:
            of_value = torch.empty_like(value, memory_format=torch.channels_last)
            taps = weight[:, 0].permute(1, 2, 0).contiguous().float()
            library.depthwise_input_gradient(
                _pointer(gradient), _pointer(taps), _pointer(of_value), ctypes.byref(shape)
            )
        of_weight = of_weight.permute(2, 0, 1)[:, None].contiguous()
        return of_value, of_weight, gradient.sum((0, 2, 3), dtype=torch.float32), None, None
