"""The contract of the networks: the shipped files have it, and a folder that does not is refused at load."""

import json

import model_json
import numpy as np
import onnxruntime
import pytest

from maskhand_ros.errors import ModelError
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.network_contract import FORMAT, LANDMARKS_INT8, MODEL_FIELDS, NETWORKS
from maskhand_ros.perception.device import Device
from maskhand_ros.perception.reconstructor import Reconstructor
from maskhand_ros.perception.weights import SHIPPED

RECORDS = {'config', 'training'}
"""Fields of model.json for people: the run time does without."""
TYPES = {'float32': 'tensor(float)', 'bool': 'tensor(bool)'}


def describe(weights, change=lambda description: None):
    """`change` the content of model.json, and list all files as they are now."""
    model_json.edit(weights, change)
    model_json.list_files(weights)


def refusal(weights):
    with pytest.raises(ModelError) as raised:
        Reconstructor(weights, HandModel.load())
    return str(raised.value)


def test_each_shipped_network_has_exactly_the_contract():
    shipped = {path.name for path in SHIPPED.glob('*.onnx')}
    assert shipped | {LANDMARKS_INT8} == NETWORKS.keys()
    chosen = {}
    for name in sorted(shipped):
        contract = NETWORKS[name]
        session = onnxruntime.InferenceSession(str(SHIPPED / name), providers=['CPUExecutionProvider'])
        for expected, found in (
            (contract.inputs, session.get_inputs()),
            (contract.outputs, session.get_outputs()),
        ):
            specs = {tensor.name: tensor for tensor in expected}
            names = [value.name for value in found]
            assert names == [tensor for tensor in specs if tensor in names], (
                f'{name}: unknown, or in disorder'
            )
            assert {tensor.name for tensor in expected if not tensor.optional} <= set(names)
            for value in found:
                spec = specs[value.name]
                assert (value.type, len(value.shape)) == (TYPES[spec.dtype], len(spec.shape)), value.name
                for wanted, size in zip(spec.shape, value.shape, strict=True):
                    if isinstance(size, int):
                        assert wanted != 'N'
                        assert size == (
                            wanted if isinstance(wanted, int) else chosen.setdefault(wanted, size)
                        )
                    else:
                        assert isinstance(wanted, str), f'{name}: {value.name} leaves {wanted} open'
    assert (chosen['tokens'], chosen['joints'], chosen['code_dims']) == (15, 15, 3)


