"""The folder of model files: where it is, and that it holds exactly what its model.json lists."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

from maskhand_ros.errors import ModelError

SHIPPED = Path(__file__).resolve().parents[1] / 'weights'

INDEX = 'model.json'

POSE_MODEL_FILES = ('codebook.npz', 'context.onnx', 'synthesizer.onnx', 'tokenizer.onnx')
"""Files that the pose model (Reconstructor) loads."""

REQUIRED_FILES = (*POSE_MODEL_FILES, 'landmarks.onnx', 'palm_detector.onnx')
"""Files that HandPipeline loads; no other file of the folder is read."""

_UNLOADED_SUFFIXES = ('.json', '.md', '.txt')
"""Files that may lie in the folder without an entry: nothing loads them."""

REINSTALL = 'install the package again or export the model again (maskhand export)'


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
    """Content of model.json in `folder`, after every file has been checked against it.

    Each of the `required` files must be listed, each listed file must have the recorded SHA-256, and no
    other file may lie there: an ONNX file may refer to external data beside it, which ONNX Runtime would
    load unchecked. ModelError names the file that is missing, unlisted or different.
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


def loadable_files(folder: Path) -> list[Path]:
    """Files in `folder` and its subfolders that a model could load: all but text."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return sorted(path for path in files if path.suffix not in _UNLOADED_SUFFIXES)


def _read_index(index: Path) -> dict[str, Any]:
    try:
        description = json.loads(index.read_text())
        if not isinstance(description['files'], dict):
            raise ValueError('`files` is not an object of file names and SHA-256')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{index} cannot be read: {error}', REINSTALL) from error
    return description
