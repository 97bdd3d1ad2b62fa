"""ONNX Runtime sessions on the device that was asked for, and on no other."""

from __future__ import annotations

import onnxruntime

from maskhand_ros.perception.errors import ModelError

DEVICES = {
    'cpu': ['CPUExecutionProvider'],
    'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider'],
    'tensorrt': ['TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider'],
}
"""Execution providers of each `device`; the CPU stands last for the few operators without a GPU kernel."""


def providers_for(device):
    """The execution providers for 'cpu', 'cuda' or 'tensorrt'; ModelError if this ONNX Runtime has no such
    device."""
    if device not in DEVICES:
        raise ModelError(f"device '{device}' is unknown", f'use one of {", ".join(DEVICES)}')
    wanted = DEVICES[device]
    available = onnxruntime.get_available_providers()
    if wanted[0] not in available:
        raise ModelError(
            f"device '{device}' needs {wanted[0]}, this ONNX Runtime offers {', '.join(available)}",
            'pip uninstall onnxruntime && pip install onnxruntime-gpu (with a CUDA driver), '
            "or set device to 'cpu'",
        )
    if device != 'cpu' and hasattr(onnxruntime, 'preload_dlls'):
        onnxruntime.preload_dlls()
    return list(wanted)


def open_session(path, providers=None, threads=1):
    """An onnxruntime.InferenceSession for the file at `path`.

    ModelError if the file cannot be read, or if ONNX Runtime fell back from the first of `providers` (default
    CPU): it does so with no more than a warning, for example where a CUDA library is missing.
    """
    providers = providers or DEVICES['cpu']
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between pictures would take the robot's other processes' time.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ModelError(
            f'ONNX Runtime cannot load {path}: {error}',
            'install the package again, its weights may be truncated',
        ) from error
    if providers[0] not in session.get_providers():
        raise ModelError(
            f'{providers[0]} was asked for and could not start; ONNX Runtime fell back to '
            f'{session.get_providers()[0]}',
            'install the CUDA, cuDNN (and TensorRT) libraries that the warning above names, '
            "or set device to 'cpu'",
        )
    return session
