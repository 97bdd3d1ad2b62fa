"""The card of a fine-tuned model: what it was trained on, and errors before and after."""

from __future__ import annotations

import argparse
from typing import Any

from .finetune_data import Samples
from .finetune_figures import Figures

SETTINGS = ('steps', 'batch_size', 'learning_rate', 'share', 'hold_out', 'keypoint_set', 'seed')
"""Arguments that the card and model.json name."""


_ORIGIN = (
    'Made by `maskhand finetune`. Context and synthesizer were trained; palm detector, landmark network and '
    'tokenizer are those of the start, whose card says what holds for both: intended use, origin, licences.'
)
_NOTES = (
    'The network alone sees crops around the hands, changed as for training; its truth is the hand fitted to '
    'the label. Where there is no label, it is the answer of the start: that row is no error. Spread and '
    'confidence are calibrated as those of the start; `maskhand train calibrate` fits them again, on renders.'
)


def table(before: Figures, after: Figures) -> str:
    """The Figures as a markdown table."""
    lines = ['| measured on | before | after |', '| --- | --- | --- |']
    lines += [f'| {row} | {before[row]:.2f} | {after[row]:.2f} |' for row in before if row in after]
    return '\n'.join(lines)


def card(args: argparse.Namespace, start: dict[str, Any], samples: Samples, figures: str) -> str:
    """The card as markdown; `start` is the content of the start's model.json."""
    data = [f'- {name}: {count}' for name, count in samples.counts.items()]
    data += [f'- left out, {reason}: {count}' for reason, count in samples.left_out.items()]
    settings = [f'- {name}: {getattr(args, name)}' for name in SETTINGS]
    settings.append(f'- anchor: {args.anchor.name if args.anchor else "renders made for this run"}')
    parts = (
        f'# Fine-tuned from {start["name"]} {start["version"]}',
        _ORIGIN,
        '## Data',
        '\n'.join(data),
        '## Settings',
        '\n'.join(settings),
        '## Before and after',
        figures,
        _NOTES,
    )
    return '\n\n'.join(parts) + '\n'
