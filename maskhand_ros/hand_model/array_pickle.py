"""Arrays out of a pickle without running it: MANO's model files, HO-3D's labels.

A pickle can run any code while it loads. This reader knows only arrays and Python's own containers: chumpy's
and scipy's classes become inert holders of their fields, and every other name in the file ends the reading.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

UnpicklingError = pickle.UnpicklingError


class _Inert:
    """Stands for an object of chumpy or scipy.sparse: keeps the pickled fields, does nothing."""

    def __init__(self, *_: Any) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.fields = dict(state) if isinstance(state, dict) else {}


def _new_inert(kind: type, base: type, _state: Any) -> _Inert:
    """What `copyreg._reconstructor` does for these files, and no more."""
    if kind is not _Inert or base is not object:
        raise UnpicklingError('the file builds an object that is no array')
    return _Inert()


def _to_bytes(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does for the bytes of an array, and no more."""
    if encoding not in ('latin1', 'latin-1'):
        raise UnpicklingError(f"the file uses the encoding '{encoding}'")
    return text.encode('latin1')


def _allowed() -> dict[tuple[str, str], Any]:
    # numpy has moved its internals; the functions are taken from an array's own pickle, whatever this numpy
    # calls them.
    rebuild = np.zeros(1).__reduce__()[0]
    rebuild_scalar = np.float64(0).__reduce__()[0]
    names = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype, ('_codecs', 'encode'): _to_bytes}
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        names[module, '_reconstruct'], names[module, 'scalar'] = rebuild, rebuild_scalar
    for module, function in (('copy_reg', '_reconstructor'), ('copyreg', '_reconstructor')):
        names[module, function] = _new_inert
    for module in ('__builtin__', 'builtins'):
        names[module, 'object'] = object
    return names


class _ArrayUnpickler(pickle.Unpickler):
    _names = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == 'chumpy' or (
            module.startswith('scipy.sparse') and name.startswith('csc_')
        ):
            return _Inert
        if (module, name) not in self._names:
            raise UnpicklingError(f'the file asks for {module}.{name}, which no array needs; not loaded')
        return self._names[module, name]


def load_arrays(path: Path | str) -> Any:
    """What the pickle at `path` holds (also one written by Python 2); UnpicklingError if it asks for more.

    Objects of chumpy and scipy.sparse come out inert: give them to `dense`.
    """
    with open(path, 'rb') as file:
        return _ArrayUnpickler(file, encoding='latin1').load()


def load_npz(path: Path | str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays `names` of an npz file as {name: array}, those it holds; arrays of strings that numpy stored
    as objects come out too. UnpicklingError if one of them asks for anything but arrays."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in set(names) & {entry.removesuffix('.npy') for entry in archive.namelist()}:
            with archive.open(f'{name}.npy') as file:
                plain = np.lib.format.read_magic(file) == (1, 0)
                header = np.lib.format.read_array_header_1_0 if plain else np.lib.format.read_array_header_2_0
                if header(file)[2].hasobject:
                    arrays[name] = _ArrayUnpickler(file, encoding='latin1').load()
                    continue
            with archive.open(f'{name}.npy') as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def dense(value: Any) -> np.ndarray:
    """A numpy array from an array, a sparse matrix or a chumpy expression (a leaf, or a selection from
    one)."""
    if not isinstance(value, _Inert):
        return np.asarray(value)
    fields = value.fields
    if 'indptr' in fields:
        shape = fields['_shape'] if '_shape' in fields else fields['shape']
        matrix = np.zeros(tuple(int(n) for n in shape))
        columns = np.repeat(np.arange(matrix.shape[1]), np.diff(fields['indptr']))
        np.add.at(matrix, (np.asarray(fields['indices']), columns), np.asarray(fields['data']))
        return matrix
    if 'x' in fields:
        return dense(fields['x'])
    if 'a' in fields and 'idxs' in fields:
        chosen = dense(fields['a']).ravel()[np.asarray(fields['idxs'])]
        shape = fields.get('preferred_shape')
        return chosen if shape is None else chosen.reshape(tuple(int(n) for n in shape))
    raise ValueError(f'a chumpy object with the fields {sorted(fields)} is unknown')
