"""The pipeline on rendered sequences with ground truth: position, ids, sides, jitter and lag, against limits.

    maskhand evaluate-video [--sequences still wave ...] [--casts 4] [--smoothing off] [--video me.mp4]
    maskhand evaluate-video --offline

Prints a figure for each limit, and exits 1 if one is missed. Wrist errors are in the camera's frame, with the
true K. For `hand_length given` the pipeline has the true length, for `depth image` depth images, for `length
learned` depth images in the first half of a sequence; that figure is of the second half. Jitter is the
standard deviation while nothing moves; lag is the delay of the wrist's path in `wave`. The sequences are
defined in data_engine/sequences.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.evaluation.actors import match
from maskhand_ros.evaluation.contact import PREDICT, contact_figures, entry_figures
from maskhand_ros.evaluation.figure import Figure
from maskhand_ros.evaluation.still_stretches import Stretches, still_stretches
from maskhand_ros.evaluation.video_measures import (
    Record,
    between_hands,
    flips,
    id_switches,
    jitter,
    lag,
    operator_switches,
    wrist_errors,
)
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import SCALE_LEARNED, Frame

if TYPE_CHECKING:
    from maskhand_ros.data_engine.sequences import Sequence, Shot
    from maskhand_ros.data_engine.staging import Actor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand evaluate-video`."""
    from maskhand_ros.data_engine.sequences import SEQUENCES

    parser.add_argument('--sequences', nargs='+', choices=SEQUENCES, default=list(SEQUENCES))
    parser.add_argument(
        '--casts',
        type=cli_arguments.whole(1),
        default=4,
        help='hands of as many people play them (default 4)',
    )
    parser.add_argument(
        '--video', type=Path, help='a real video of one hand: jitter where it holds still (no truth needed)'
    )
    parser.add_argument('--json', type=Path, help='also write the figures here')
    parser.add_argument(
        '--offline',
        action='store_true',
        help="measure labels refined over the whole sequence against the node's hands, and nothing else",
    )
    parser.add_argument(
        '--trade-off',
        type=Path,
        metavar='PNG',
        help="draw lag against jitter over the smoothing's strength to this file, and nothing else",
    )
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(max_hands=4)


def watch(
    pipeline: HandPipeline, actors: tuple[Actor, ...], shots: Iterable[Shot], depth_until: float = 0.0
) -> Record:
    """Run a pipeline over Shots at their own times, with their depth images in the first `depth_until`
    seconds."""
    record, ids = Record(actors), [0] * len(actors)
    pipeline.reset()
    for shot in shots:
        depth = shot.depth.astype(np.float32) / 1000 if shot.second < depth_until else None
        stamp = round(1e9 * (1 + shot.second))
        hands = pipeline.process(Frame(shot.rgb, stamp, shot.camera, depth))
        owners = match(hands, [shot.camera.project(points) for points in shot.keypoints], ids)
        ids = [id if owner is None else hands[owner].id for owner, id in zip(owners, ids, strict=True)]
        record.seconds.append(shot.second)
        record.truth.append(shot.keypoints)
        record.hands.append([hands[owner] if owner is not None else None for owner in owners])
        record.strangers += len(hands) - sum(owner is not None for owner in owners)
    return record


@dataclass
class Watched:
    """Records {sequence: one for each cast}: seen by one camera, with the true hand_length given, with depth
    images, with those in the first half only; of hands that touch, with `predict`; of hands that enter."""

    plain: dict[str, list[Record]] = field(default_factory=dict)
    with_length: dict[str, list[Record]] = field(default_factory=dict)
    with_depth: dict[str, list[Record]] = field(default_factory=dict)
    learned: dict[str, list[Record]] = field(default_factory=dict)
    touching: dict[str, list[Record]] = field(default_factory=dict)
    entering: dict[str, list[Record]] = field(default_factory=dict)


