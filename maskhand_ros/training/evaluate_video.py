"""The pipeline on rendered sequences with truth: place, ids, sides, jitter and lag, against their limits.

    maskhand evaluate-video [--sequences still wave ...] [--smoothing off] [--video me.mp4]

Prints a figure for each limit, and exits 1 where one is missed. `metric` figures are of the wrist in the
camera's frame with the true K; `hand_length given` gives the pipeline the true one, `depth picture` the depth
pictures, `length learned` takes them away at half time. Jitter is the standard deviation about the mean while
nothing moves; lag is the delay of the wrist's path in `wave` against the truth. The sequences are described
in training/data/sequences.py.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..commands import common
from ..geometry import Camera
from ..hand_model.numpy_hand import HandModel
from ..perception.types import SCALE_LEARNED, SIDE_NAMES, Frame, Hand
from .metrics import tight_box
from .still_stretches import still_stretches

NEAR = 0.35
"""Share of a hand's box within which the mean keypoint must lie to be its own."""


@dataclass
class Record:
    """What came of one sequence: for each frame the second, the truth (A, 21, 3) and the Hand of each actor
    or None; and the hands that are nobody's."""

    actors: tuple
    seconds: list[float] = field(default_factory=list)
    truth: list[np.ndarray] = field(default_factory=list)
    hands: list[list[Hand | None]] = field(default_factory=list)
    strangers: int = 0

    def pairs(self, actor):
        """(frame, truth (21, 3), Hand) of an actor where it was found."""
        return [
            (frame, truth[actor], hands[actor])
            for frame, (truth, hands) in enumerate(zip(self.truth, self.hands, strict=True))
            if hands[actor] is not None
        ]

    def with_source(self, source):
        """The Record with the hands alone whose scale comes from `source` (SCALE_*)."""
        hands = [
            [hand if hand and hand.scale_source == source else None for hand in frame] for frame in self.hands
        ]
        return dataclasses.replace(self, hands=hands)

    def visible(self, camera):
        """(T, A) whether a hand is in the picture as a whole."""
        truth = np.stack(self.truth)
        pixels = camera.project(truth.reshape(-1, 3)).reshape(*truth.shape[:3], 2)
        return ((pixels >= 0) & (pixels < [camera.width, camera.height])).all((2, 3))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand evaluate-video`."""
    from .data.sequences import SEQUENCES

    parser.add_argument('--sequences', nargs='+', choices=SEQUENCES, default=list(SEQUENCES))
    parser.add_argument(
        '--video', type=Path, help='a real video of one hand: jitter where it holds still (no truth needed)'
    )
    parser.add_argument('--json', type=Path, help='also write the figures here')
    parser.add_argument(
        '--trade-off',
        type=Path,
        metavar='PNG',
        help="draw lag against jitter over the smoothing's strength to this file, and nothing else",
    )
    common.add_pipeline_arguments(parser)
    parser.set_defaults(max_hands=4)


def stage_camera() -> Camera:
    """The Camera of the sequences."""
    from .data.staging import HEIGHT, WIDTH, K

    return Camera(K, WIDTH, HEIGHT)


def watch(pipeline, actors, shots, depth_until=0.0) -> Record:
    """Run a pipeline over Shots at their own times, with their depth pictures in the first `depth_until`
    seconds."""
    camera, record = stage_camera(), Record(actors)
    pipeline.reset()
    for shot in shots:
        depth = shot.depth.astype(np.float32) / 1000 if shot.second < depth_until else None
        stamp = round(1e9 * (1 + shot.second))
        hands = pipeline.process(Frame(shot.rgb, stamp, camera, depth))
        owners = match(hands, [camera.project(points) for points in shot.keypoints])
        record.seconds.append(shot.second)
        record.truth.append(shot.keypoints)
        record.hands.append([hands[owner] if owner is not None else None for owner in owners])
        record.strangers += len(hands) - sum(owner is not None for owner in owners)
    return record


def match(hands, pixels):
    """For each actor's true pixels (A, 21, 2) the index of its Hand, or None: nearest first, one to one."""
    gaps = [
        (np.linalg.norm(hand.keypoints_px - truth, axis=1).mean() / max(tight_box(truth)[2:]), i, j)
        for i, truth in enumerate(pixels)
        for j, hand in enumerate(hands)
    ]
    owners, taken = [None] * len(pixels), set()
    for gap, i, j in sorted(gaps):
        if gap < NEAR and owners[i] is None and j not in taken:
            owners[i] = j
            taken.add(j)
    return owners


def id_switches(record: Record) -> int:
    """How often an actor's id differs from the one before, gaps or not."""
    ids = [[hand.id for _, _, hand in record.pairs(actor)] for actor in range(len(record.actors))]
    return sum(int((np.diff(of_actor) != 0).sum()) for of_actor in ids)


def flips(record: Record) -> int:
    """Frames in which a hand is told to be of the other side, its geometry mirrored with it."""
    return sum(
        SIDE_NAMES[hand.side] != actor.side
        for index, actor in enumerate(record.actors)
        for _, _, hand in record.pairs(index)
    )


def operator_switches(record: Record) -> int:
    """How often the operator's hand of a side goes from one actor to another, and frames in which it is
    another person's."""
    switches = 0
    for side in SIDE_NAMES.values():
        chosen = []
        for hands in record.hands:
            own = [
                i for i, hand in enumerate(hands) if hand and hand.operator and SIDE_NAMES[hand.side] == side
            ]
            chosen += own
        switches += int((np.diff(chosen) != 0).sum())
        switches += sum(record.actors[i].person != 0 for i in chosen)
    return switches


def wrist_errors(record: Record) -> dict[str, np.ndarray]:
    """Of all hands found: relative error of the wrist, of its distance, metres across the ray; and the errors
    along and across the ray over their standard deviations."""
    found = {name: [] for name in ('relative', 'metres', 'along_sigmas', 'across_sigmas')}
    for actor in range(len(record.actors)):
        for _, truth, hand in record.pairs(actor):
            error, distance = hand.wrist_position - truth[0], np.linalg.norm(truth[0])
            ray = hand.wrist_position / np.linalg.norm(hand.wrist_position)
            found['relative'].append(np.linalg.norm(error) / distance)
            found['metres'].append(np.linalg.norm(error))
            covariance = hand.wrist_covariance[:3, :3]
            found['along_sigmas'].append(abs(ray @ error) / np.sqrt(ray @ covariance @ ray))
            plane = np.linalg.svd(ray[None])[2][1:]
            whitened = np.linalg.solve(np.linalg.cholesky(plane @ covariance @ plane.T), plane @ error)
            found['across_sigmas'].extend(np.abs(whitened))
    return {name: np.array(values) for name, values in found.items()}


def between_hands(record: Record) -> np.ndarray:
    """Error (N,) in metres of the step from one wrist to the other, where two hands of one person are
    found."""
    first, second = (dict((f, (t, h)) for f, t, h in record.pairs(actor)) for actor in (0, 1))
    errors = []
    for frame in first.keys() & second.keys():
        (truth_a, a), (truth_b, b) = first[frame], second[frame]
        step = (a.wrist_position - b.wrist_position) - (truth_a[0] - truth_b[0])
        errors.append(np.linalg.norm(step))
    return np.array(errors)


def jitter(record: Record, span) -> dict[str, float]:
    """Spread while nothing moves, `span` seconds: keypoints about the wrist and the wrist across the ray in
    mm, along it as a share of the range; the largest over hands."""
    worst = {'keypoints_mm': 0.0, 'lateral_mm': 0.0, 'range': 0.0}
    for actor in range(len(record.actors)):
        hands = [h for frame, _, h in record.pairs(actor) if span[0] + 0.5 <= record.seconds[frame] < span[1]]
        if len(hands) < 10:
            return dict.fromkeys(worst, np.inf)
        camera_frame = np.stack([h.keypoints_wrist @ h.wrist_rotation.T for h in hands])
        wrists = np.stack([h.wrist_position for h in hands])
        ray = wrists.mean(0) / np.linalg.norm(wrists.mean(0))
        along = wrists @ ray
        across = wrists - along[:, None] * ray
        values = (
            1e3 * np.sqrt(camera_frame.var(0).sum(-1)).mean(),
            1e3 * np.sqrt(across.var(0).sum()),
            along.std() / along.mean(),
        )
        worst = {name: max(old, value) for (name, old), value in zip(worst.items(), values, strict=True)}
    return worst


def lag(record: Record) -> float:
    """Delay in seconds of the wrist's x in `wave` against the truth: the shift that fits best."""
    frames, truth, hands = zip(*record.pairs(0), strict=True)
    times = np.array(record.seconds)
    seen = np.array([record.seconds[frame] for frame in frames])
    path = np.array([hand.wrist_position[0] / hand.wrist_position[2] for hand in hands])
    true_path = np.array([t[0, 0, 0] / t[0, 0, 2] for t in record.truth])
    shifts = np.arange(-0.05, 0.2, 0.001)
    use = (seen > 0.5) & (seen < times[-1] - 0.1)
    errors = []
    for shift in shifts:
        moved = np.interp(seen[use] - shift, times, true_path)
        a, b = path[use] - path[use].mean(), moved - moved.mean()
        errors.append(1 - a @ b / np.sqrt((a @ a) * (b @ b)))
    return float(shifts[int(np.argmin(errors))])


@dataclass
class Figure:
    """A measured value and the range that it has to be in."""

    name: str
    value: float
    low: float
    high: float
    unit: str = ''

    @property
    def held(self):
        return self.low <= self.value <= self.high

    def row(self):
        limit = f'at most {self.high:g}' if self.low in (0, -np.inf) else f'{self.low:g} to {self.high:g}'
        return f'{self.name:52}{self.value:10.3g} {self.unit:5}{limit:>16}  {"" if self.held else "MISSED"}'


def figures(records, with_length, with_depth, learned) -> list[Figure]:
    """What the records {sequence: Record} show: monocular, of the same with the true hand_length, of those
    that have depth pictures with them, and with them in the first half only."""
    from .data.sequences import SEQUENCES

    everywhere = _pooled(records)
    found = [
        Figure('wrist error, size of the population', 100 * np.median(everywhere['relative']), 0, 6, '%'),
        Figure(
            'wrist error, hand_length given', 100 * np.median(_pooled(with_length)['relative']), 0, 3, '%'
        ),
    ]
    if with_depth:
        metres = _pooled(with_depth)['metres']
        later = _pooled({name: record.with_source(SCALE_LEARNED) for name, record in learned.items()})
        found += [
            Figure('wrist error, depth picture', 1e3 * np.median(metres), 0, 12, 'mm'),
            Figure('wrist error, length learned', 100 * np.median(later['relative']), 0, 3, '%'),
        ]
    for axis in ('along', 'across'):
        sigmas = everywhere[f'{axis}_sigmas']
        found += [
            Figure(f'wrist within 68 %, {axis} the ray', 100 * (sigmas < 0.9945).mean(), 60, 76, '%'),
            Figure(f'wrist within 95 %, {axis} the ray', 100 * (sigmas < 1.96).mean(), 90, 98, '%'),
        ]
    pairs = [between_hands(r) for r in records.values() if len(r.actors) > 1]
    found += [
        Figure('one hand from the other', 1e3 * np.median(np.concatenate(pairs)), 0, 25, 'mm'),
        Figure('id switches', sum(map(id_switches, records.values())), 0, 0),
        Figure('operator switches', sum(map(operator_switches, records.values())), 0, 0),
        Figure('left and right told wrongly, frames', sum(map(flips, records.values())), 0, 0),
    ]
    for name, record in records.items():
        if SEQUENCES[name].still:
            rest = jitter(record, SEQUENCES[name].still)
            found += [
                Figure('at rest: keypoints about the wrist', rest['keypoints_mm'], 0, 1.5, 'mm'),
                Figure('at rest: wrist across the ray', rest['lateral_mm'], 0, 2, 'mm'),
                Figure('at rest: wrist along the ray', 100 * rest['range'], 0, 1, '%'),
            ]
    if 'wave' in records:
        found.append(Figure('lag at a wave of 2 Hz', 1e3 * lag(records['wave']), -40, 40, 'ms'))
    return found


def figures_of_video(stretches) -> list[Figure]:
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


def _pooled(records):
    parts = [wrist_errors(record) for record in records.values()]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def run(args: argparse.Namespace) -> int:
    """Watch, print, and say by the exit code whether every limit is held."""
    from .data.sequences import SEQUENCES, play

    if args.trade_off:
        from . import trade_off

        return trade_off.run(args)
    pipeline, hand = common.build_pipeline(args), HandModel.load()
    records, with_length, with_depth, learned = {}, {}, {}, {}
    for name in args.sequences:
        sequence, shots = SEQUENCES[name], list(play(name))
        records[name] = watch(pipeline, sequence.actors, shots)
        if len({actor.person for actor in sequence.actors}) == 1:
            length = hand.length(sequence.actors[0].betas)
            with_length[name] = watch(common.build_pipeline(args, hand_length=length), sequence.actors, shots)
        if sequence.depth:
            with_depth[name] = watch(pipeline, sequence.actors, shots, depth_until=np.inf)
            learned[name] = watch(pipeline, sequence.actors, shots, depth_until=sequence.seconds / 2)
        print(f'{name}: {len(shots)} frames', flush=True)
    found = figures(records, with_length, with_depth, learned)
    if args.video:
        found += figures_of_video(still_stretches(common.build_pipeline(args, max_hands=1), args.video))
    print('\n'.join(figure.row() for figure in found))
    if args.json:
        common.write_json(args.json, {figure.name: float(figure.value) for figure in found})
    return 0 if all(figure.held for figure in found) else 1
