"""The device that the networks run on: the one that was asked for, and no other unless that is allowed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

from maskhand_ros.errors import ModelError

PROVIDERS = {
    'cpu': ['CPUExecutionProvider'],
    'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider'],
    'tensorrt': ['TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider'],
}
"""Execution providers of each device; the CPU stands last for the few operators without a GPU kernel."""


def concatenate(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of several dicts with the same names, concatenated along the first axis."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Device:
    """Opens networks on `name` ('cpu', 'cuda' or 'tensorrt').

    `hands`: how many a network is given at once, at most. On a CPU they share the `threads` out: a thread
    that runs a hand of its own waits for nobody, where two that run one hand wait after each operator, which
    costs most where other processes take the cores in between.

    With `cpu_fallback` the CPU takes over where that device is missing, or fails later, for all networks at
    once; `lost` then says why (None: nothing is). Without it either is a ModelError.
    """

    def __init__(self, name='cpu', threads=1, cpu_fallback=False, hands=1):
        if name not in PROVIDERS:
            raise ModelError(f"device '{name}' is unknown", f'use one of {", ".join(PROVIDERS)}')
        self.name, self.providers, self.lost = name, PROVIDERS[name], None
        self._threads, self._hands, self._cpu_fallback, self._networks = threads, hands, cpu_fallback, []
        self._failing, self._pool = threading.Lock(), ThreadPoolExecutor(threads, 'network')
        available = onnxruntime.get_available_providers()
        if self.providers[0] not in available:
            self._lose(
                f"device '{name}' needs {self.providers[0]}, this ONNX Runtime offers {', '.join(available)}",
                'pip uninstall onnxruntime && pip install onnxruntime-gpu (with a CUDA driver), '
                "or set device to 'cpu'",
            )
        if self._on_gpu and hasattr(onnxruntime, 'preload_dlls'):
            onnxruntime.preload_dlls()

    def open(self, path, hands=None):
        """The Network in the file at `path`, given at most so many `hands` at once (default: the device's).
        ModelError if it cannot be read, or not on this device."""
        network = Network(self, path, min(self._threads, hands or self._hands))
        self._networks.append(network)
        return network

    def session(self, path, shares):
        """An InferenceSession for the file at `path`, for its Network: one of `shares` that run at once."""
        try:
            session = self._load(path, self._threads // shares)
            if self.providers[0] not in session.get_providers():
                raise RuntimeError('ONNX Runtime went to the CPU by itself')
        except Exception as error:
            text = ' '.join(str(error).split())
            if not self._on_gpu:
                raise ModelError(
                    f'ONNX Runtime {onnxruntime.__version__} cannot load {path}: {text}',
                    'pip install -U onnxruntime if the model is newer than it (IR version, opset); '
                    'otherwise install the package again, or export the model anew (maskhand export)',
                ) from error
            self._lose(
                f'{self.providers[0]} cannot run {path}: {text}',
                'install the CUDA, cuDNN (and TensorRT) libraries that the log names, free its memory, '
                "or set device to 'cpu'",
            )
            return self.session(path, shares)
        session.disable_fallback()  # what ONNX Runtime would do by itself, and tell nobody
        return session

    def failed(self, network, session, error):
        """A Network raised `error` while its `session` ran. ModelError, unless the CPU takes over or, for
        another thread, already has; on the CPU it is no matter of the device: the error goes on."""
        with self._failing:
            if network.session is not session:
                return
            if not self._on_gpu:
                raise error
            text = str(error)[:200]
            fix = f'free its memory, restart the node, or set allow_cpu_fallback ({text})'
            self._lose(f"device '{self.name}' failed while running", fix, f'it failed while running: {text}')

    def spread(self, function, inputs, shares):
        """What `function` makes of {name: array (N, ...)} of N hands, as {name: array (N, ...)}: on a CPU in
        `shares` side by side, else at once."""
        shares = min(shares, len(next(iter(inputs.values()))))
        if shares < 2 or self._on_gpu:
            return function(inputs)
        split = (np.array_split(value, shares) for value in inputs.values())
        *others, own = (dict(zip(inputs, part, strict=True)) for part in zip(*split, strict=True))
        running = [self._pool.submit(function, part) for part in others]
        last = function(own)
        return concatenate([*(run.result() for run in running), last])

    @property
    def _on_gpu(self):
        return self.providers != PROVIDERS['cpu']

    def _lose(self, what, fix, reason=None):
        """Brings all networks to the CPU, for a `reason` (default: `what`), or raises ModelError."""
        if not self._cpu_fallback:
            raise ModelError(what, fix)
        self.lost, self.providers = reason or what, PROVIDERS['cpu']
        for network in self._networks:
            network.reopen()

    def _load(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads spin within a run, for to be woken takes longer than most operators, and not between
        # pictures: that would take the robot's other processes' time.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        return onnxruntime.InferenceSession(str(path), options, providers=self.providers)


class Network:
    """An ONNX file on a Device, run in up to `shares` side by side; `inputs` and `outputs` are its names for
    them. Several threads may run it."""

    def __init__(self, device, path, shares):
        self._device, self._path, self._shares = device, path, shares
        self.reopen()
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]

    def reopen(self):
        """Loads the file for what its device is now."""
        self.session = self._device.session(self._path, self._shares)

    def run(self, inputs):
        """{name: array (N, ...)} of all outputs, given {name: array (N, ...)} of the inputs."""
        return self._device.spread(self._run, inputs, self._shares)

    def _run(self, inputs):
        session = self.session
        try:
            values = session.run(None, inputs)
        except Exception as error:
            self._device.failed(self, session, error)
            values = self.session.run(None, inputs)
        return dict(zip(self.outputs, values, strict=True))
