"""Figures of two hands that touch or hide each other, and of a small hand that enters the image."""

from __future__ import annotations

import numpy as np

from maskhand_ros.evaluation.figure import Figure
from maskhand_ros.evaluation.video_measures import Record, flips, id_switches
from maskhand_ros.geometry import Camera

PREDICT = 1.0
"""Seconds for which hidden hands are predicted in sequences of hands that touch."""
FOLLOWED_WITHIN = 1.0
"""Seconds after which a hand that enters has to be followed."""


def both_given(record: Record) -> np.ndarray:
    """(T,) whether the hands of all actors are found."""
    return np.array([all(hand is not None for hand in hands) for hands in record.hands])


def touching_errors(record: Record, span: tuple[float, float]) -> np.ndarray:
    """(N,) mean error in metres of the keypoints about the wrist, of hands found in `span` seconds."""
    errors = [
        np.linalg.norm((np.asarray(hand.keypoints) - hand.wrist_position) - (truth - truth[0]), axis=1).mean()
        for actor in range(len(record.actors))
        for frame, truth, hand in record.pairs(actor)
        if span[0] <= record.seconds[frame] <= span[1]
    ]
    return np.array(errors)


def seconds_until_followed(record: Record, camera: Camera) -> float:
    """Seconds from the first frame that shows all of actor 0 to the first in which it is found; infinite if
    it never is."""
    shown = int(np.argmax(record.visible(camera)[:, 0]))
    first = next((frame for frame, _, _ in record.pairs(0)), None)
    return np.inf if first is None else record.seconds[first] - record.seconds[shown]


def contact_figures(touching: dict[str, list[Record]]) -> list[Figure]:
    """Figures, with their limits, of Records {sequence: one for each cast} of two hands that touch."""
    from maskhand_ros.data_engine.sequences import SEQUENCES

    records = [record for casts in touching.values() for record in casts]
    spans = {name: SEQUENCES[name].touch or (0.0, np.inf) for name in touching}
    errors = [touching_errors(record, spans[name]) for name, casts in touching.items() for record in casts]
    given = [np.concatenate([both_given(record) for record in casts]).mean() for casts in touching.values()]
    return [
        Figure('touching: id switches', sum(map(id_switches, records)), 0, 0),
        Figure('touching: left and right told wrongly, frames', sum(map(flips, records)), 0, 0),
        Figure('touching: both given out, least of the sequences', 100 * min(given), 90, 100, '%'),
        Figure('touching: keypoints about the wrist', 1e3 * np.median(np.concatenate(errors)), 0, 20, 'mm'),
    ]


def entry_figures(entering: dict[str, list[Record]]) -> list[Figure]:
    """Figures of Records {sequence: one for each cast} of small hands that enter."""
    from maskhand_ros.data_engine.sequences import SEQUENCES

    waits = [
        seconds_until_followed(record, SEQUENCES[name].camera)
        for name, casts in entering.items()
        for record in casts
    ]
    share = 100 * (np.array(waits) <= FOLLOWED_WITHIN).mean()
    return [Figure('small hand entering: followed within 1 s', share, 80, 100, '%')]
