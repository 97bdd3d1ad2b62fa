"""The exported model's answers on rendered shards, collected batch by batch: what the scores are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maskhand_ros import shard_schema
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.metrics import mpjpe, pa_mpjpe
from maskhand_ros.evaluation.placed_shards import PlacedShards
from maskhand_ros.perception.reconstructor import HandPrediction, Reconstructor
from maskhand_ros.shard_schema import CUE_SHARD

BATCH = 200
POSE = ('betas', 'global_orient', 'hand_pose')
TRUTH = (*shard_schema.TRUTH, 'kind')
"""Arrays of a shard besides cues."""

OPTIONAL = ('visible', 'kind')
"""Arrays that are not needed to measure."""


def shard_batches(
    folder: Path, split: str, limit: int, batch: int = BATCH
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yields cues and truth (two dicts of arrays (B, ...)) of at most `limit` samples of
    `<folder>/<split>-*.npz`, one shard in memory at a time.

    Cues are all that is not TRUTH, float32; those that were packed with a scale (name_scale) are unpacked.
    CommandError with the fix if there are none, or one does not fit the schema (shard_schema.CUE_SHARD).
    """
    paths = sorted(Path(folder).glob(f'{split}-*.npz'))
    if not paths:
        raise CommandError(
            f'no {split}-*.npz in {folder}',
            f'maskhand train data --out {folder} --split {split} --samples N',
        )
    for path in paths:
        if limit <= 0:
            return
        arrays = shard_schema.read_arrays(path, str(path), CUE_SHARD, 'maskhand train data', OPTIONAL)
        count = min(limit, len(arrays['keypoints']))
        limit -= count
        for start in range(0, count, batch):
            part = {name: array[start : min(start + batch, count)] for name, array in arrays.items()}
            truth = {name: part.pop(name) for name in TRUTH if name in part}
            yield {name: _unpacked(part, name) for name in part if not name.endswith('_scale')}, truth


def _unpacked(part: dict[str, np.ndarray], name: str) -> np.ndarray:
    values = part[name].astype(np.float32)
    scale = part.get(f'{name}_scale')
    if scale is not None:
        values *= scale.astype(np.float32).reshape(*scale.shape, *[1] * (values.ndim - scale.ndim))
    return values


@dataclass
class Predictions:
    """N hands of a split; keypoints are relative to the wrist, in the crop camera's frame, metres."""

    truth: np.ndarray
    """(N, 21, 3)"""
    keypoints: np.ndarray
    """(N, 21, 3) the point estimate."""
    stddev: np.ndarray
    """(N, 21, 2) lateral, depth."""
    confidence: np.ndarray
    """(N,)"""
    presence: np.ndarray
    """(N,) the landmark network's probability that there is a hand."""
    samples: np.ndarray | None = None
    """(S, N, 21, 3) hypotheses, the most probable first."""
    visible: np.ndarray | None = None
    """(N, 21) bool; None if the shards do not say."""
    published_error: np.ndarray | None = None
    """(N, 21, 3) metres, of the hands after the fit to their landmarks; None if they were not placed."""
    misfit: np.ndarray | None = None
    """(N,) refinement.misfit_of; None if they were not placed."""
    errors: dict[str, np.ndarray] = field(default_factory=dict)
    """(N,) arrays in mm, pixels or degrees, by name; those of T iterations end in `@T`."""

    @property
    def error(self) -> np.ndarray:
        """(N, 21, 3) metres."""
        return self.keypoints - self.truth

    @classmethod
    def concatenate(cls, several: list[Predictions]) -> Predictions:
        """The hands of several Predictions as one, without hypotheses and `errors`; `visible` where all have
        it."""

        def all_of(name: str) -> np.ndarray:
            return np.concatenate([getattr(hands, name) for hands in several])

        told = all(hands.visible is not None for hands in several)
        return cls(
            truth=all_of('truth'),
            keypoints=all_of('keypoints'),
            stddev=all_of('stddev'),
            confidence=all_of('confidence'),
            presence=all_of('presence'),
            visible=all_of('visible') if told else None,
        )

    def rows(self, chosen: np.ndarray | slice) -> Predictions:
        """The hands that an index into N picks."""
        parts = {
            name: None if value is None else value[:, chosen] if name == 'samples' else value[chosen]
            for name, value in vars(self).items()
            if name != 'errors'
        }
        return Predictions(**parts, errors={name: values[chosen] for name, values in self.errors.items()})


