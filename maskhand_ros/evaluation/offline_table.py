"""Labels refined offline (labelling.offline) against the node's hands, on rendered sequences with truth.

`maskhand evaluate-video --offline` runs the pipeline with its smoothing (online) and without (refined over
the whole sequence). Figures are means over the frames in which both have the hand. PA: after the best
similarity; root: from the wrist; jitter: error of the acceleration of the keypoints from the wrist, and of
the wrist itself (Kanazawa et al. 2019, "accel error"); wrist: its error, and the same after the one best
factor for each hand (scaled), because one camera sees no sizes; lag: delay of the wrist's path against the
truth, where it moves. The pipeline takes one hand length. Where hands of several persons are seen, those of
the population's length are scaled to the true ones afterwards, which is the same: a hand twice as long is
placed twice as far.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.data_engine.sequences import FPS, SEQUENCES, Shot, play, with_cast
from maskhand_ros.evaluation.actors import match
from maskhand_ros.evaluation.figure import Figure
from maskhand_ros.evaluation.video_measures import delay
from maskhand_ros.geometry import procrustes_align
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.offline import RefineOptions, refine
from maskhand_ros.labelling.records import FrameLabels, labels_of
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame

_MOVES = 0.1
"""Minimum extent of a wrist's path, metres at z = 1, whose lag is measured."""
_POPULATION = 'size of the population'
"""The variant in which a hand's size is that of an average adult."""
_AFTERWARDS = 'hand lengths given afterwards'
"""The variant in which hands of the population's size are scaled to the true lengths of several persons."""
_LAG = 8.0
"""Maximum lag, ms: a quarter of a frame. The measurements themselves, before any filter, are up to 6 ms late
where a hand enters the image in parts."""


@dataclass(frozen=True)
class Seen:
    """One hand in one frame, as actors.match and the measures need it."""

    id: int
    keypoints_px: np.ndarray
    """(21, 2)"""
    keypoints: np.ndarray
    """(21, 3) m, camera frame."""


@dataclass
class Measures:
    """Figures of one system in one run; NaN where there are none."""

    pa_mm: float
    root_mm: float
    jitter: float
    """m/s^2"""
    wrist_jitter: float
    """m/s^2"""
    wrist_mm: float
    wrist_to_scale_mm: float
    lag_ms: float
    hands: float
    """Number of hands given out that are an actor's."""


TEXTS = {
    'pa_mm': 'PA error, mm',
    'root_mm': 'error from the wrist, mm',
    'jitter': 'jitter, m/s^2',
    'wrist_jitter': 'jitter of the wrist, m/s^2',
    'wrist_to_scale_mm': 'wrist error but for one factor, mm',
    'wrist_mm': 'wrist error, mm',
}
"""Measures of which less is better."""


@dataclass
class Comparison:
    """Measures of one sequence, means over its casts: `variant` says what the pipeline was told."""

    sequence: str
    variant: str
    online: Measures
    offline: Measures


def run(args: argparse.Namespace) -> int:
    """Measures, prints, and says by the exit code whether offline is better everywhere."""
    names = [name for name in args.sequences if not (SEQUENCES[name].touch or SEQUENCES[name].enters)]
    comparisons = [each for name in names for each in compare(args, name)]
    found = figures(comparisons)
    print('\n'.join(figure.row() for figure in found))
    if args.json:
        report = {f'{each.sequence}, {each.variant}': _to_json(each) for each in comparisons}
        files.write_json(args.json, report)
    return 0 if all(figure.held for figure in found) else 1


