"""The folder of model files and the check of its files against model.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

from maskhand_ros.errors import ModelError
from maskhand_ros.network_contract import FORMAT, LANDMARKS, LANDMARKS_INT8

SHIPPED = Path(__file__).resolve().parents[1] / 'weights'

INDEX = 'model.json'

POSE_MODEL_FILES = ('codebook.npz', 'context.onnx', 'synthesizer.onnx', 'tokenizer.onnx')
"""Files that the pose model (Reconstructor) loads."""

REQUIRED_FILES = (*POSE_MODEL_FILES, LANDMARKS, 'palm_detector.onnx')
"""Files that a folder for HandPipeline must have."""

INT8_FLAGS = {'avx_vnni', 'avx512_vnni', 'asimddp'}
"""Flags of CPUs on which ONNX Runtime's products of 8-bit integers are exact and fast: x86 with VNNI, ARM
with dot products. Other x86 CPUs overflow; with the session option session.x64quantprecision they do not, but
are slower than with floating point."""

_UNLOADED_SUFFIXES = ('.json', '.md', '.txt')
"""Suffixes of files that need no entry in model.json, because nothing loads them."""

REINSTALL = 'install the package again or export the model again (maskhand export)'

EXPORT_AGAIN = (
    'export the model again with this version (maskhand export CHECKPOINT --out FOLDER), '
    'or leave weights_dir empty for the shipped models'
)
"""Fix for a folder written by another version."""

_FIELDS = {'name': str, 'version': str, 'tokens': int, 'codebook_size': int, 'files': dict}
"""Fields of model.json that the run time reads, without `format` and the optional `calibration`."""


def find_weights(folder: str | PathLike[str] | None = None) -> Path:
    """Folder of the models: `folder`, or the one in the package. ModelError if it holds no model.json."""
    path = Path(folder) if folder else SHIPPED
    if not (path / INDEX).is_file():
        fix = (
            'give a folder written by `maskhand export`, or leave weights_dir empty for the shipped models'
            if folder
            else 'install the package again: pip install --force-reinstall maskhand_ros'
        )
        raise ModelError(f'no {INDEX} in {path}', fix)
    return path


def verify_weights(folder: str | Path, required: Iterable[str] = POSE_MODEL_FILES) -> dict[str, Any]:
    """Content of model.json in `folder` (network_contract.MODEL_FIELDS), after a check of every file.

    All `required` files must be listed, each listed file must have the recorded SHA-256, and the folder must
    contain no other file: an ONNX file may refer to external data in its folder, which ONNX Runtime would
    load unchecked. ModelError names the missing, unlisted or different file, or the invalid field.
    """
    index = Path(folder) / INDEX
    description = _read_index(index)
    listed = description['files']
    for name in required:
        if name not in listed:
            raise ModelError(f'{index} lists no SHA-256 for {name}, which the model needs', REINSTALL)
    for name, digest in listed.items():
        path = index.parent / name
        if not path.is_file():
            raise ModelError(f'{path} is missing', REINSTALL)
        if sha256(path.read_bytes()).hexdigest() != digest:
            raise ModelError(f'{path} is not the file that {INDEX} lists (truncated or changed)', REINSTALL)
    for path in loadable_files(index.parent):
        name = path.relative_to(index.parent).as_posix()
        if name not in listed:
            raise ModelError(
                f'{path} is not listed in {INDEX}', f'remove it from the weights folder, or {REINSTALL}'
            )
    return description


def landmarks_file(folder: Path, on_gpu: bool, cpu_info: Path = Path('/proc/cpuinfo')) -> Path:
    """Landmark network to run: the one with 8-bit integers where a checked `folder` has one and the network
    runs on a CPU that has INT8_FLAGS by Linux's `cpu_info`."""
    integers = folder / LANDMARKS_INT8
    if on_gpu or not integers.is_file() or not cpu_info.is_file():
        return folder / LANDMARKS
    return folder / LANDMARKS if INT8_FLAGS.isdisjoint(cpu_info.read_text().split()) else integers


def loadable_files(folder: Path) -> list[Path]:
    """Files in `folder` and its subfolders that a model could load: all but text."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return sorted(path for path in files if path.suffix not in _UNLOADED_SUFFIXES)


def _read_index(index: Path) -> dict[str, Any]:
    """Content of model.json, its format and fields checked."""
    try:
        description = json.loads(index.read_text())
        if not isinstance(description, dict):
            raise ValueError('it holds no object')
    except (OSError, ValueError) as error:
        raise ModelError(f'{index} cannot be read: {error}', REINSTALL) from error
    _check_format(index, description.get('format'))
    for field, kind in _FIELDS.items():
        value = description.get(field)
        if type(value) is not kind:
            raise ModelError(f'{index} has {field!r}: {value!r}, expected {kind.__name__}', EXPORT_AGAIN)
    return description


def _check_format(index: Path, found: object) -> None:
    """ModelError unless `found` is the format that this version reads."""
    if found is None:
        raise ModelError(f'{index} states no format, expected {FORMAT}', EXPORT_AGAIN)
    if type(found) is int and found > FORMAT:
        raise ModelError(
            f'{index} has format {found}, newer than format {FORMAT} that this version reads',
            f'install a newer maskhand_ros, or {EXPORT_AGAIN}',
        )
    if found != FORMAT:
        raise ModelError(f'{index} has format {found!r}, expected {FORMAT}', EXPORT_AGAIN)
