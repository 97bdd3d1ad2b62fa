"""Reconstruction of hands in the crop camera's frame from cues, by the exported MaskHand model."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from maskhand_ros.geometry import rotation_6d_to_matrix, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.calibration import Calibration
from maskhand_ros.perception.device import Arrays, Device
from maskhand_ros.perception.pose_networks import PoseNetworks
from maskhand_ros.perception.sampling import sample_tokens
from maskhand_ros.perception.weights import POSE_MODEL_FILES, verify_weights

SAMPLING_STEPS = 3
"""Minimum decoding steps of a sampled hypothesis."""


@dataclass
class HandPrediction:
    """N right hands (left ones mirrored), in the frame of their crop camera; metres.

    `camera` is (scale, tx, ty): crop px / 224 - 0.5 = scale * (keypoint xy + (tx, ty)).
    `keypoint_stddev` [..., 0] is per axis across the viewing ray, [..., 1] along it. `confidence` is the
    probability that the mean keypoint error is below 20 mm if model.json has a calibration; otherwise, and in
    hypotheses, it is the geometric mean of the token probabilities. `hypotheses` are HandPredictions of the
    same N hands, sorted for each hand with the most probable first.
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
        """(N,) whether all numbers of a hand are finite."""
        parts = (self.keypoints, self.global_orient, self.hand_pose, self.betas, self.keypoint_stddev)
        return np.isfinite(sum(part.reshape(len(part), -1).sum(1) for part in parts))

    def rows(self, chosen: np.ndarray | list[int]) -> HandPrediction:
        """The HandPrediction of the hands `chosen`, indices or a boolean mask."""
        parts = {name: value[chosen] for name, value in vars(self).items() if name != 'hypotheses'}
        drawn = self.hypotheses and [hypothesis.rows(chosen) for hypothesis in self.hypotheses]
        return HandPrediction(**parts, hypotheses=drawn)


class Reconstructor:
    """Cues -> HandPrediction, with the model in `weights_dir` and the hand mesh `hand_model`.

    `iterations`: decoding steps of the point estimate. `hypotheses`: number of additional sampled poses for
    each hand, each decoded in at least SAMPLING_STEPS steps at `temperature` from the `top_k` most probable
    tokens (0: all); `seed` makes them reproducible. `required_files` must be listed in model.json.
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
        self._device = device or Device()
        networks = PoseNetworks.open(folder, self.description, self._device)
        self.codebook, self.length = networks.codebook, self.description['tokens']
        self._context, self._synthesizer, self._tokenizer = (
            networks.context,
            networks.synthesizer,
            networks.tokenizer,
        )
        self.inputs = self._context.inputs
        """Names of the cues that the model reads."""

    def __call__(self, cues: dict[str, np.ndarray]) -> HandPrediction:
        """HandPrediction of N crops, given their cues (the dict of `CueNetwork`)."""
        prediction, context = self._estimate(cues)
        if self.hypotheses:
            steps = max(self.iterations, SAMPLING_STEPS)
            drawn = [
                self._sample(context, steps, self.temperature, self.top_k) for _ in range(self.hypotheses)
            ]
            for hypothesis in drawn:
                hypothesis.keypoint_stddev = self.calibration.stddev(hypothesis.keypoint_stddev)
            prediction.hypotheses = _ranked(drawn)
        return prediction

    def estimate(self, cues: dict[str, np.ndarray]) -> HandPrediction:
        """HandPrediction of N crops, without hypotheses."""
        return self._estimate(cues)[0]

    def _estimate(self, cues: Arrays) -> tuple[HandPrediction, Arrays]:
        """The point estimate of N crops, and the outputs of the context network where poses are sampled."""

        sampled = self.hypotheses or self.calibration.samples

        def run(inputs: Arrays) -> Arrays:
            context = self._context.run(inputs)
            return {**(context if sampled else {}), **self._decode(context, self.iterations, 0.0)}

        inputs = {name: np.ascontiguousarray(cues[name], np.float32) for name in self.inputs}
        # All networks of a hand in one thread: the hands wait for each other only once.
        outputs = self._device.scatter(run, inputs)
        context = {name: outputs.pop(name) for name in self._context.outputs if sampled}
        prediction = self._prediction(outputs, 0.0)
        # The spread of these samples is part of the uncertainty, which was calibrated with this number of
        # steps and this temperature.
        samples = [self._sample(context, SAMPLING_STEPS, 1.0) for _ in range(self.calibration.samples)]
        self._calibrate(prediction, samples, cues)
        return prediction, context

    def _sample(self, context: Arrays, iterations: int, temperature: float, top_k: int = 0) -> HandPrediction:
        """A sampled pose of each of N hands, given the outputs of the context network."""
        return self._prediction(self._decode(context, iterations, temperature, top_k), temperature)

    def _calibrate(self, prediction: HandPrediction, samples: list[HandPrediction], cues: Arrays) -> None:
        """Applies the Calibration to the standard deviations and the confidence of a HandPrediction;
        `samples` are sampled poses of the same hands."""
        keypoints = np.array([sample.keypoints for sample in samples])
        prediction.keypoint_stddev = self.calibration.stddev(prediction.keypoint_stddev, keypoints)
        if self.calibration.confidence is not None:
            prediction.confidence = self.calibration.probability(prediction.keypoint_stddev, cues['presence'])

    def _decode(self, context: Arrays, iterations: int, temperature: float, top_k: int = 0) -> Arrays:
        """Outputs of synthesizer and tokenizer, and the `probability` (N, L) of each token."""
        heads: Arrays = {}
        # The synthesizer reads these in each step; only codes and mask change.
        context_inputs = {name: context[name] for name in context if name in self._synthesizer.inputs}

        def step(codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
            heads.update(self._synthesizer.run({'token_embeddings': codes, 'mask': mask, **context_inputs}))
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
        return {**heads, **self._tokenizer.run({'embeddings': codes}), 'probability': probability}

    def _prediction(self, heads: Arrays, temperature: float) -> HandPrediction:
        """HandPrediction of the outputs of `_decode`."""
        betas, camera, log_variance = (heads[name] for name in ('betas', 'camera', 'log_variance'))
        joints, probability = heads['hand_pose'], heads['probability']
        # Without this output the tokens encode the global orientation too, as the first joint.
        if 'global_orient' in heads:
            joints = np.concatenate([heads['global_orient'][:, None], joints], 1)
        rotations = rotation_6d_to_matrix(joints)
        orient, pose = rotations[:, 0], rotations[:, 1:]
        if temperature and 'global_orient' in heads:
            orient = self._sampled_orientation(orient, heads['orient_log_variance'], temperature)
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

    def _sampled_orientation(
        self, orient: np.ndarray, log_variance: np.ndarray, temperature: float
    ) -> np.ndarray:
        """Samples of the orientation (N, 3, 3) from a Gaussian around `orient`. `log_variance`
        (N, 3): of the rotation about each axis of the crop camera, radians squared."""
        sigma = np.exp(log_variance / 2) * np.sqrt(temperature)
        return rotvec_to_matrix(sigma * self._rng.standard_normal(sigma.shape)) @ orient


def _ranked(drawn: list[HandPrediction]) -> list[HandPrediction]:
    """Hypotheses sorted separately for each hand, the most probable first."""
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
