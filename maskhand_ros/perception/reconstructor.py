"""Cues of a crop to a hand in the crop camera's frame: the exported MaskHand, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from ..geometry import rotation_6d_to_matrix, rotvec_to_matrix
from ..hand_model.numpy_hand import HandModel
from .calibration import Calibration
from .device import Arrays, Device
from .pose_networks import PoseNetworks
from .sampling import sample_tokens
from .weights import POSE_MODEL_FILES, verify_weights

DRAWING_STEPS = 3
"""In which a hypothesis is drawn, at least."""


@dataclass
class HandPrediction:
    """N right hands (left ones mirrored), in the frame of their crop camera; metres.

    `camera` is (scale, tx, ty): crop px / 224 - 0.5 = scale * (keypoint xy + (tx, ty)).
    `keypoint_stddev` is per axis across the viewing ray, and along it. `confidence` is the probability that
    the mean keypoint error is below 20 mm where the model is calibrated for it; else, and in a hypothesis,
    the geometric mean of the probabilities of the tokens. Each hypothesis is a HandPrediction, the most
    probable one of each hand first.
    """

    global_orient: np.ndarray  # (N, 3, 3)
    hand_pose: np.ndarray  # (N, 15, 3, 3)
    betas: np.ndarray  # (N, 10)
    camera: np.ndarray  # (N, 3)
    keypoints: np.ndarray  # (N, 21, 3) wrist at the origin
    token_confidence: np.ndarray  # (N, L)
    confidence: np.ndarray  # (N,)
    keypoint_stddev: np.ndarray  # (N, 21, 2)
    hypotheses: list[HandPrediction] | None = None

    @property
    def finite(self) -> np.ndarray:
        """(N,) whether every number of a hand is one."""
        parts = (self.keypoints, self.global_orient, self.hand_pose, self.betas, self.keypoint_stddev)
        return np.isfinite(sum(part.reshape(len(part), -1).sum(1) for part in parts))

    def rows(self, chosen: np.ndarray | list[int]) -> HandPrediction:
        """The HandPrediction of the hands that a list of indices picks."""
        parts = {name: value[chosen] for name, value in vars(self).items() if name != 'hypotheses'}
        drawn = self.hypotheses and [hypothesis.rows(chosen) for hypothesis in self.hypotheses]
        return HandPrediction(**parts, hypotheses=drawn)


class Reconstructor:
    """Cues -> HandPrediction, with the model in `weights_dir` and the hand mesh `hand_model`.

    `iterations`: decoding steps of the point estimate (1: one pass). `hypotheses`: sampled hands beside it,
    each drawn in DRAWING_STEPS or more at `temperature` among the `top_k` most probable tokens (0: all),
    reproducible by `seed`. `required_files` of the folder must be listed in its model.json.
    """

    def __init__(
        self,
        weights_dir: str | PathLike[str],
        hand_model: HandModel,
        device: Device | None = None,
        iterations: int = 1,
        hypotheses: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
        required_files: tuple[str, ...] = POSE_MODEL_FILES,
    ) -> None:
        folder = Path(weights_dir)
        self.description = verify_weights(folder, required_files)
        self.calibration = Calibration.of(self.description)
        self.hand_model = hand_model
        self.iterations, self.hypotheses = iterations, hypotheses
        self.temperature, self.top_k = temperature, top_k
        self._rng = np.random.default_rng(seed)
        networks = PoseNetworks.open(folder, self.description, device or Device())
        self.codebook, self.length = networks.codebook, networks.tokens
        self._context, self._synthesizer, self._tokenizer = (
            networks.context,
            networks.synthesizer,
            networks.tokenizer,
        )
        self.inputs = self._context.inputs
        """Names of the cues that the model reads."""

    def __call__(self, cues: dict[str, np.ndarray]) -> HandPrediction:
        """HandPrediction of N crops, given their cues (the dict of `CueNetwork`)."""
        context = self._context_of(cues)
        prediction = self._estimate(context, cues)
        if self.hypotheses:
            steps = max(self.iterations, DRAWING_STEPS)
            drawn = [
                self._decode(context, steps, self.temperature, self.top_k) for _ in range(self.hypotheses)
            ]
            for hypothesis in drawn:
                hypothesis.keypoint_stddev = self.calibration.stddev(hypothesis.keypoint_stddev)
            prediction.hypotheses = _ranked(drawn)
        return prediction

    def estimate(self, cues: dict[str, np.ndarray]) -> HandPrediction:
        """HandPrediction of N crops as of a call, without hypotheses."""
        return self._estimate(self._context_of(cues), cues)

    def _context_of(self, cues: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._context.run({name: np.ascontiguousarray(cues[name], np.float32) for name in self.inputs})

    def _estimate(self, context: dict[str, np.ndarray], cues: dict[str, np.ndarray]) -> HandPrediction:
        prediction = self._decode(context, self.iterations, 0.0)
        # The spread of draws counts as it was calibrated, whatever the hypotheses are asked to be.
        spread = [self._decode(context, DRAWING_STEPS, 1.0) for _ in range(self.calibration.samples)]
        self._calibrate(prediction, spread, cues)
        return prediction

    def _calibrate(self, prediction: HandPrediction, spread: list[HandPrediction], cues: Arrays) -> None:
        """Bring the deviations of a HandPrediction to scale, with the `spread` of draws where it is part of
        them, and its confidence."""
        places = np.array([hypothesis.keypoints for hypothesis in spread])
        prediction.keypoint_stddev = self.calibration.stddev(prediction.keypoint_stddev, places)
        if self.calibration.confidence is not None:
            prediction.confidence = self.calibration.probability(prediction.keypoint_stddev, cues['presence'])

    def _decode(self, context: Arrays, iterations: int, temperature: float, top_k: int = 0) -> HandPrediction:
        heads: Arrays = {}
        fixed = {name: value for name, value in context.items() if name in self._synthesizer.inputs}

        def step(codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
            heads.update(self._synthesizer.run({'token_embeddings': codes, 'mask': mask, **fixed}))
            return heads['logits']

        codes, probability = sample_tokens(
            step,
            self.codebook,
            len(context['nodes']),
            self.length,
            iterations,
            temperature=temperature,
            top_k=top_k,
            rng=self._rng,
        )
        betas, camera, log_variance = (heads[name] for name in ('betas', 'camera', 'log_variance'))
        joints = self._tokenizer.run({'embeddings': codes})['hand_pose']
        # Where the tokens hold the global orientation, it is among them, and comes first.
        if 'global_orient' in heads:
            joints = np.concatenate([heads['global_orient'][:, None], joints], 1)
        rotations = rotation_6d_to_matrix(joints)
        orient, pose = rotations[:, 0], rotations[:, 1:]
        if temperature and 'global_orient' in heads:
            orient = self._turned(orient, heads['orient_log_variance'], temperature)
        keypoints = self.hand_model(betas, orient, pose, vertices=False).keypoints
        confidence = np.exp(np.log(np.maximum(probability, 1e-9)).mean(1))
        return HandPrediction(
            orient,
            pose,
            betas,
            camera,
            keypoints - keypoints[:, :1],
            probability,
            confidence,
            np.exp(log_variance / 2),
        )

    def _turned(self, orient: np.ndarray, log_variance: np.ndarray, temperature: float) -> np.ndarray:
        """Orientations (N, 3, 3) drawn about those predicted, with their spread about the camera's axes."""
        spread = np.exp(log_variance / 2) * np.sqrt(temperature)
        return rotvec_to_matrix(spread * self._rng.standard_normal(spread.shape)) @ orient


def _ranked(drawn: list[HandPrediction]) -> list[HandPrediction]:
    """Hypotheses reordered hand by hand, the most probable first."""
    order = np.argsort([-hypothesis.confidence for hypothesis in drawn], axis=0)
    fields = (
        'global_orient',
        'hand_pose',
        'betas',
        'camera',
        'keypoints',
        'token_confidence',
        'confidence',
        'keypoint_stddev',
    )
    stacked = {name: np.stack([getattr(hypothesis, name) for hypothesis in drawn]) for name in fields}
    hands = np.arange(order.shape[1])
    return [HandPrediction(**{name: values[row, hands] for name, values in stacked.items()}) for row in order]
