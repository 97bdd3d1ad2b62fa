"""Table of errors of `maskhand evaluate` as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maskhand_ros.evaluation.evaluate_scores import FIGURES, FIGURES_3D

Report = Mapping[str, Mapping[str, Any]]
"""Figures of each source, as `summarise` gives them, and those of its peers."""

HEAD = (
    'source',
    'hands',
    'found',
    'missed',
    'wrong side',
    'PA-MPJPE mm',
    'PA15 mm',
    'MPJPE mm',
    '2D error / box',
    'PCK@0.05',
    'PCK@0.10',
)


def error_table(report: Report) -> str:
    """The errors as text: a row a source with keypoints, one below for each peer and one for ours - the
    peer's; empty if no source has any."""
    report = {source: entry for source, entry in report.items() if entry['pck'] is not None or _has_3d(entry)}
    if not report:
        return ''
    rows: list[tuple[str, ...]] = [HEAD]
    for source, entry in report.items():
        rows.append(_row(source, entry))
        for peer, figures in entry.get('peer', {}).items():
            rows.append(_row(f'  {peer}', figures))
            gaps = figures['difference']
            cells = [_cell(f, *_of_gap(gaps.get(f)), '+') for f in FIGURES]
            rows.append(('  ours - that, paired', *([''] * 4), *cells, '', ''))
    notes = [line for source, entry in report.items() for line in _misses_lines(source, entry)]
    notes += [_uncertainty_line(s, e['uncertainty']) for s, e in report.items() if e['uncertainty']]
    return '\n'.join([aligned(rows), *notes])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _has_3d(entry: Mapping[str, Any]) -> bool:
    return any(entry['with_misses'][figure] is not None for figure in FIGURES_3D)


def _misses_lines(source: str, entry: Mapping[str, Any]) -> Iterable[str]:
    """Errors with each missed hand scored as the mean hand, where a hand was missed."""
    for name, figures in {'ours': entry, **entry.get('peer', {})}.items():
        if figures['missed'] and _has_3d(figures):
            errors = figures['with_misses']
            yield f'{source}, missed hands scored as the mean hand, {name}: ' + ', '.join(
                f'{HEAD[5 + k][:-3]} {_cell(figure, errors[figure], None)} mm'
                for k, figure in enumerate(FIGURES_3D)
            )


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    intervals = entry['interval95'] or {}
    return (
        name,
        *(str(entry[key]) for key in ('hands', 'found', 'missed', 'wrong_side')),
        *(_cell(figure, entry[figure], intervals.get(figure)) for figure in FIGURES),
        *('-' if entry['pck'] is None else f'{100 * entry["pck"][key]:.1f} %' for key in ('0.05', '0.10')),
    )


def _of_gap(gap: dict[str, Any] | None) -> tuple[float | None, tuple[float, float] | None]:
    return (gap['mean'], gap['interval95']) if gap else (None, None)


def _cell(figure: str, value: float | None, interval: tuple[float, float] | None, sign: str = '') -> str:
    """A figure with its interval; 2D errors as percentages."""
    if value is None:
        return '-'
    factor, unit = (100, ' %') if figure == 'err2d_over_box' else (1, '')
    numbers = [f'{number * factor:{sign}.2f}' for number in (value, *(interval or ()))]
    return f'{numbers[0]}{unit}' + (f' [{numbers[1]}, {numbers[2]}]' if interval else '')


def _uncertainty_line(source: str, uncertainty: dict[str, Any]) -> str:
    shares = ', '.join(
        f'{axis} {100 * part["68"]:.0f} % and {100 * part["95"]:.0f} %'
        for axis, part in uncertainty['coverage'].items()
    )
    deciles = ', '.join(f'{error:.0f}' for error in uncertainty['error_by_confidence_decile_mm'])
    return (
        f'{source}: stated 68 % and 95 % intervals hold {shares} of the keypoints; rank correlation of '
        f'stated and true error {uncertainty["hand_spearman"]:.2f}; mean confidence '
        f'{uncertainty["confidence"]:.2f} beside {100 * uncertainty["share_below_20_mm"]:.0f} % of hands '
        f'below 20 mm, AUC {uncertainty["confidence_auc"]:.2f}; mean error in mm by decile of confidence, '
        f'lowest first: {deciles}'
    )
