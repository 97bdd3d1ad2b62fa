"""Chart of the lag of a waving wrist against its jitter at rest, over the strength of the smoothing.

The pipeline runs once without smoothing; its hands then go through filters whose cutoffs are all multiplied
by one factor.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.evaluation import evaluate_video as video
from maskhand_ros.evaluation import video_measures as measures
from maskhand_ros.evaluation.video_measures import Record
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.perception.smoothing import DIRECTION, LOG_DEPTH, HandFilter
from maskhand_ros.perception.types import Hand, PlacedHand

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of the cutoffs; 1 is the default."""
_INK, _LINE, _GRID, _MARK = (40, 40, 46), (40, 110, 160), (225, 225, 225), (214, 40, 40)
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 460, 330, 62, 44, 18, 52


def run(args: argparse.Namespace) -> int:
    """`maskhand evaluate-video --trade-off`: watch `wave` and `still` without smoothing, print and draw."""
    from maskhand_ros.data_engine.sequences import SEQUENCES, play

    pipeline = cli_arguments.build_offline_pipeline(args, smoothing='off')
    wave, still = (video.watch(pipeline, SEQUENCES[name].actors, play(name)) for name in ('wave', 'still'))
    found = points(wave, still, SEQUENCES['still'].still)
    print(text(found))
    files.write_image(args.trade_off, chart(found))
    return 0


def smoothed(record: Record, factor: float) -> Record:
    """A Record of unsmoothed hands with the wrists where a filter with `factor` times the default's cutoffs
    leaves them."""
    direction, distance = (
        dataclasses.replace(filter_, rest=factor * filter_.rest, slope=factor * filter_.slope)
        for filter_ in (DIRECTION, LOG_DEPTH)
    )
    filters: dict[int, HandFilter] = {}
    rows = []
    for second, hands in zip(record.seconds, record.hands, strict=True):
        row = []
        for hand in hands:
            if hand is not None:
                keep = filters.setdefault(hand.id, HandFilter(direction, distance))
                placed, _ = keep(as_placed(hand), second, hand.keypoint_stddev)
                hand = dataclasses.replace(hand, wrist_position=placed.position)
            row.append(hand)
        rows.append(row)
    return dataclasses.replace(record, hands=rows)


def as_placed(hand: Hand) -> PlacedHand:
    """The PlacedHand that a Hand was made of, but for its size and shift, which no filter of the wrist
    needs."""
    rotations = rotvec_to_matrix(hand.mano_pose.reshape(16, 3))
    return PlacedHand(
        side=hand.side,
        position=hand.wrist_position,
        orient=rotations[0],
        pose=rotations[1:],
        betas=hand.betas,
        size=1.0,
        shift=np.zeros((21, 3)),
        covariance=hand.wrist_covariance,
        source=hand.scale_source,
    )


def points(wave: Record, still: Record, span: tuple[float, float]) -> dict[str, tuple[float, float, float]]:
    """{name: (lag in ms, jitter across the ray in mm, along it in % of the range)} of the unsmoothed Records
    `wave` and `still`, at rest for `span` seconds: of every factor, then 'off'."""
    cases = {f'{factor:g}': [smoothed(record, factor) for record in (wave, still)] for factor in FACTORS}
    cases['off'] = [wave, still]
    found = {}
    for name, (moving, resting) in cases.items():
        rest = measures.jitter(resting, span)
        found[name] = (1e3 * measures.lag(moving), rest['lateral_mm'], 100 * rest['range'])
    return found


def text(found: dict[str, tuple[float, float, float]]) -> str:
    """`points` as lines of text."""
    head = f'{"cutoffs":>8}{"lag ms":>10}{"across mm":>12}{"along %":>10}'
    rows = [
        f'{name:>8}{lag:10.0f}{across:12.2f}{along:10.2f}' for name, (lag, across, along) in found.items()
    ]
    return '\n'.join([head, *rows])


def chart(found: dict[str, tuple[float, float, float]]) -> np.ndarray:
    """`points` drawn: (H, W, 3) uint8 RGB."""
    lags, across, along = np.array(list(found.values())).T
    return np.concatenate(
        [
            _panel('jitter across the ray, mm (limit 2)', lags, across, list(found)),
            _panel('jitter along the ray, % of range (limit 1)', lags, along, list(found)),
        ],
        1,
    )


def _panel(title: str, lags: np.ndarray, jitters: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """One curve: jitter over lag (P,), each point with its name; a dashed line at the lag's limit."""
    canvas = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    x_step, y_step = 10, _step(jitters.max())
    x_top = x_step * np.ceil(max(lags.max(), 40) / x_step + 0.2)
    y_top = y_step * np.ceil(jitters.max() / y_step + 0.2)

    def at(lag: float, jitter: float) -> tuple[int, int]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * lag / x_top
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * jitter / y_top
        return round(float(x)), round(float(y))

    for x in np.arange(0, x_top + 1e-9, x_step):
        cv2.line(canvas, at(x, 0), at(x, y_top), _GRID, 1)
        _write(canvas, f'{x:g}', np.add(at(x, 0), (-8, 18)))
    for y in np.arange(0, y_top + 1e-9, y_step):
        cv2.line(canvas, at(0, y), at(x_top, y), _GRID, 1)
        _write(canvas, f'{y:.2g}', np.add(at(0, y), (-34, 4)))
    for y in np.arange(0, y_top, y_top / 30):
        cv2.line(canvas, at(40, y), at(40, y + y_top / 60), _MARK, 1)
    cv2.polylines(
        canvas, [np.array([at(*p) for p in zip(lags, jitters, strict=True)])], False, _LINE, 2, cv2.LINE_AA
    )
    for lag, jitter, name in zip(lags, jitters, names, strict=True):
        chosen = name == '1'
        cv2.circle(canvas, at(lag, jitter), 6 if chosen else 4, _MARK if chosen else _LINE, -1, cv2.LINE_AA)
        label = 'default' if chosen else name if name == 'off' else f'x{name}'
        _write(canvas, label, np.add(at(lag, jitter), (8, -6)), _MARK if chosen else _INK)
    _write(canvas, title, (_LEFT, 24), scale=0.5)
    _write(canvas, 'lag at a wave of 2 Hz, ms (limit 40)', (_LEFT + 60, _HEIGHT - 12), scale=0.5)
    return canvas


def _step(largest: float) -> float:
    """A round step of which `largest` has four to eight."""
    power = 10.0 ** np.floor(np.log10(largest))
    return power * next(part for part in (0.2, 0.5, 1, 2) if largest <= 8 * part * power)


def _write(
    canvas: np.ndarray,
    words: str,
    place: Sequence[int] | np.ndarray,
    colour: tuple[int, int, int] = _INK,
    scale: float = 0.42,
) -> None:
    where = tuple(int(v) for v in place)
    cv2.putText(canvas, words, where, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
