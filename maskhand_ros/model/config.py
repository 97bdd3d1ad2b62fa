"""Sizes of MaskHand's two configurations: what a checkpoint needs besides its weights.

`compact` is shipped: it reads the cues of MediaPipe's landmark network. `paper` is the published system:
ViT-H/16 on the image, 64 tokens with the global orientation among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..network_contract import CUES, MAPS

FINGERS = 5
FINGER_JOINTS = 3
HAND_JOINTS = FINGERS * FINGER_JOINTS
POSE_SIZE = HAND_JOINTS * 6
"""15 finger joints in 6D."""

BETAS = 10
TRUNK_SIZE = POSE_SIZE + 6 + BETAS + 3
"""What a first regression may hold: hand pose (90), global orientation in 6D (6), betas (10), camera (3)."""

CUE_SHAPES = {name: shape for name, shape in CUES.items() if name != 'image'}
"""Cues of one crop that `compact` reads, in the order of the exported network's inputs."""

MAP_SHAPES = {name: CUES[name] for name in MAPS}
"""Feature maps (C, H, W) of the landmark network, fine to coarse."""


@dataclass(frozen=True)
class TokenizerConfig:
    """`kind` 'finger': one small network for each finger's joints, `tokens` // 5 tokens a finger. `kind`
    'hand': the paper's VQ-MANO, convolutions along the joints of the whole hand with the global orientation
    as the first.

    `quantizer` 'fsq': finite scalar quantisation with `levels` values per dimension (their product is the
    codebook's size); 'ema': a codebook of `codes` vectors of `dimensions`, kept by moving averages.
    """

    kind: str = 'finger'
    quantizer: str = 'fsq'
    tokens: int = 15
    levels: tuple[int, ...] = (8, 8, 8)
    codes: int = 2048
    dimensions: int = 256
    width: int = 256
    blocks: int = 2

    @property
    def joints(self) -> int:
        """Joints that the tokens describe: the fingers', and the wrist's where the orientation is among
        them."""
        return HAND_JOINTS + (self.kind == 'hand')


@dataclass(frozen=True)
class ViTConfig:
    """A vision transformer with square patches on an image of `height` x `width` px."""

    height: int = 256
    width: int = 192
    patch: int = 16
    dimensions: int = 1280
    depth: int = 32
    heads: int = 16
    drop_path: float = 0.55


@dataclass(frozen=True)
class MaskHandConfig:
    """`width`: of a transformer token. `points`: places that a head looks at in each feature map.

    `multi_scale` False leaves the coarsest map only. `head` 'regression' gives the joints in 6D straight from
    the token queries: the ablations' baseline, which has no tokens to sample and is not exported. `trunk_*`,
    `context_tokens` and `dropout` are of the MLP that `compact` has beside the paper's parts; `vit` and
    `shape_layers` of the image encoder that `paper` has."""

    name: str = 'compact'
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    width: int = 128
    layers: int = 3
    heads: int = 4
    points: int = 4
    refinement_blocks: int = 2
    multi_scale: bool = True
    pose_cues: bool = True
    head: str = 'tokens'
    trunk_rank: int = 128
    trunk_width: int = 768
    trunk_blocks: int = 3
    context_tokens: int = 6
    dropout: float = 0.2
    vit: ViTConfig | None = None
    shape_layers: int = 6

    @property
    def map_levels(self) -> int:
        """How many maps the synthesizer looks at."""
        return 1 if not self.multi_scale else 2 if self.vit is None else 3

    def to_dict(self) -> dict:
        """Plain types only, for a checkpoint or JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> MaskHandConfig:
        """The inverse of `to_dict`."""
        tokenizer = TokenizerConfig(**{**values['tokenizer'], 'levels': tuple(values['tokenizer']['levels'])})
        vit = values['vit'] and ViTConfig(**values['vit'])
        return MaskHandConfig(**{**values, 'tokenizer': tokenizer, 'vit': vit})


def paper_config(**changes: Any) -> MaskHandConfig:
    """The published system; what the paper leaves open is as TokenHMR and HaMeR, its ancestors, have it."""
    values = {
        'name': 'paper',
        'tokenizer': TokenizerConfig('hand', 'ema', tokens=64, codes=2048, dimensions=256),
        'width': 512,
        'layers': 6,
        'heads': 8,
        'vit': ViTConfig(),
    }
    return MaskHandConfig(**{**values, **changes})
