"""Execution device of the networks (ONNX Runtime). A missing device is an error unless a fallback is
allowed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime

from maskhand_ros.errors import ModelError
from maskhand_ros.network_contract import ContractError, Sizes, TensorSpec, check_network
from maskhand_ros.perception.weights import EXPORT_AGAIN

TENSORRT = 'TensorrtExecutionProvider'

PROVIDERS = {
    'cpu': ['CPUExecutionProvider'],
    'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider'],
    'tensorrt': [TENSORRT, 'CUDAExecutionProvider', 'CPUExecutionProvider'],
}
"""Execution providers of each device; the CPU runs the few operators without a GPU kernel."""

_DTYPES = {'tensor(float)': 'float32', 'tensor(bool)': 'bool'}
"""NumPy names of the ONNX Runtime types that the networks use."""


Arrays = dict[str, np.ndarray]
"""{name: array (N, ...)} of N hands."""


def concatenate(parts: list[Arrays]) -> Arrays:
    """Arrays of several dicts with the same names, concatenated along the first axis."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Device:
    """Opens networks on `name` ('cpu', 'cuda' or 'tensorrt').

    `hands`: maximum batch size. On a CPU the batch is split over the `threads`, one hand per thread: threads
    that share one hand wait for each other after every operator, which is slow when other processes use the
    cores.

    With `cpu_fallback` all networks move to the CPU if the device is missing or fails later; `lost` is then
    the reason (else None). Without it both raise ModelError.
    """

    def __init__(
        self, name: str = 'cpu', threads: int = 1, cpu_fallback: bool = False, hands: int = 1
    ) -> None:
        if name not in PROVIDERS:
            raise ModelError(f"device '{name}' is unknown", f'use one of {", ".join(PROVIDERS)}')
        self.name, self.providers = name, PROVIDERS[name]
        self.lost: str | None = None
        self._threads, self._hands, self._cpu_fallback = threads, hands, cpu_fallback
        self._networks: list[Network] = []
        self._failing, self._pool = threading.Lock(), ThreadPoolExecutor(threads, 'network')
        self._local = threading.local()
        available = onnxruntime.get_available_providers()
        if self.providers[0] not in available:
            self._fall_back(
                f"device '{name}' needs {self.providers[0]}, this ONNX Runtime offers {', '.join(available)}",
                'pip uninstall onnxruntime && pip install onnxruntime-gpu (with a CUDA driver), '
                "or set device to 'cpu'",
            )
        if self.on_gpu and hasattr(onnxruntime, 'preload_dlls'):
            onnxruntime.preload_dlls()

    def open(self, path: Path, hands: int | None = None, sizes: Sizes | None = None) -> Network:
        """Network in the file at `path` for batches of at most `hands` (default: the device's).

        ModelError if the file cannot be read, or not on this device, or if its inputs or outputs do not fit
        the contract (network_contract.NETWORKS) with the dimensions `sizes` of the files opened before it.
        """
        network = Network(self, Path(path), self._shares(hands), sizes or {})
        self._networks.append(network)
        return network

    def session(self, path: Path, shares: int) -> onnxruntime.InferenceSession:
        """InferenceSession of the file at `path`, run by up to `shares` threads at once."""
        try:
            session = self._load(path, self._threads // shares)
            if self.providers[0] not in session.get_providers():
                raise RuntimeError('ONNX Runtime fell back to the CPU')
        except Exception as error:
            text = ' '.join(str(error).split())
            if not self.on_gpu:
                raise ModelError(
                    f'ONNX Runtime {onnxruntime.__version__} cannot load {path}: {text}',
                    'pip install -U onnxruntime if the model is newer than it (IR version, opset); '
                    'otherwise install the package again, or export the model again (maskhand export)',
                ) from error
            self._fall_back(
                f'{self.providers[0]} cannot run {path}: {text}',
                'install the CUDA, cuDNN (and TensorRT) libraries that the log names, free its memory, '
                "or set device to 'cpu'",
            )
            return self.session(path, shares)
        session.disable_fallback()  # no silent fallback inside ONNX Runtime
        return session

    def failed(self, network: Network, session: onnxruntime.InferenceSession, error: Exception) -> None:
        """Handles an `error` that a Network raised while it ran `session`. Returns if the network has
        moved to the CPU, now or in another thread. Otherwise raises ModelError, or `error` itself if the
        device is the CPU."""
        with self._failing:
            if network.session is not session:
                return
            if not self.on_gpu:
                raise error
            text = str(error)[:200]
            fix = f'free its memory, restart the node, or set allow_cpu_fallback ({text})'
            self._fall_back(
                f"device '{self.name}' failed while running", fix, f'it failed while running: {text}'
            )

    def scatter(
        self, function: Callable[[Arrays], Arrays], inputs: Arrays, shares: int | None = None
    ) -> Arrays:
        """Results of `function` for a batch of N hands, which is split as by `share`."""
        parts = self.share(function, inputs, shares)
        return concatenate(parts) if len(parts) > 1 else parts[0]

    def share(
        self, function: Callable[[Arrays], Arrays], inputs: Arrays, shares: int | None = None
    ) -> list[Arrays]:
        """Results of `function` for the shares of a batch of N hands, in order. On a CPU there are up to
        `shares` (default: as for the largest batch), which run in parallel; within `function` nothing is
        split again."""
        shares = min(shares or self._shares(), len(next(iter(inputs.values()))))
        if shares < 2 or self.on_gpu or getattr(self._local, 'in_share', False):
            return [function(inputs)]
        split = (np.array_split(value, shares) for value in inputs.values())
        *others, own = (dict(zip(inputs, part, strict=True)) for part in zip(*split, strict=True))
        running = [self._pool.submit(self._run_share, function, part) for part in others]
        last = self._run_share(function, own)
        return [*(run.result() for run in running), last]

    def _shares(self, hands: int | None = None) -> int:
        """Shares of a batch of `hands` (default: the device's)."""
        return min(self._threads, hands or self._hands)

    def _run_share(self, function: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
        self._local.in_share = True
        try:
            return function(inputs)
        finally:
            self._local.in_share = False

    @property
    def on_gpu(self) -> bool:
        """Whether new networks run on a GPU."""
        return self.providers != PROVIDERS['cpu']

    def _fall_back(self, what: str, fix: str, reason: str | None = None) -> None:
        """Moves all networks to the CPU, with `reason` (default: `what`), or raises ModelError if that is
        not allowed."""
        if not self._cpu_fallback:
            raise ModelError(what, fix)
        self.lost, self.providers = reason or what, PROVIDERS['cpu']
        for network in self._networks:
            network.reopen()

    def _load(self, path: Path, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads spin during a run, because waking takes longer than most operators, but not between runs,
        # so that other processes get the cores.
        options.add_session_config_entry('session.force_spinning_stop', '1')
        return onnxruntime.InferenceSession(str(path), options, providers=with_options(self.providers, path))


def with_options(providers: list[str], path: Path) -> list[str | tuple[str, dict[str, str]]]:
    """Execution providers, with their options, of a session of the file at `path`.

    TensorRT computes in half precision and keeps its engines, which take minutes to build, in
    XDG_CACHE_HOME/maskhand, or ~/.cache/maskhand. It names them by the kind of GPU, not by the weights: each
    file and each version of ONNX Runtime has a folder of its own. Not run: no GPU was at hand.
    """
    if TENSORRT not in providers:
        return list(providers)
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'maskhand'
    key = f'{sha256(path.read_bytes()).hexdigest()[:16]}-{onnxruntime.__version__}'
    options = {
        'trt_fp16_enable': 'True',
        'trt_engine_cache_enable': 'True',
        'trt_engine_cache_path': str(cache / f'tensorrt-{key}'),
    }
    return [(name, options) if name == TENSORRT else name for name in providers]


class Network:
    """ONNX file on a Device, run with batches split into up to `shares`. `inputs` and `outputs`: names of
    its tensors. `sizes`: dimensions of the contract known after this file. `metadata` {key: text} of the
    file. Thread-safe."""

    def __init__(self, device: Device, path: Path, shares: int, sizes: Sizes) -> None:
        self._device, self._path, self._shares = device, path, shares
        self.reopen()
        inputs, outputs = map(_tensors, (self.session.get_inputs(), self.session.get_outputs()))
        try:
            self.sizes = check_network(path.name, inputs, outputs, sizes)
        except ContractError as error:
            raise ModelError(
                f'{path} does not fit this version of maskhand_ros: {error}', EXPORT_AGAIN
            ) from error
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        self.inputs, self.outputs = ([tensor.name for tensor in tensors] for tensors in (inputs, outputs))

    def reopen(self) -> None:
        """Loads the file on the current device."""
        self.session = self._device.session(self._path, self._shares)

    def run(self, inputs: Arrays) -> Arrays:
        """{name: array (N, ...)} of all outputs, given {name: array (N, ...)} of the inputs."""
        return self._device.scatter(self._run, inputs, self._shares)

    def _run(self, inputs: Arrays) -> Arrays:
        session = self.session
        try:
            values = session.run(None, inputs)
        except Exception as error:
            self._device.failed(self, session, error)
            values = self.session.run(None, inputs)
        return dict(zip(self.outputs, values, strict=True))


def _tensors(values: list[onnxruntime.NodeArg]) -> list[TensorSpec]:
    """Inputs or outputs of a session; '?' is a dimension that the file neither states nor names."""
    return [
        TensorSpec(
            value.name,
            tuple('?' if size is None else size for size in value.shape),
            _DTYPES.get(value.type, value.type),
        )
        for value in values
    ]