def compare(args: argparse.Namespace, name: str) -> list[Comparison]:
    """The Comparisons of one sequence: size of the population, true hand length, depth images."""
    found: dict[str, list[tuple[Measures, Measures]]] = {}
    model = HandModel.load()
    for cast in range(args.casts):
        sequence, shots = with_cast(name, cast), list(play(name, cast))
        variants: dict[str, dict[str, float]] = {_POPULATION: {}}
        if len({actor.person for actor in sequence.actors}) == 1:
            variants['hand length given'] = {'hand_length': float(model.length(sequence.actors[0].betas))}
        if sequence.depth:
            variants['depth images'] = {}
        for variant, options in variants.items():
            with_depth = variant == 'depth images'
            online = watch(cli_arguments.build_offline_pipeline(args, **options), shots, with_depth)
            raw = cli_arguments.build_offline_pipeline(args, smoothing='off', **options)
            settings = RefineOptions(args.hand_model, args.keypoint_set)
            refined = refine(watch(raw, shots, with_depth), settings)
            found.setdefault(variant, []).append(measures(shots, online, refined))
            if variant == _POPULATION and len(variants) == 1:
                lengths = model.length(np.stack([actor.betas for actor in sequence.actors]))
                scaled = measures(shots, online, refined, lengths / model.length(np.zeros(10)))
                found.setdefault(_AFTERWARDS, []).append(scaled)
    comparisons = [
        Comparison(name, variant, *(_mean(part) for part in zip(*pairs, strict=True)))
        for variant, pairs in found.items()
    ]
    print('\n'.join(row for each in comparisons for row in rows(each)), flush=True)
    return comparisons


def watch(pipeline: HandPipeline, shots: Sequence[Shot], with_depth: bool) -> list[FrameLabels]:
    """Labels of the Shots by a pipeline, frame by frame."""
    frames = []
    for number, shot in enumerate(shots):
        depth = shot.depth.astype(np.float32) / 1000 if with_depth else None
        hands = pipeline.process(Frame(shot.rgb, round(1e9 * (1 + shot.second)), shot.camera, depth))
        labels = [labels_of(hand) for hand in hands]
        frames.append(FrameLabels(number, number / FPS, shot.second, shot.camera.K, labels))
    return frames


def measures(
    shots: Sequence[Shot],
    online: list[FrameLabels],
    offline: list[FrameLabels],
    ratios: np.ndarray | float = 1.0,
) -> tuple[Measures, Measures]:
    """Measures of both over the frames in which both have the hand, after their hands were scaled by `ratios`
    (A,), one for each actor."""
    truth = np.stack([shot.keypoints for shot in shots])
    seconds = np.array([shot.second for shot in shots])
    factors = np.broadcast_to(ratios, truth.shape[1])[:, None, None]
    given = [factors * _of_actors(shots, frames) for frames in (online, offline)]
    both = np.isfinite(given[0] + given[1]).all((2, 3))
    results = []
    for keypoints in given:
        count = float(np.isfinite(keypoints[..., 0, 0]).sum())
        common = np.where(both[..., None, None], keypoints, np.nan)
        results.append(_measures(common, truth, seconds, count))
    return results[0], results[1]


def _of_actors(shots: Sequence[Shot], frames: list[FrameLabels]) -> np.ndarray:
    """Keypoints (T, A, 21, 3) of the actors' hands, NaN where they are not given out."""
    actors = len(shots[0].keypoints)
    keypoints, ids = np.full((len(shots), actors, 21, 3), np.nan), [0] * actors
    for number, (shot, frame) in enumerate(zip(shots, frames, strict=True)):
        seen = [Seen(hand.track_id, hand.kp2d, np.asarray(hand.kp3d)) for hand in frame.hands]
        owners = match(seen, [shot.camera.project(points) for points in shot.keypoints], ids)
        for actor, owner in enumerate(owners):
            if owner is not None:
                ids[actor] = seen[owner].id
                keypoints[number, actor] = seen[owner].keypoints
    return keypoints


