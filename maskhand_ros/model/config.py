"""Sizes of the compact MaskHand: what a checkpoint needs besides its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

FINGERS = 5
FINGER_JOINTS = 3
POSE_SIZE = FINGERS * FINGER_JOINTS * 6
"""15 finger joints in 6D."""

BETAS = 10
TRUNK_SIZE = POSE_SIZE + 6 + BETAS + 3
"""What the trunk regresses: hand pose (90), global orientation in 6D (6), betas (10), camera (3)."""

CUE_SHAPES = {
    'landmarks': (21, 3),
    'world_landmarks': (21, 3),
    'presence': (1,),
    'handedness': (1,),
    'global_feature': (1152,),
    'f142': (21, 112),
    'f131': (21, 80),
}
"""The cues of one crop, in the order of the exported network's inputs."""

FEATURES = ('global_feature', 'f142', 'f131')
"""The cues that are activations of the landmark network: standardised before use."""


@dataclass(frozen=True)
class TokenizerConfig:
    """`levels`: values per dimension of a code (their product is the codebook size)."""

    levels: tuple[int, ...] = (8, 8, 8)
    tokens_per_finger: int = 3
    width: int = 256
    blocks: int = 2

    @property
    def tokens(self) -> int:
        """Tokens of a whole hand."""
        return FINGERS * self.tokens_per_finger


@dataclass(frozen=True)
class MaskHandConfig:
    """`width`: of a transformer token; `context_tokens`: tokens that the trunk adds to the memory."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    width: int = 128
    layers: int = 3
    heads: int = 4
    refinement_blocks: int = 2
    trunk_width: int = 768
    trunk_blocks: int = 3
    context_tokens: int = 6
    dropout: float = 0.2

    def to_dict(self) -> dict:
        """Plain types only, for a checkpoint or JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> MaskHandConfig:
        """The inverse of `to_dict`."""
        tokenizer = dict(values['tokenizer'])
        tokenizer['levels'] = tuple(tokenizer['levels'])
        return MaskHandConfig(**{**values, 'tokenizer': TokenizerConfig(**tokenizer)})
