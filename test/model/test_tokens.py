"""Codes, masks and decoding: exact properties."""

import numpy as np
import pytest
import torch

from maskhand_ros.model.config import CUE_SHAPES, TokenizerConfig
from maskhand_ros.model.quantizers import code_indices, joint_logits, make_quantizer
from maskhand_ros.model.sampling import cosine_schedule, decode, random_mask
from maskhand_ros.model.synthesizer import Synthesis
from maskhand_ros.model.tokenizer import make_tokenizer
from maskhand_ros.perception import sampling

KINDS = {
    'finger, FSQ': TokenizerConfig(width=32),
    'hand, learned codebook': TokenizerConfig('hand', 'ema', 64, codes=96, dimensions=16, width=32),
    'hand, FSQ': TokenizerConfig('hand', 'fsq', 64, width=32),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def tokenizer(request):
    if request.param.quantizer == 'ema':
        pytest.importorskip('vector_quantize_pytorch')
    return make_tokenizer(request.param).eval()


def test_every_code_is_its_own_nearest(tokenizer):
    quantizer = tokenizer.quantizer
    digits = quantizer.digits(quantizer.codebook[None])[0]
    assert torch.equal(code_indices(quantizer, digits), torch.arange(len(quantizer.codebook)))
    assert torch.allclose(quantizer.lookup(digits), quantizer.codebook)


def test_finite_scalar_codes_stay_in_range():
    quantizer = make_quantizer(TokenizerConfig())
    assert quantizer.codebook.shape == (512, 3)
    extreme = quantizer(torch.tensor([[-50.0, 0.2, 50.0]]))[0]
    assert extreme[0, 0] == -1 and extreme[0, 2] == 1


def test_expected_decode_of_one_hot_logits_is_the_hard_decode(tokenizer):
    quantizer, tokens = tokenizer.quantizer, tokenizer.config.tokens
    digits = torch.randint(quantizer.group_size, (4, tokens, quantizer.groups))
    hard = quantizer.codebook[code_indices(quantizer, digits)]
    logits = 1e4 * torch.nn.functional.one_hot(digits, quantizer.group_size).float()
    assert torch.allclose(quantizer.expected(logits), hard, atol=1e-6)
    assert torch.allclose(quantizer.sample(logits), hard, atol=1e-6)
    assert torch.equal(joint_logits(logits).argmax(-1), code_indices(quantizer, digits))
    assert tokenizer.decode(hard).shape == (4, tokenizer.config.joints, 6)
    assert torch.allclose(tokenizer.decode(quantizer.expected(logits)), tokenizer.decode(hard), atol=1e-5)


def test_expected_codes_are_softmax_times_codebook(tokenizer):
    quantizer = tokenizer.quantizer
    logits = torch.randn(2, tokenizer.config.tokens, quantizer.groups, quantizer.group_size)
    expected = joint_logits(logits).softmax(-1) @ quantizer.codebook
    assert torch.allclose(quantizer.expected(logits), expected, atol=1e-5)


def test_training_masks_hide_everything_where_asked_and_something_everywhere():
    mask = random_mask(400, 15, 100, torch.Generator().manual_seed(0))
    hidden = mask.sum(1)
    assert (hidden[:100] == 15).all()
    assert hidden.min() >= 1 and len(hidden[100:].unique()) > 10


def test_hidden_tokens_fall_to_none_over_the_iterations():
    counts = []

    def step(codes, mask):
        counts.append(mask.sum(1))
        return np.random.default_rng(0).normal(size=(3, 15, 512))

    codebook = make_quantizer(TokenizerConfig()).codebook.numpy()
    for temperature in (0.0, 1.0):
        counts.clear()
        sampling.sample_tokens(
            step, codebook, 3, 15, 8, temperature=temperature, rng=np.random.default_rng(1)
        )
        falling = np.stack(counts)
        assert (falling[0] == 15).all() and (np.diff(falling, axis=0) < 0).all() and falling[-1].min() >= 1
    assert cosine_schedule(0) == 1 and abs(cosine_schedule(1)) < 1e-9


def test_a_sampled_token_stays_once_shown():
    rng = np.random.default_rng(0)
    codebook = make_quantizer(TokenizerConfig()).codebook.numpy()
    seen = []

    def step(codes, mask):
        seen.append((codes, mask))
        return rng.normal(size=(2, 15, 512))

    final, _ = sampling.sample_tokens(step, codebook, 2, 15, 5, temperature=1.0, rng=rng)
    for (codes, mask), (later, _) in zip(seen, seen[1:] + [(final, None)], strict=True):
        assert np.array_equal(codes[~mask], later[~mask])
    assert np.abs(final[..., None, :] - codebook).sum(-1).min(-1).max() == 0


def test_top_k_draws_among_the_most_probable_only():
    rng = np.random.default_rng(0)
    codebook = make_quantizer(TokenizerConfig()).codebook.numpy()
    logits = rng.normal(size=(200, 15, 512))
    for top_k, ranks in ((1, 1), (3, 3), (0, 512)):
        codes, _ = sampling.sample_tokens(
            lambda *_: logits, codebook, 200, 15, 1, temperature=1.0, top_k=top_k, rng=rng
        )
        drawn = np.abs(codes[:, :, None] - codebook).sum(-1).argmin(-1)
        rank = (logits > np.take_along_axis(logits, drawn[..., None], -1)).sum(-1)
        assert rank.max() < ranks and (top_k or rank.max() > 100)
        assert top_k != 3 or set(np.unique(rank)) == {0, 1, 2}


def test_numpy_and_torch_decoding_agree(tiny_model):
    torch.nn.init.normal_(tiny_model.synthesizer.token_head.weight)
    cues = {name: torch.randn(3, *shape) for name, shape in CUE_SHAPES.items()}
    context = tiny_model.context(cues)

    def step(codes, mask) -> Synthesis:
        return tiny_model.synthesizer(context, codes, mask)

    def numpy_step(codes, mask):
        return joint_logits(step(torch.from_numpy(codes), torch.from_numpy(mask)).logits).detach().numpy()

    quantizer = tiny_model.tokenizer.quantizer
    codebook = quantizer.codebook.numpy()
    for iterations in (1, 3, 5):
        ours, _ = decode(step, quantizer, 3, 15, iterations)
        theirs, probability = sampling.sample_tokens(numpy_step, codebook, 3, 15, iterations)
        assert np.allclose(ours.numpy(), theirs, atol=1e-5)
        assert ((probability > 0) & (probability <= 1)).all()