def _measures(keypoints: np.ndarray, truth: np.ndarray, seconds: np.ndarray, count: float) -> Measures:
    """Measures of keypoints (T, A, 21, 3), NaN where there is no hand; `truth` (T, A, 21, 3)."""
    there = np.isfinite(keypoints[..., 0, 0])
    relative, true_relative = keypoints - keypoints[:, :, :1], truth - truth[:, :, :1]
    wrist, true_wrist = keypoints[:, :, 0], truth[:, :, 0]
    ratio = np.linalg.norm(true_wrist, axis=-1) / np.linalg.norm(wrist, axis=-1)
    scaled = wrist * np.nanmedian(ratio, 0)[:, None]
    aligned = procrustes_align(keypoints[there], truth[there])
    step = float(np.median(np.diff(seconds)))

    def mean_length(vectors: np.ndarray) -> float:
        return float(np.nanmean(np.linalg.norm(vectors, axis=-1)))

    return Measures(
        pa_mm=1e3 * mean_length(aligned - truth[there]),
        root_mm=1e3 * mean_length(relative - true_relative),
        jitter=mean_length(np.diff(relative - true_relative, 2, axis=0)) / step**2,
        wrist_jitter=mean_length(np.diff(wrist - true_wrist, 2, axis=0)) / step**2,
        wrist_mm=1e3 * mean_length(wrist - true_wrist),
        wrist_to_scale_mm=1e3 * mean_length(scaled - true_wrist),
        lag_ms=_lag(wrist, true_wrist, seconds),
        hands=count,
    )


def _lag(wrist: np.ndarray, truth: np.ndarray, seconds: np.ndarray) -> float:
    """Delay in ms of the wrists' paths (T, A, 3) that move, the largest; NaN if none does. The first half
    second, in which a filter starts, and the last tenth are left out."""
    lags = []
    for actor in range(wrist.shape[1]):
        path, true_path = (each[:, actor, 0] / each[:, actor, 2] for each in (wrist, truth))
        use = np.isfinite(path) & (seconds > 0.5) & (seconds < seconds[-1] - 0.1)
        if np.ptp(true_path[use]) > _MOVES:
            lags.append(1e3 * delay(seconds[use], path[use], seconds, true_path))
    return max(lags, key=abs, default=float('nan'))


def _mean(casts: Sequence[Measures]) -> Measures:
    values = {each.name: [getattr(cast, each.name) for cast in casts] for each in fields(Measures)}
    return Measures(**{name: float(np.mean(value)) for name, value in values.items()})


def rows(comparison: Comparison) -> list[str]:
    """Lines of the table for one Comparison: online, offline."""
    title = f'{comparison.sequence}, {comparison.variant}'
    lines = [f'{title:44}{"PA":>7}{"root":>7}{"jitter":>8}{"wrist j":>8}{"wrist":>8}{"scaled":>8}{"lag":>7}']
    for name in ('online', 'offline'):
        m: Measures = getattr(comparison, name)
        lines.append(
            f'  {name:10}{m.hands:8.0f} hands{"":18}{m.pa_mm:7.2f}{m.root_mm:7.2f}{m.jitter:8.3f}'
            f'{m.wrist_jitter:8.3f}{m.wrist_mm:8.2f}{m.wrist_to_scale_mm:8.2f}{m.lag_ms:7.1f}'
        )
    return lines


def figures(comparisons: Sequence[Comparison]) -> list[Figure]:
    """For each measure offline/online where offline gains least, and the largest lag, against limits.

    One camera sees no sizes: errors that are mostly the size's (from the wrist, of the wrist) count where the
    length of the hand or its distance is known, if that is so in a sequence.
    """
    found = []
    known = {each.sequence for each in comparisons if each.variant != _POPULATION}
    for name, text in TEXTS.items():
        by_size = name in ('wrist_mm', 'root_mm')
        ratios = {
            f'{each.sequence}, {each.variant}': _ratio(each, name)
            for each in comparisons
            if not (by_size and each.variant == _POPULATION and each.sequence in known)
            and not (name == 'wrist_mm' and each.variant == _POPULATION)
        }
        if ratios:
            worst = max(ratios, key=lambda run: ratios[run])
            found.append(Figure(f'{text}: {worst}', ratios[worst], 0, 1))
    lags = [each.offline.lag_ms for each in comparisons if np.isfinite(each.offline.lag_ms)]
    if lags:
        found.append(Figure('lag offline, largest', max(lags, key=abs), -_LAG, _LAG, 'ms'))
    return found


def _ratio(comparison: Comparison, name: str) -> float:
    online, offline = (getattr(each, name) for each in (comparison.online, comparison.offline))
    return float(offline / max(online, 1e-9))


def _to_json(comparison: Comparison) -> dict[str, dict[str, float]]:
    return {name: dict(vars(getattr(comparison, name))) for name in ('online', 'offline')}