def rename(graph, old, new):
    """Rename an input or output of an ONNX graph."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name


def repeat(graph, name, axis):
    """Give the output `name` of an ONNX graph twice, one after the other along `axis`."""
    import onnx

    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f'{name}_once' if each == name else each for each in names]
    graph.node.append(onnx.helper.make_node('Concat', [f'{name}_once'] * 2, [name], axis=axis))
    dim = next(value for value in graph.output if value.name == name).type.tensor_type.shape.dim[axis]
    if dim.HasField('dim_value'):
        dim.dim_value *= 2


def fix_batch(graph):
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


@pytest.mark.parametrize(
    'name, change, message',
    [
        (
            'tokenizer.onnx',
            lambda graph: rename(graph, 'hand_pose', 'pose'),
            r"output 'hand_pose' is missing, expected float32 \(N, joints, 6\); found pose",
        ),
        (
            'context.onnx',
            lambda graph: rename(graph, 'presence', 'score'),
            "input 'score' is unknown, expected image, landmarks, .*presence",
        ),
        (
            'synthesizer.onnx',
            lambda graph: repeat(graph, 'camera', 1),
            r"output 'camera' is float32 \(N, 6\), expected float32 \(N, 3\)",
        ),
        (
            'context.onnx',
            lambda graph: repeat(graph, 'map0', 1),
            r"output 'map0' is float32 \(N, 256, 14, 14\), expected float32 \(N, width, .*width = 128 as in "
            'context.onnx',
        ),
        (
            'tokenizer.onnx',
            lambda graph: repeat(graph, 'hand_pose', 1),
            r"output 'hand_pose' is float32 \(.*, 30, 6\).*joints = 15 as in synthesizer.onnx",
        ),
        (
            'tokenizer.onnx',
            fix_batch,
            r"input 'embeddings' is float32 \(1, 15, 3\), expected float32 \(N, tokens, code_dims\)",
        ),
    ],
    ids=('output name', 'input name', 'fixed size', 'width', 'joints', 'batch'),
)
def test_a_network_that_does_not_fit_is_refused_with_what_differs(weights, name, change, message):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(weights / name)
    change(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, weights / name)
    describe(weights)
    text = refusal(weights)
    assert f'{weights / name} does not fit this version' in text and 'Fix: export the model again' in text
    with pytest.raises(ModelError, match=message):
        Reconstructor(weights, HandModel.load())


@pytest.mark.parametrize('name', ('palm_detector.onnx', 'landmarks.onnx'))
def test_the_detector_and_the_landmark_network_are_checked_too(weights, name):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(weights / name)
    rename(model.graph, 'image', 'picture')
    onnx.save(model, weights / name)
    with pytest.raises(ModelError, match=f"{name} does not fit .*input 'image' is missing.*found picture"):
        Device().open(weights / name)


def test_files_that_do_not_fit_each_other_or_model_json_are_refused(weights):
    describe(weights, lambda description: description.update(tokens=16))
    assert "input 'token_embeddings' is float32 (N, 15, 3)" in (text := refusal(weights))
    assert 'tokens = 16 as in model.json' in text
    with np.load(SHIPPED / 'codebook.npz') as arrays:
        codebook = arrays['codebook']
    for arrays, message in (
        ({'codebook': codebook[:511]}, 'is float32 (511, 3), expected float32 (codebook_size, code_dims)'),
        ({'codebook': codebook.astype(np.float64)}, 'is float64 (512, 3), expected float32'),
        ({'codes': codebook}, 'codebook'),
    ):
        np.savez(weights / 'codebook.npz', **arrays)
        describe(weights, lambda description: description.update(tokens=15))
        assert f'{weights / "codebook.npz"} does not fit' in (text := refusal(weights)) and message in text


def test_a_synthesizer_that_reads_what_the_context_does_not_give_is_refused(weights):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(weights / 'synthesizer.onnx')
    rename(model.graph, 'map1', 'map2')
    onnx.save(model, weights / 'synthesizer.onnx')
    describe(weights)
    assert "synthesizer.onnx has input 'map2', which is no output of context.onnx" in refusal(weights)


@pytest.mark.parametrize(
    'found, message',
    [
        (None, f'states no format, expected {FORMAT}. Fix: export the model again'),
        (
            FORMAT + 1,
            f'has format {FORMAT + 1}, newer than format {FORMAT} .*Fix: install a newer maskhand_ros',
        ),
        ('1', f"has format '1', expected {FORMAT}. Fix: export the model again"),
    ],
)
def test_another_format_is_refused(weights, found, message):
    def change(description):
        description.pop('format')
        if found is not None:
            description['format'] = found

    describe(weights, change)
    with pytest.raises(ModelError, match=f'model.json {message}'):
        Reconstructor(weights, HandModel.load())


def test_model_json_holds_the_documented_fields_and_those_that_count_are_read(weights):
    description = json.loads((SHIPPED / 'model.json').read_text())
    assert set(description) == set(MODEL_FIELDS)
    for name in RECORDS:
        describe(weights, lambda description, name=name: description.pop(name))
    describe(weights, lambda description: description.pop('calibration'))
    assert Reconstructor(weights, HandModel.load()).calibration.confidence is None
    for name in set(MODEL_FIELDS) - RECORDS - {'calibration'}:
        (weights / 'model.json').write_text(
            json.dumps({field: value for field, value in description.items() if field != name})
        )
        assert name in refusal(weights)
