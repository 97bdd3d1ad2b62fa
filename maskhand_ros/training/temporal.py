"""Are the last frame's pose tokens worth keeping? Measured on rendered hands that a thing passes in front of.

    python -m maskhand_ros.training.temporal [--seeds 16]

Every frame decoded from scratch, against tokens fused with those of the frames before; both with the shipped
smoothing, which holds a finger whose stated deviation rises, and without. `covered`: the fingers rest
while they are hidden; `moved`: they take another pose meanwhile; `curl`: nothing is hidden, they open and
close at 2 Hz. Prints errors in mm (PA-MPJPE and root-aligned; `onset`: the first 0.2 s, `after`: the next
third of a second), shake (second difference of the error, mm a frame squared) and lag: means, and changes in
percent (of the lag in ms) with 95 % bootstrap intervals over sequences. Nothing of this runs on the robot:
weights/CARD.md says why.
"""

from __future__ import annotations

import argparse

import numpy as np

from ..commands.common import whole
from ..perception.pipeline import HandPipeline, PipelineConfig
from ..perception.types import Frame
from .evaluate_video import stage_camera
from .metrics import mpjpe, pa_mpjpe
from .token_filter import FusedSynthesizer
from .uncertainty_report import interval
from .video_measures import delay

VARIANTS = {
    'as measured': ('off', False),
    'smoothed': ('adaptive', False),
    'fused': ('off', True),
    'smoothed, fused': ('adaptive', True),
}
"""Smoothing, and whether tokens are fused."""
COMPARED = (
    ('smoothed', 'as measured'),
    ('fused', 'as measured'),
    ('smoothed, fused', 'smoothed'),
)
HIDDEN = 0.18
"""Share of the keypoints from which a hand counts as hidden."""
_TIPS = [8, 12, 16, 20]


def watch(seconds, pictures, smoothing, fused):
    """Keypoints (T, 21, 3) in mm from the wrist, camera's axes, of the hand in `pictures`; NaN where none
    was found."""
    pipeline, camera = HandPipeline(PipelineConfig(max_hands=1, smoothing=smoothing)), stage_camera()
    if fused:
        pipeline._reconstruct._synthesizer = FusedSynthesizer(pipeline._reconstruct._synthesizer)
    seen = np.full((len(pictures), 21, 3), np.nan)
    for row, second, rgb in zip(seen, seconds, pictures, strict=True):
        for hand in pipeline.process(Frame(rgb, round(1e9 * (1 + second)), camera)):
            row[:] = 1e3 * hand.keypoints_wrist @ hand.wrist_rotation.T
    return seen


def measure(seen, truth, seconds, hidden):
    """{figure: value} of one sequence: `seen` and `truth` (T, 21, 3) mm, `seconds` and `hidden` (T,)."""
    truth, found = truth - truth[:, :1], np.isfinite(seen).all((1, 2))
    errors = np.full((len(seen), 2), np.nan)
    errors[found] = [(pa_mpjpe(a, b), mpjpe(a, b)) for a, b in zip(seen[found], truth[found], strict=True)]
    figures = {'shake': np.nanmean(np.linalg.norm(np.diff(seen - truth, 2, 0), axis=-1))}
    away = np.flatnonzero(hidden > HIDDEN)
    if len(away):
        first, end = away[0], away[-1] + 1
        spans = {'onset': (first, first + 6), 'hidden': (first, end), 'after': (end, end + 10)}
    else:
        spans = {'all': (5, len(seen))}
        figures['lag ms'] = 1e3 * lag(seconds, openness(seen), openness(truth))
    for name, (start, stop) in spans.items():
        seen_then = errors[start:stop][found[start:stop]]
        figures[f'PA {name}'], figures[f'root {name}'] = (
            seen_then.mean(0) if len(seen_then) else (np.nan,) * 2
        )
    return figures


def openness(keypoints):
    """Mean distance (T,) of the fingertips from the wrist of keypoints (T, 21, 3)."""
    return np.linalg.norm(keypoints[:, _TIPS] - keypoints[:, :1], axis=-1).mean(1)


def lag(seconds, signal, truth):
    """Seconds by which a signal (T,) is most like the truth (T,) delayed."""
    use = np.isfinite(signal) & (seconds > 0.3)
    return delay(seconds[use], signal[use], seconds, truth)


def table(results):
    """Lines of {variant: [figures of each sequence]}: means as measured, then what COMPARED changes."""
    lines = []
    for name in results['as measured'][0]:
        values = {variant: np.array([f[name] for f in all_]) for variant, all_ in results.items()}
        line = f'  {name:12}{np.nanmean(values["as measured"]):8.2f}'
        for variant, base in COMPARED:
            scale = 1 if name == 'lag ms' else 100 / np.nanmean(values[base])
            change = scale * (values[variant] - values[base])
            low, high = interval(change)
            line += f'{f"{np.nanmean(change):+.1f} [{low:+.1f}, {high:+.1f}]":>24}'
        lines.append(line)
    return lines


def main():
    """Renders, watches and prints."""
    from .data.covering import KINDS, play

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--seeds', type=whole(2), default=16, help='sequences of each kind (default 16)')
    args = parser.parse_args()
    print('as measured;', '; '.join(f'{variant} / {base}' for variant, base in COMPARED))
    for kind in KINDS:
        results = {name: [] for name in VARIANTS}
        for seed in range(args.seeds):
            seconds, pictures, keypoints, hidden = zip(*play(kind, seed), strict=True)
            about = 1e3 * np.array(keypoints), np.array(seconds), np.array(hidden)
            for name, choice in VARIANTS.items():
                results[name].append(measure(watch(seconds, pictures, *choice), *about))
        print('\n'.join([kind, *table(results)]), flush=True)


if __name__ == '__main__':
    main()