def collect(
    reconstructor: Reconstructor,
    data: Path,
    split: str,
    limit: int,
    iterations: Sequence[int] = (),
    vertices: bool = False,
    place: PlacedShards | None = None,
) -> Predictions:
    """Run the model on a split; `iterations` are further numbers of decoding steps to measure beside the
    reconstructor's own, `vertices` measures PA-MPVPE too; with `place` the hands are also
    fitted to their landmarks."""
    parts, errors, default = [], [], reconstructor.iterations
    for cues, truth in shard_batches(data, split, limit):
        try:
            prediction = reconstructor(cues)
        except KeyError as error:
            fix = 'delete and make them anew'
            if 'image' in reconstructor.inputs:
                fix = 'this measures models that read cues; for one that reads images, `maskhand benchmark`'
            raise CommandError(f'{split} shards in {data} lack {error}', fix) from error
        meshes = _meshes(reconstructor, truth) if vertices else None
        measured = _other_errors(prediction, truth, cues)
        measured.update(_shape_errors(reconstructor, prediction, truth, meshes))
        hypotheses, reconstructor.hypotheses = reconstructor.hypotheses, 0
        for steps in iterations:
            reconstructor.iterations = steps
            again = prediction if steps == default else reconstructor(cues)
            shape = _shape_errors(reconstructor, again, truth, meshes)
            measured.update({f'{name}@{steps}': values for name, values in shape.items()})
        reconstructor.iterations, reconstructor.hypotheses = default, hypotheses
        errors.append(measured)
        parts.append({**_arrays(prediction, truth, cues), **_placed(place, prediction, truth, cues)})
    arrays = {
        name: None if parts[0][name] is None else np.concatenate([part[name] for part in parts], axis)
        for name, axis in {**dict.fromkeys(parts[0], 0), 'samples': 1}.items()
    }
    return Predictions(
        **arrays, errors={name: np.concatenate([part[name] for part in errors]) for name in errors[0]}
    )


def _arrays(
    prediction: HandPrediction, truth: dict[str, np.ndarray], cues: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    samples = [hypothesis.keypoints for hypothesis in prediction.hypotheses or ()]
    return {
        'truth': truth['keypoints'].astype(float),
        'keypoints': prediction.keypoints.astype(float),
        'stddev': prediction.keypoint_stddev.astype(float),
        'confidence': np.asarray(prediction.confidence, float),
        'presence': cues['presence'][:, 0],
        'samples': np.array(samples, np.float32) if samples else None,
        'visible': truth['visible'].astype(bool) if 'visible' in truth else None,
    }


def _placed(
    place: PlacedShards | None,
    prediction: HandPrediction,
    truth: dict[str, np.ndarray],
    cues: dict[str, np.ndarray],
) -> dict[str, np.ndarray | None]:
    if place is None:
        return {'published_error': None, 'misfit': None}
    keypoints, misfit = place(prediction, cues, truth['focal'])
    return {'published_error': keypoints - truth['keypoints'], 'misfit': misfit}


def _meshes(reconstructor: Reconstructor, hands: dict[str, np.ndarray]) -> np.ndarray:
    """Vertices (B, V, 3) of hands given as a dict of POSE."""
    betas, orient, pose = (hands[name] for name in POSE)
    return reconstructor.hand_model(betas, orient, pose).vertices


def _shape_errors(
    reconstructor: Reconstructor,
    prediction: HandPrediction,
    truth: dict[str, np.ndarray],
    meshes: np.ndarray | None,
) -> dict[str, np.ndarray]:
    keypoints = truth['keypoints']
    errors = {
        'pa_mpjpe_mm': [pa_mpjpe(*pair) for pair in zip(prediction.keypoints, keypoints, strict=True)],
        'mpjpe_mm': [mpjpe(*pair) for pair in zip(prediction.keypoints, keypoints, strict=True)],
    }
    if meshes is not None:
        predicted = _meshes(reconstructor, vars(prediction))
        errors['pa_mpvpe_mm'] = [pa_mpjpe(*pair) for pair in zip(predicted, meshes, strict=True)]
    return {name: 1e3 * np.array(values) for name, values in errors.items()}


def _other_errors(
    prediction: HandPrediction, truth: dict[str, np.ndarray], cues: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    camera = prediction.camera[:, None]
    pixels = 224 * (camera[..., :1] * (prediction.keypoints[..., :2] + camera[..., 1:]) + 0.5)
    trace = np.einsum('nij,nij->n', prediction.global_orient, truth['global_orient'])
    world = cues['world_landmarks'].reshape(-1, 21, 3)
    return {
        'err2d_px': np.linalg.norm(pixels - truth['keypoints_px'], axis=-1).mean(1),
        'orientation_deg': np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))),
        'mediapipe_pa_mm': 1e3
        * np.array([pa_mpjpe(*pair) for pair in zip(world, truth['keypoints'], strict=True)]),
    }
