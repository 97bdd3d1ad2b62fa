"""Hands of a pipeline on a rendered sequence, and their measures: position, identity, side, jitter, lag."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import Hand
from maskhand_ros.skeleton import Handedness


@dataclass
class Record:
    """What came of one sequence: for each frame the second, the truth (A, 21, 3) and the Hand of each actor
    or None; and the hands that are nobody's."""

    actors: tuple
    seconds: list[float] = field(default_factory=list)
    truth: list[np.ndarray] = field(default_factory=list)
    hands: list[list[Hand | None]] = field(default_factory=list)
    strangers: int = 0

    def pairs(self, actor: int) -> list[tuple[int, np.ndarray, Hand]]:
        """(frame, truth (21, 3), Hand) of an actor where it was found."""
        return [
            (frame, truth[actor], hands[actor])
            for frame, (truth, hands) in enumerate(zip(self.truth, self.hands, strict=True))
            if hands[actor] is not None
        ]

    def with_source(self, source: int) -> Record:
        """The Record with the hands alone whose scale comes from `source` (SCALE_*)."""
        hands = [
            [hand if hand and hand.scale_source == source else None for hand in frame] for frame in self.hands
        ]
        return dataclasses.replace(self, hands=hands)

    def visible(self, camera: Camera) -> np.ndarray:
        """(T, A) whether a hand is in the image as a whole."""
        truth = np.stack(self.truth)
        pixels = camera.project(truth.reshape(-1, 3)).reshape(*truth.shape[:3], 2)
        return np.asarray(((pixels >= 0) & (pixels < [camera.width, camera.height])).all((2, 3)))


def id_switches(record: Record) -> int:
    """How often an actor's id differs from the one before, gaps or not."""
    ids = [[hand.id for _, _, hand in record.pairs(actor)] for actor in range(len(record.actors))]
    return sum(int((np.diff(of_actor) != 0).sum()) for of_actor in ids)


def flips(record: Record) -> int:
    """Number of frames in which a hand has the wrong side."""
    return sum(
        str(hand.side) != actor.side
        for index, actor in enumerate(record.actors)
        for _, _, hand in record.pairs(index)
    )


def operator_switches(record: Record) -> int:
    """How often the operator's hand of a side goes from one actor to another, and frames in which it is
    another person's."""
    switches = 0
    for side in Handedness:
        chosen = []
        for hands in record.hands:
            own = [i for i, hand in enumerate(hands) if hand and hand.operator and hand.side == side]
            chosen += own
        switches += int((np.diff(chosen) != 0).sum())
        switches += sum(record.actors[i].person != 0 for i in chosen)
    return switches


def wrist_errors(record: Record) -> dict[str, np.ndarray]:
    """Of all hands found: relative error of the wrist, of its distance, metres across the ray; and the errors
    along and across the ray over their standard deviations."""
    found: dict[str, list] = {name: [] for name in ('relative', 'metres', 'along_sigmas', 'across_sigmas')}
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


def jitter(record: Record, span: tuple[float, float]) -> dict[str, float]:
    """Spread while nothing moves, `span` seconds: keypoints about the wrist and the wrist across the ray in
    mm, along it as a share of the range; the largest over hands."""
    worst = {'keypoints_mm': 0.0, 'lateral_mm': 0.0, 'range': 0.0}
    for actor in range(len(record.actors)):
        hands = [h for frame, _, h in record.pairs(actor) if span[0] + 0.5 <= record.seconds[frame] < span[1]]
        if len(hands) < 10:
            return dict.fromkeys(worst, np.inf)
        keypoints, along, across = about_the_ray(hands)
        values = (
            1e3 * np.sqrt(keypoints.var(0).sum(-1)).mean(),
            1e3 * np.sqrt(across.var(0).sum()),
            along.std() / along.mean(),
        )
        worst = {name: max(old, value) for (name, old), value in zip(worst.items(), values, strict=True)}
    return worst


def about_the_ray(hands: list[Hand]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (T, 21, 3) from the wrist in the camera's axes, and the wrist along (T,) and across (T, 3)
    the mean viewing ray; metres."""
    keypoints = np.stack([hand.keypoints_wrist @ hand.wrist_rotation.T for hand in hands])
    wrists = np.stack([hand.wrist_position for hand in hands])
    ray = wrists.mean(0) / np.linalg.norm(wrists.mean(0))
    along = wrists @ ray
    return keypoints, along, wrists - along[:, None] * ray


def delay(seconds: np.ndarray, signal: np.ndarray, true_seconds: np.ndarray, truth: np.ndarray) -> float:
    """Seconds by which the truth (S,) at `true_seconds` is to be delayed to be most like a signal (T,) at
    `seconds`."""
    shifts = np.arange(-0.05, 0.2, 0.001)
    likeness = [
        np.corrcoef(signal, np.interp(seconds - shift, true_seconds, truth))[0, 1] for shift in shifts
    ]
    return float(shifts[int(np.argmax(likeness))])


def lag(record: Record) -> float:
    """Delay in seconds of the wrist's x in `wave` against the truth: the shift that fits best."""
    frames, truth, hands = zip(*record.pairs(0), strict=True)
    times = np.array(record.seconds)
    seen = np.array([record.seconds[frame] for frame in frames])
    path = np.array([hand.wrist_position[0] / hand.wrist_position[2] for hand in hands])
    true_path = np.array([t[0, 0, 0] / t[0, 0, 2] for t in record.truth])
    use = (seen > 0.5) & (seen < times[-1] - 0.1)
    return delay(seen[use], path[use], times, true_path)