def figures(watched: Watched) -> list[Figure]:
    """What was Watched shows, against the limits: medians and shares over all hands and frames; of jitter and
    lag the worst cast."""
    from maskhand_ros.data_engine.sequences import SEQUENCES

    everywhere = pooled(watched.plain)
    found = [
        Figure('wrist error, size of the population', 100 * np.median(everywhere['relative']), 0, 6, '%')
    ]
    if watched.with_length:
        given = pooled(watched.with_length)['relative']
        found.append(Figure('wrist error, hand_length given', 100 * np.median(given), 0, 3, '%'))
    if watched.with_depth:
        metres, later = pooled(watched.with_depth)['metres'], pooled(watched.learned, SCALE_LEARNED)
        found += [
            Figure('wrist error, depth image', 1e3 * np.median(metres), 0, 12, 'mm'),
            Figure('wrist error, length learned', 100 * np.median(later['relative']), 0, 3, '%'),
        ]
    for axis in ('along', 'across'):
        sigmas = everywhere[f'{axis}_sigmas']
        found += [
            Figure(f'wrist within 68 %, {axis} the ray', 100 * (sigmas < 0.9945).mean(), 60, 76, '%'),
            Figure(f'wrist within 95 %, {axis} the ray', 100 * (sigmas < 1.96).mean(), 90, 98, '%'),
        ]
    records = [record for casts in watched.plain.values() for record in casts]
    pairs = [between_hands(record) for record in records if len(record.actors) > 1]
    if pairs:
        found.append(Figure('one hand from the other', 1e3 * np.median(np.concatenate(pairs)), 0, 25, 'mm'))
    found += [
        Figure('id switches', sum(map(id_switches, records)), 0, 0),
        Figure('operator switches', sum(map(operator_switches, records)), 0, 0),
        Figure('left and right told wrongly, frames', sum(map(flips, records)), 0, 0),
    ]
    for name, casts in watched.plain.items():
        if SEQUENCES[name].still:
            rest = [jitter(record, SEQUENCES[name].still) for record in casts]
            keypoints, lateral, range_ = (
                max(of[part] for of in rest) for part in ('keypoints_mm', 'lateral_mm', 'range')
            )
            found += [
                Figure('at rest: keypoints about the wrist', keypoints, 0, 1.5, 'mm'),
                Figure('at rest: wrist across the ray', lateral, 0, 2, 'mm'),
                Figure('at rest: wrist along the ray', 100 * range_, 0, 1, '%'),
            ]
    if 'wave' in watched.plain:
        late = max(map(lag, watched.plain['wave']), key=abs)
        found.append(Figure('lag at a wave of 2 Hz', 1e3 * late, -40, 40, 'ms'))
    return found


def figures_of_video(stretches: Stretches) -> list[Figure]:
    """Jitter over the still stretches of a real video: medians; infinite where there are none."""
    print(f'still stretches of the video: {len(stretches.range)}, {stretches.frames} frames')
    middle = {
        name: np.median(getattr(stretches, name)) if stretches.range else np.inf
        for name in ('keypoints_mm', 'lateral_mm', 'range')
    }
    return [
        Figure('real video at rest: keypoints about the wrist', middle['keypoints_mm'], 0, 1.5, 'mm'),
        Figure('real video at rest: wrist across the ray', middle['lateral_mm'], 0, 2, 'mm'),
        Figure('real video at rest: wrist along the ray', 100 * middle['range'], 0, 1, '%'),
    ]


def pooled(records: dict[str, list[Record]], source: int | None = None) -> dict[str, np.ndarray]:
    """wrist_errors of all Records {sequence: [Record]}, of hands whose scale comes from `source` only, if it
    is given."""
    every = [record for casts in records.values() for record in casts]
    parts = [wrist_errors(record.with_source(source) if source else record) for record in every]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def watch_all(args: argparse.Namespace) -> Watched:
    """Play every sequence with every cast."""
    from maskhand_ros.data_engine.sequences import play, with_cast

    pipeline, predicting = (
        cli_arguments.build_offline_pipeline(args, predict=seconds) for seconds in (0.0, PREDICT)
    )
    hand, watched = HandModel.load(), Watched()

    def runs(sequence: Sequence) -> Iterator[tuple[dict[str, list[Record]], HandPipeline, float]]:
        if sequence.touch:
            yield watched.touching, predicting, 0.0
            return
        if sequence.enters:
            yield watched.entering, pipeline, 0.0
            return
        yield watched.plain, pipeline, 0.0
        if len({actor.person for actor in sequence.actors}) == 1:
            length = hand.length(sequence.actors[0].betas)
            yield watched.with_length, cli_arguments.build_offline_pipeline(args, hand_length=length), 0.0
        if sequence.depth:
            yield watched.with_depth, pipeline, np.inf
            yield watched.learned, pipeline, sequence.seconds / 2

    for name in args.sequences:
        for cast in range(args.casts):
            sequence, shots = with_cast(name, cast), list(play(name, cast))
            for records, by, depth_until in runs(sequence):
                records.setdefault(name, []).append(watch(by, sequence.actors, shots, depth_until))
        print(f'{name}: {args.casts} casts, {len(shots)} frames each', flush=True)
    return watched


def run(args: argparse.Namespace) -> int:
    """Watch, print, and say by the exit code whether every limit is held."""
    if args.trade_off:
        from maskhand_ros.evaluation import trade_off

        return trade_off.run(args)
    if args.offline:
        from maskhand_ros.evaluation import offline_table

        return offline_table.run(args)
    watched = watch_all(args)
    found = figures(watched) if watched.plain else []
    found += contact_figures(watched.touching) if watched.touching else []
    found += entry_figures(watched.entering) if watched.entering else []
    if args.video:
        pipeline = cli_arguments.build_offline_pipeline(args, max_hands=1)
        found += figures_of_video(still_stretches(pipeline, args.video))
    print('\n'.join(figure.row() for figure in found))
    if args.json:
        files.write_json(args.json, {figure.name: figure.to_json() for figure in found})
    return 0 if all(figure.held for figure in found) else 1
