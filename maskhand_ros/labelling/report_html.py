"""The report of a run as one HTML file with its images inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.labelling.finished import FinishedClip
from maskhand_ros.labelling.parquet import read_clip
from maskhand_ros.labelling.records import FrameLabels
from maskhand_ros.labelling.report import BINS, Pick, Report
from maskhand_ros.skeleton import KEYPOINT_EDGES, LEFT

_WIDTH = 320
"""Of a picture on the contact sheet, px."""
_LEFT, _RIGHT = (255, 150, 20), (20, 150, 255)
"""RGB of skeletons."""
_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse }
td, th { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left; overflow-wrap: anywhere; min-width: 14em }
.sheet { display: flex; flex-wrap: wrap; gap: 8px }
figure { margin: 0; width: 320px }
figcaption { font-size: 12px; overflow-wrap: anywhere }
.bars { display: flex; align-items: end; gap: 2px; height: 120px; width: 520px }
.bars { border-bottom: 1px solid #888 }
.bars div { flex: 1; background: #4a90d9 }
.axis { display: flex; justify-content: space-between; width: 520px; font-size: 12px }
"""


def to_html(report: Report, clips: Sequence[FinishedClip]) -> str:
    """The page. Pictures whose clips are no longer there are left out, and the page says so."""
    seconds = sum(clip.seconds for clip in report.clips)
    hands, filled = (sum(getattr(clip, name) for clip in report.clips) for name in ('hands', 'filled'))
    counted = report.histogram.sum()
    sure = report.histogram[BINS // 2 :].sum() / max(counted, 1)
    summary = [
        ('clips', f'{len(report.clips)}'),
        ('hours', f'{report.hours:.3f} ({seconds:.1f} s)'),
        ('frames with a hand', f'{100 * report.found:.1f} %'),
        ('hands', f'{hands}, of these {filled} filled in between frames'),
        ('confidence of 0.5 or more', f'{100 * sure:.1f} % of the hands'),
    ]
    rows = ''.join(f'<tr><td>{name}</td><td>{value}</td></tr>' for name, value in summary)
    return (
        f'<!doctype html><meta charset="utf-8"><title>maskhand label-report</title><style>{_STYLE}</style>'
        f'<h1>Labels</h1><table>{rows}</table><h2>Confidence</h2>{_bars(report.histogram)}'
        f'<p>Number of hands (highest bar: {report.histogram.max()}) by the probability that the mean '
        'keypoint error from the wrist is below 20 mm.</p>'
        f'<h2>Least certain frames</h2>{_sheet(report.least, clips)}'
        f'<h2>Random frames</h2>{_sheet(report.random, clips)}'
        '<p>Orange: left hand, blue: right hand; pale: filled in between frames.</p>'
        f'<h2>Clips</h2>{_table(report)}'
    )


def _bars(histogram: np.ndarray) -> str:
    highest = max(int(histogram.max()), 1)
    bars = (
        f'<div style="height:{100 * count / highest:.1f}%" title="{place / BINS:.2f} to '
        f'{(place + 1) / BINS:.2f}: {count}"></div>'
        for place, count in enumerate(histogram.tolist())
    )
    axis = '<span>0</span><span>0.5</span><span>1</span>'
    return f'<div class="bars">{"".join(bars)}</div><div class="axis">{axis}</div>'


def _table(report: Report) -> str:
    titles = (
        'clip',
        's',
        'frames with a hand',
        'hands',
        'filled in',
        'mean confidence',
        'spread of bone lengths',
        'median acceleration, m/s²',
        'tracks (frames by side)',
    )
    rows = []
    for clip in report.clips:
        tracks = '; '.join(
            f'{id}: {", ".join(f"{side} {count}" for side, count in sides.items())}'
            for id, sides in clip.tracks.items()
        )
        cells = (
            html.escape(clip.source),
            f'{clip.seconds:.1f}',
            f'{100 * clip.with_hands / max(clip.frames, 1):.0f} %',
            f'{clip.hands}',
            f'{clip.filled}',
            f'{clip.confidence:.2f}',
            f'{100 * clip.bone_spread:.2f} %',
            f'{clip.jitter:.2f}',
            tracks,
        )
        rows.append(f'<tr>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    head = ''.join(f'<th>{title}</th>' for title in titles)
    return f'<table><tr>{head}</tr>{"".join(rows)}</table>'


def _sheet(picks: Sequence[Pick], clips: Sequence[FinishedClip]) -> str:
    figures, lost = [], 0
    pictures = _pictures(picks, clips)
    for pick in picks:
        picture = pictures.get((pick.clip, pick.row))
        if picture is None:
            lost += 1
            continue
        name = html.escape(clips[pick.clip].source.rpartition('/')[2])
        data = base64.b64encode(picture).decode()
        figures.append(
            f'<figure><img src="data:image/jpeg;base64,{data}"><figcaption>{name}, frame {pick.row}, '
            f'least confidence {pick.confidence:.2f}</figcaption></figure>'
        )
    note = f'<p>{lost} pictures are missing: their clips are no longer there.</p>' if lost else ''
    return f'<div class="sheet">{"".join(figures)}</div>{note}'


def _pictures(picks: Sequence[Pick], clips: Sequence[FinishedClip]) -> dict[tuple[int, int], bytes]:
    """JPEG pictures of the picked frames, by (clip, row). Each clip is decoded once."""
    found: dict[tuple[int, int], bytes] = {}
    for number in sorted({pick.clip for pick in picks}):
        wanted = {pick.row for pick in picks if pick.clip == number}
        try:
            source = clips[number].open()
        except CommandError:
            continue
        try:
            frames = read_clip(clips[number].file)
            for row, image in enumerate(source.frames(0)):
                if row in wanted:
                    found[number, row] = _picture(image.rgb, frames[row])
                if row >= max(wanted):
                    break
        finally:
            source.close()
    return found


def _picture(rgb: np.ndarray, frame: FrameLabels) -> bytes:
    """A small JPEG picture with the skeletons of its hands."""
    scale = _WIDTH / rgb.shape[1]
    small = cv2.resize(rgb, (_WIDTH, max(round(scale * rgb.shape[0]), 1)), interpolation=cv2.INTER_AREA)
    for hand in frame.hands:
        colour = np.array(_LEFT if hand.side == LEFT else _RIGHT, float)
        colour = colour if hand.observed else 0.5 * colour + 127
        points = np.round(scale * np.nan_to_num(hand.kp2d, nan=-1.0) * 8).astype(int)
        for start, end in points[KEYPOINT_EDGES].tolist():
            cv2.line(small, start, end, colour.tolist(), 2, cv2.LINE_AA, 3)
    return bytes(cv2.imencode('.jpg', cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1])
