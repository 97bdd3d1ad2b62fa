"""Contract between `maskhand export` and the run time: inputs and outputs of each ONNX file of a weights
folder, and the fields of its model.json.

The exporter takes all names from here and the run time compares every file with it when it loads. A change
that an older run time cannot read gets a new FORMAT. This module needs neither torch nor ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .geometry import CROP_SIZE

FORMAT = 1
"""Version of this contract, `format` in model.json."""

MODEL_FIELDS = {
    'format': 'FORMAT of the contract, checked when the folder is opened',
    'name': 'name of the model, first part of HandArray.network',
    'version': 'version of the model, second part of HandArray.network',
    'tokens': 'tokens of a hand, checked against the networks',
    'codebook_size': 'codes that a token can take, checked against codebook.npz and the networks',
    'files': 'SHA-256 of each file that is loaded, checked when the folder is opened',
    'calibration': 'scale of the published uncertainty, from `maskhand train calibrate`; optional',
    'config': 'configuration of the model; documentation only',
    'training': 'summary of the training; documentation only',
}
"""Every field of model.json and its purpose."""

Sizes = Mapping[str, tuple[int, str]]
"""Dimensions by name: {name: (size, file that has it)}."""


class ContractError(ValueError):
    """A file differs from the contract: which input or output, what it has and what is expected."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a network, or one array of a file.

    `shape`: an int is a fixed dimension. 'N' is the number of hands, which must be free. Any other name, such
    as 'tokens', is a dimension that a model chooses once for all its files; in a shape read from a file it
    is a dimension that the file does not state.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str = 'float32'
    optional: bool = False

    def __str__(self) -> str:
        return f'{self.dtype} ({", ".join(map(str, self.shape))})'


@dataclass(frozen=True)
class NetworkSpec:
    """Inputs and outputs of one ONNX file; the order is that of the exported file."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


LANDMARKS, LANDMARKS_INT8 = 'landmarks.onnx', 'landmarks_int8.onnx'
"""The landmark network, and the same with 8-bit integers (optional), made by `maskhand export --int8`."""

INT8_SOURCE = 'source_sha256'
"""Key in the metadata of landmarks_int8.onnx: SHA-256 of the landmarks.onnx that it was made of."""

MAPS = ('map_131', 'map_142', 'map_157')
"""Feature maps of the landmark network, fine to coarse."""

LANDMARK_HEADS = ('visibility', 'landmark_log_variance')
"""Outputs that `maskhand train landmarks` adds to the landmark network. Of each landmark: whether it can be
seen (logit), and the log variance of its place in the crop, per axis, in (px / 224)^2."""

CUES: dict[str, tuple[int, ...]] = {
    'image': (CROP_SIZE, CROP_SIZE, 3),
    'landmarks': (21, 3),
    'world_landmarks': (21, 3),
    'presence': (1,),
    'handedness': (1,),
    'global_feature': (1152,),
    'map_131': (80, 14, 14),
    'map_142': (112, 14, 14),
    'map_157': (192, 7, 7),
}
"""Shape of each cue of one crop, as `perception.cues.CueNetwork` returns it. A model may use only some of
them."""

DETECTOR_SIZE = 192
"""Width and height of the palm detector's input, px."""

TOKEN_INPUTS = (
    TensorSpec('token_embeddings', ('N', 'tokens', 'code_dims')),
    TensorSpec('mask', ('N', 'tokens'), 'bool'),
)
CONTEXT = (
    TensorSpec('nodes', ('N', 21, 'width')),
    TensorSpec('extra', ('N', 'extra_tokens', 'width')),
    TensorSpec('references', ('N', 21, 2)),
    TensorSpec('first', ('N', 'first_size')),
    TensorSpec('map0', ('N', 'width', 'map0_height', 'map0_width')),
    TensorSpec('map1', ('N', 'width', 'map1_height', 'map1_width'), optional=True),
    TensorSpec('map2', ('N', 'width', 'map2_height', 'map2_width'), optional=True),
)
"""Outputs of the context network, inputs of the synthesizer (`model.context.Context`)."""


def _optional(tensors: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tensor.shape, tensor.dtype, True) for tensor in tensors)


_LANDMARKS = NetworkSpec(
    inputs=(TensorSpec('image', ('N', 3, CROP_SIZE, CROP_SIZE)),),
    outputs=(
        TensorSpec('landmarks', ('N', 63)),
        TensorSpec('presence', ('N', 1)),
        TensorSpec('handedness', ('N', 1)),
        TensorSpec('world_landmarks', ('N', 63)),
        *(TensorSpec(name, ('N', *CUES[name])) for name in ('global_feature', *MAPS)),
        *(TensorSpec(name, ('N', 21), optional=True) for name in LANDMARK_HEADS),
    ),
)

