"""A page about the labels of a `maskhand label` run: hours, hands, the share of frames with a hand,
confidences, spread of bone lengths, acceleration, the sides of each track, and pictures of the least certain
and of random frames.

DIR/report.html is one file with its pictures inside; the main figures are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from maskhand_ros import cli_arguments, files
from maskhand_ros.labelling.finished import finished_clips
from maskhand_ros.labelling.report import make_report
from maskhand_ros.labelling.report_html import to_html
from maskhand_ros.progress import progress, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `maskhand label-report`."""
    parser.add_argument('folder', type=Path, metavar='DIR', help='folder of a `maskhand label` run')
    parser.add_argument('--out', type=Path, metavar='FILE', help='page to write (default DIR/report.html)')
    parser.add_argument(
        '--pictures',
        type=cli_arguments.whole(0, 200),
        default=12,
        metavar='N',
        help='pictures of the least certain frames, and of random ones (default %(default)s)',
    )


def run(args: argparse.Namespace) -> None:
    """Measures the labels and writes the page."""
    clips = list(finished_clips(args.folder))
    report = make_report(progress(clips, len(clips), 'clips'), args.pictures)
    out = args.out or args.folder / 'report.html'
    files.write_file(out, to_html(report, clips).encode())
    hands = sum(clip.hands for clip in report.clips)
    say(
        f'{len(clips)} clips, {report.hours:.3f} h, {hands} hands, '
        f'{100 * report.found:.1f} % of the frames with a hand: {out}'
    )
