"""A weights folder back in torch: the network that ONNX Runtime runs, in every configuration, and out."""

import json

import pytest
import torch
from onnxruntime import InferenceSession

from maskhand_ros.errors import ModelError
from maskhand_ros.model.config import TokenizerConfig, ViTConfig, paper_config
from maskhand_ros.model.export import export_model
from maskhand_ros.model.from_folder import read_model
from maskhand_ros.model.maskhand import MaskHand
from maskhand_ros.model.onnx_file import read_weights
from maskhand_ros.network_contract import CONTEXT
from maskhand_ros.perception.weights import SHIPPED


def run(name, **inputs):
    """Outputs (tensors) of a shipped network in ONNX Runtime."""
    session = InferenceSession(str(SHIPPED / f'{name}.onnx'), providers=['CPUExecutionProvider'])
    return list(map(torch.from_numpy, session.run(None, {k: v.numpy() for k, v in inputs.items()})))


def assert_equal_to_1e4(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max()


@torch.no_grad()
def test_the_shipped_model_is_the_same_in_torch_and_exported_again(tmp_path):
    model, description = read_model(SHIPPED)
    cues = {name: torch.rand(4, *shape) for name, shape in model.input_shapes.items()}
    context = model.context(cues)
    inputs = run('context', **cues)
    assert_equal_to_1e4((*context[:-1], *context.maps), inputs)

    pose = torch.randn(4, 15, 6)
    embeddings = model.tokenizer.encode(pose)
    assert_equal_to_1e4([embeddings], run('tokenizer_encoder', hand_pose=pose))
    codes = model.tokenizer.quantizer.lookup(model.tokenizer.digits(pose))
    assert_equal_to_1e4([model.tokenizer.decode(codes)], run('tokenizer', embeddings=codes))

    mask = torch.rand(4, 15) < 0.5
    out = model.synthesizer(context, codes, mask)
    named = {tensor.name: value for tensor, value in zip(CONTEXT, inputs, strict=False)}
    theirs = run('synthesizer', token_embeddings=codes, mask=mask, **named)
    assert_equal_to_1e4(out[2:], theirs[1:])
    # Logits of whole codes are sums of the logits of digits.
    assert_equal_to_1e4([out.logits.amax(-1).sum(-1)], [theirs[0].amax(-1)])

    export_model(model, tmp_path, description['training'])
    for name in ('context', 'synthesizer', 'tokenizer', 'tokenizer_encoder'):
        before, after = (read_weights(folder / f'{name}.onnx') for folder in (SHIPPED, tmp_path))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[weight], after[weight]) for weight in before), name


@pytest.fixture(params=['compact', 'paper'])
def untrained(request, tiny_model):
    """A model whose weights are partly equal to one another, or zero."""
    if request.param == 'compact':
        return tiny_model
    pytest.importorskip('vector_quantize_pytorch', reason='needs the extra `train`')
    tokenizer = TokenizerConfig('hand', 'ema', 64, codes=64, dimensions=16, width=32)
    vit = ViTConfig(dimensions=64, depth=2, heads=2, drop_path=0.0)
    config = paper_config(tokenizer=tokenizer, width=32, layers=2, heads=2, vit=vit, shape_layers=1)
    return MaskHand(config).eval()


def test_every_weight_comes_back_in_its_place(untrained, tmp_path):
    export_model(untrained, tmp_path, {})
    model, description = read_model(tmp_path)
    assert model.config == untrained.config and description['name'] == tmp_path.name
    found = model.state_dict()
    for name, value in untrained.state_dict().items():
        if '.quantizer.' not in name:
            assert torch.equal(found[name], value) or torch.equal(found[name], value.half().float()), name
    assert torch.equal(model.tokenizer.quantizer.codebook, untrained.tokenizer.quantizer.codebook)


def test_a_folder_that_cannot_be_trained_is_named(tiny_model, tmp_path):
    export_model(tiny_model, tmp_path, {})
    index = tmp_path / 'model.json'
    description = json.loads(index.read_text())
    wider = {**description['config'], 'width': 64}
    index.write_text(json.dumps({**description, 'config': wider}))
    with pytest.raises(ModelError, match='do not hold the weights.*context.*among them.*maskhand export'):
        read_model(tmp_path)
    index.write_text(json.dumps({**description, 'config': {'width': 32}}))
    with pytest.raises(ModelError, match=r"KeyError\('tokenizer'\) in `config`"):
        read_model(tmp_path)
    files = {name: digest for name, digest in description['files'].items() if 'encoder' not in name}
    index.write_text(json.dumps({**description, 'files': files}))
    with pytest.raises(ModelError, match=r'lists no SHA-256 for tokenizer_encoder.onnx.*maskhand export'):
        read_model(tmp_path)
