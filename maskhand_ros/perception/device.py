"""The device that the networks run on: the one that was asked for, and no other unless that is allowed."""

from __future__ import annotations

import onnxruntime

from maskhand_ros.perception.errors import ModelError

PROVIDERS = {
    'cpu': ['CPUExecutionProvider'],
    'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider'],
    'tensorrt': ['TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider'],
}
"""Execution providers of each device; the CPU stands last for the few operators without a GPU kernel."""


class Device:
    """Opens networks on `name` ('cpu', 'cuda' or 'tensorrt').

    With `cpu_fallback` the CPU takes over where that device is missing, or fails later, for all networks at
    once; `lost` then says why (None: nothing is). Without it either is a ModelError.
    """

    def __init__(self, name='cpu', threads=1, cpu_fallback=False):
        if name not in PROVIDERS:
            raise ModelError(f"device '{name}' is unknown", f'use one of {", ".join(PROVIDERS)}')
        self.name, self.providers, self.lost = name, PROVIDERS[name], None
        self._threads, self._cpu_fallback, self._networks = threads, cpu_fallback, []
        available = onnxruntime.get_available_providers()
        if self.providers[0] not in available:
            self._lose(
                f"device '{name}' needs {self.providers[0]}, this ONNX Runtime offers {', '.join(available)}",
                'pip uninstall onnxruntime && pip install onnxruntime-gpu (with a CUDA driver), '
                "or set device to 'cpu'",
            )
        if self._on_gpu and hasattr(onnxruntime, 'preload_dlls'):
            onnxruntime.preload_dlls()

    def open(self, path):
        """The Network in the file at `path`. ModelError if it cannot be read, or not on this device."""
        network = Network(self, path)
        self._networks.append(network)
        return network

    def session(self, path):
        """An InferenceSession for the file at `path`, for its Network."""
        try:
            session = self._load(path)
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
            return self.session(path)
        session.disable_fallback()  # what ONNX Runtime would do by itself, and tell nobody
        return session

    def failed(self, error):
        """A network raised `error` while it ran. ModelError, unless the CPU takes over; on the CPU it is no
        matter of the device: the error goes on."""
        if not self._on_gpu:
            raise error
        text = str(error)[:200]
        fix = f'free its memory, restart the node, or set allow_cpu_fallback ({text})'
        self._lose(f"device '{self.name}' failed while running", fix, f'it failed while running: {text}')

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

    def _load(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Threads spin within a run, for to be woken takes longer than most operators, and not between
        # pictures: that would take the robot's other processes' time.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        return onnxruntime.InferenceSession(str(path), options, providers=self.providers)


class Network:
    """An ONNX file on a Device; `inputs` and `outputs` are its names for them."""

    def __init__(self, device, path):
        self._device, self._path = device, path
        self.reopen()
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]

    def reopen(self):
        """Loads the file for what its device is now."""
        self._session = self._device.session(self._path)

    def run(self, inputs):
        """{name: array} of all outputs, given {name: array} of the inputs."""
        try:
            values = self._session.run(None, inputs)
        except Exception as error:
            self._device.failed(error)
            values = self._session.run(None, inputs)
        return dict(zip(self.outputs, values, strict=True))
