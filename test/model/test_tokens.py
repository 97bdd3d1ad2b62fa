"""Codes, masks and decoding: exact properties."""

import numpy as np
import torch

from maskhand_ros.model.config import CUE_SHAPES, TokenizerConfig
from maskhand_ros.model.sampling import (
    cosine_schedule,
    decode_expected,
    expected_codes,
    joint_logits,
    random_mask,
    sample_codes,
)
from maskhand_ros.model.synthesizer import Synthesis
from maskhand_ros.model.tokenizer import FingerTokenizer
from maskhand_ros.perception import sampling


def one_hot_logits(digits, levels):
    return 1e4 * torch.nn.functional.one_hot(digits, levels).float()


def test_quantizer_rounds_every_code_of_its_codebook_to_itself():
    quantizer = FingerTokenizer(TokenizerConfig()).quantizer
    digits = quantizer.digits(quantizer.codebook)
    assert quantizer.codebook.shape == (512, 3)
    assert torch.equal(quantizer.indices(digits), torch.arange(512))
    extreme = quantizer(torch.tensor([[-50.0, 0.2, 50.0]]))
    assert extreme[0, 0] == -1 and extreme[0, 2] == 1


def test_expected_decode_of_one_hot_logits_is_the_hard_decode():
    tokenizer = FingerTokenizer(TokenizerConfig())
    digits = torch.randint(8, (4, 15, 3))
    hard = tokenizer.quantizer.codebook[tokenizer.quantizer.indices(digits)]
    logits = one_hot_logits(digits, 8)
    assert torch.allclose(expected_codes(logits), hard, atol=1e-6)
    assert torch.allclose(sample_codes(logits), hard, atol=1e-6)
    assert torch.equal(joint_logits(logits).argmax(-1), tokenizer.quantizer.indices(digits))
    assert torch.allclose(tokenizer.decode(expected_codes(logits)), tokenizer.decode(hard), atol=1e-5)


def test_expected_codes_are_softmax_times_codebook():
    logits = torch.randn(2, 15, 3, 8)
    codebook = FingerTokenizer(TokenizerConfig()).quantizer.codebook
    assert torch.allclose(expected_codes(logits), joint_logits(logits).softmax(-1) @ codebook, atol=1e-5)


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

    codebook = FingerTokenizer(TokenizerConfig()).quantizer.codebook.numpy()
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
    codebook = FingerTokenizer(TokenizerConfig()).quantizer.codebook.numpy()
    seen = []

    def step(codes, mask):
        seen.append((codes, mask))
        return rng.normal(size=(2, 15, 512))

    final, _ = sampling.sample_tokens(step, codebook, 2, 15, 5, temperature=1.0, rng=rng)
    for (codes, mask), (later, _) in zip(seen, seen[1:] + [(final, None)], strict=True):
        assert np.array_equal(codes[~mask], later[~mask])
    assert np.abs(final[..., None, :] - codebook).sum(-1).min(-1).max() == 0


def test_numpy_and_torch_decoding_agree(tiny_model):
    torch.nn.init.normal_(tiny_model.synthesizer.token_head.weight)
    cues = {name: torch.randn(3, *shape) for name, shape in CUE_SHAPES.items()}
    memory, trunk = tiny_model.context(cues)

    def step(codes, mask) -> Synthesis:
        return tiny_model.synthesizer(memory, trunk, codes, mask)

    def numpy_step(codes, mask):
        return joint_logits(step(torch.from_numpy(codes), torch.from_numpy(mask)).logits).detach().numpy()

    codebook = tiny_model.tokenizer.quantizer.codebook.numpy()
    for iterations in (1, 3, 5):
        ours, _ = decode_expected(step, 3, 15, 3, iterations)
        theirs, probability = sampling.sample_tokens(numpy_step, codebook, 3, 15, iterations)
        assert np.allclose(ours.numpy(), theirs, atol=1e-5)
        assert ((probability > 0) & (probability <= 1)).all()
