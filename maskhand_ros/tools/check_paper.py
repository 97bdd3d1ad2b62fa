"""Builds the configuration `paper` at full depth with random weights, and shows that it runs and exports.

    make check-paper        (or: python -m maskhand_ros.tools.check_paper)

Prints parameters and FLOPs by part, runs a random image, exports to ONNX into a temporary folder and
compares what the run time makes of it with torch. Takes minutes on one core, and less than 16 GB of memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from maskhand_ros.cli_arguments import whole
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.model.config import MaskHandConfig, paper_config
from maskhand_ros.model.export import export_model
from maskhand_ros.model.maskhand import HandParameters, MaskHand
from maskhand_ros.model.rotation import rotation_6d_to_matrix
from maskhand_ros.perception.reconstructor import HandPrediction, Reconstructor

TOLERANCE = 1e-3
"""Metres between vertices by torch and by the exported model, whose folded constants are rounded to half."""


def random_cues(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Cues (IMAGE_SHAPES) of noise."""
    rng = np.random.default_rng(seed)
    return {
        'image': rng.uniform(0, 255, (count, 224, 224, 3)).astype(np.float32),
        'landmarks': rng.uniform(-0.4, 0.4, (count, 21, 3)).astype(np.float32),
        'presence': np.ones((count, 1), np.float32),
    }


@torch.no_grad()
def round_weights(model: nn.Module) -> None:
    """To half precision, as the exported files hold them."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())


def parts_of(model: MaskHand) -> dict[str, nn.Module]:
    """The parts by the paper's names."""
    context = model.context
    return {
        'image encoder (ViT)': context.backbone,
        'feature pyramid': context.pyramid,
        'shape and camera head': context.shape_head,
        '2D pose graph': context.graph,
        'refinement (GAPR)': model.synthesizer.refinement,
        'masked synthesizer': model.synthesizer.layers,
        'tokenizer (VQ-MANO)': model.tokenizer,
    }


@torch.no_grad()
def flops(model: MaskHand, cues: dict[str, torch.Tensor]) -> dict[str, int]:
    """Floating-point operations (a multiply-add counts two) of one crop, by stage."""
    counted = {}

    def count(name: str, call: Callable[..., Any], *inputs: Any) -> Any:
        # The fused kernel of attention on CPUs is not in torch's table; the plain one is made of products.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            result = call(*inputs)
        counted[name] = counter.get_total_flops()
        return result

    context = count('context, once a crop', model.context, cues)
    codes, mask = model.nothing_shown(context)
    count('synthesizer, each iteration', model.synthesizer, context, codes, mask)
    count('tokenizer decoder, once', model.tokenizer.decode, codes)
    return counted


def largest_difference(hand: HandModel, ours: HandParameters, theirs: HandPrediction) -> float:
    """Of vertices, in metres, between a torch answer and a HandPrediction."""
    pose, orient = (rotation_6d_to_matrix(part).numpy() for part in ours[:2])
    expected = hand(ours.betas.numpy(), orient, pose).vertices
    return float(np.abs(hand(theirs.betas, theirs.global_orient, theirs.hand_pose).vertices - expected).max())


def check(config: MaskHandConfig, iterations: int = 5) -> float:
    """Do it all and print; the largest difference of a vertex in metres. OSError where the disk is full."""
    torch.manual_seed(0)
    model = MaskHand(config).eval()
    # Untrained logits and codes are nearly even: the hand would hardly depend on the image.
    nn.init.normal_(model.synthesizer.token_head.weight)
    nn.init.normal_(model.tokenizer.quantizer.codebook, std=10)
    round_weights(model)
    total = sum(p.numel() for p in model.parameters())
    print(f'{config.name}: {total / 1e6:.1f} M parameters')
    for name, part in parts_of(model).items():
        print(f'  {name:28} {sum(p.numel() for p in part.parameters()) / 1e6:9.2f} M')
    cues = random_cues(1)
    inputs = {name: torch.from_numpy(values) for name, values in cues.items()}
    for name, count in flops(model, inputs).items():
        print(f'  {name:28} {count / 1e9:9.2f} GFLOP')
    start = time.monotonic()
    answer, _ = model(inputs, iterations)
    print(f'torch, T = {iterations}: {time.monotonic() - start:.1f} s on {torch.get_num_threads()} thread(s)')
    hand = HandModel.load()
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        export_model(model, Path(folder), {})
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f'export: {time.monotonic() - start:.0f} s, {size / 1e6:.0f} MB (weights in half precision)')
        del model
        reconstructor = Reconstructor(folder, hand, iterations=iterations)
        start = time.monotonic()
        prediction = reconstructor(cues)
        print(f'ONNX Runtime, T = {iterations}: {time.monotonic() - start:.1f} s on one thread')
    difference = largest_difference(hand, answer, prediction)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'largest difference of a vertex {1e3 * difference:.4f} mm; peak memory {peak:.1f} GiB')
    return difference


def main() -> int:
    """Exit status 1 if the exported model differs from torch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--depth', type=whole(1), help='of the image encoder (default: all 32 blocks)')
    args = parser.parse_args()
    config = paper_config()
    if args.depth:
        config = replace(config, vit=replace(config.vit, depth=args.depth))
    return int(check(config) > TOLERANCE)


if __name__ == '__main__':
    raise SystemExit(main())