NETWORKS = {
    'palm_detector.onnx': NetworkSpec(
        inputs=(TensorSpec('image', ('N', 3, DETECTOR_SIZE, DETECTOR_SIZE)),),
        outputs=(TensorSpec('boxes', ('N', 2016, 18)), TensorSpec('scores', ('N', 2016, 1))),
    ),
    LANDMARKS: _LANDMARKS,
    LANDMARKS_INT8: _LANDMARKS,
    'context.onnx': NetworkSpec(
        inputs=tuple(TensorSpec(name, ('N', *shape), optional=True) for name, shape in CUES.items()),
        outputs=CONTEXT,
    ),
    'synthesizer.onnx': NetworkSpec(
        # The ONNX exporter drops inputs that a configuration does not use.
        inputs=(*TOKEN_INPUTS, *_optional(CONTEXT)),
        outputs=(
            TensorSpec('logits', ('N', 'tokens', 'codebook_size')),
            TensorSpec('global_orient', ('N', 6), optional=True),
            TensorSpec('betas', ('N', 10)),
            TensorSpec('camera', ('N', 3)),
            TensorSpec('log_variance', ('N', 21, 2)),
            TensorSpec('orient_log_variance', ('N', 3), optional=True),
        ),
    ),
    'tokenizer.onnx': NetworkSpec(
        inputs=(TensorSpec('embeddings', ('N', 'tokens', 'code_dims')),),
        outputs=(TensorSpec('hand_pose', ('N', 'joints', 6)),),
    ),
    'tokenizer_encoder.onnx': NetworkSpec(
        inputs=(TensorSpec('hand_pose', ('N', 'joints', 6)),),
        outputs=(TensorSpec('embeddings', ('N', 'tokens', 'code_dims')),),
    ),
}
"""The contract of each ONNX file, by its name. The run time does without the tokenizer's encoder: training
that goes on from a folder reads it. `joints` is 15 where the synthesizer gives `global_orient`,
else 16 with the global orientation first."""

CODEBOOK = TensorSpec('codebook', ('codebook_size', 'code_dims'))
"""The one array of codebook.npz."""


def check_network(
    file: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], sizes: Sizes
) -> Sizes:
    """`sizes` and the dimensions that `file` adds to them. ContractError if its inputs or outputs do not fit
    its contract or `sizes`."""
    contract = NETWORKS[file]
    for kind, expected, found in (
        ('input', contract.inputs, inputs),
        ('output', contract.outputs, outputs),
    ):
        _check_names(kind, expected, found)
        specs = {tensor.name: tensor for tensor in expected}
        for tensor in found:
            sizes = check_tensor(file, kind, specs[tensor.name], tensor, sizes)
    return sizes


def check_tensor(file: str, kind: str, expected: TensorSpec, found: TensorSpec, sizes: Sizes) -> Sizes:
    """`sizes` and the dimensions that one tensor (`kind`: input, output or array) of `file` adds to them."""
    added = dict(sizes)
    fits = expected.dtype == found.dtype and len(expected.shape) == len(found.shape)
    for name, size in zip(expected.shape, found.shape, strict=False):
        if name == 'N':
            fits = fits and not isinstance(size, int)
        elif isinstance(size, int):
            wanted = name if isinstance(name, int) else added.setdefault(name, (size, file))[0]
            fits = fits and size == wanted
    if not fits:
        names = [name for name in expected.shape if isinstance(name, str) and name in sizes]
        chosen = [f'{name} = {sizes[name][0]} as in {sizes[name][1]}' for name in names]
        raise ContractError(
            f'{kind} {found.name!r} is {found}, expected {"; ".join([str(expected), *chosen])}'
        )
    return added


def _check_names(kind: str, expected: Sequence[TensorSpec], found: Sequence[TensorSpec]) -> None:
    names = [tensor.name for tensor in found]
    for tensor in expected:
        if not tensor.optional and tensor.name not in names:
            raise ContractError(
                f'{kind} {tensor.name!r} is missing, expected {tensor}; found {", ".join(names)}'
            )
    known = [tensor.name for tensor in expected]
    for name in names:
        if name not in known:
            raise ContractError(f'{kind} {name!r} is unknown, expected {", ".join(known)}')
