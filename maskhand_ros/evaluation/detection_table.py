"""Table of detection of `maskhand evaluate` as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from maskhand_ros.evaluation.detection import Figures
from maskhand_ros.evaluation.evaluate_tables import aligned
from maskhand_ros.evaluation.shrunk import CANVAS

_GROUPS = {'by_source': '', 'by_category': '', 'by_size_px': 'px', 'by_size_share': "of the image's width"}
"""Groups of detection_figures, and the unit of their names."""


def detection_table(systems: Mapping[str, Figures]) -> str:
    """Detection of several systems as text, side by side: {system: detection_figures}."""
    figures = list(systems.values())
    with_fingers = 'fingers' in figures[0]
    head = ['hands', 'labelled']
    for name in systems:
        head += [f'{name}: found', 'wrong side', 'unlabelled', 'precision at least']
    head += [f'{name}: four fingers right' for name in systems if with_fingers]
    rows = [head, _row('all', figures, with_fingers)]
    for group, unit in _GROUPS.items():
        keys = dict.fromkeys(key for each in figures for key in each[group])
        if group == 'by_source' and len(keys) < 2:
            continue
        rows += [
            _row(f'  {key} {unit}'.rstrip(), [each[group].get(key, {}) for each in figures], with_fingers)
            for key in keys
        ]
    return '\n'.join([aligned(rows), *_empty_lines(systems), *_shrunk_lines(systems)])


def _row(name: str, systems: Sequence[Figures], with_fingers: bool) -> list[str]:
    row = [name, str(next((figures['hands'] for figures in systems if figures), ''))]
    for figures in systems:
        wrong = f'{figures["wrong_side"]} of {figures["side_known"]}' if figures else '-'
        row += [_percent(figures.get('recall')), wrong, str(figures.get('unlabelled', 0))]
        row.append(_percent(figures.get('precision_at_least')))
    if with_fingers:
        row += [_percent(figures.get('fingers', {}).get('right_of_all')) for figures in systems]
    return row


def _empty_lines(systems: Mapping[str, Figures]) -> Iterable[str]:
    for name, figures in systems.items():
        empty = figures['without_hands']
        if empty['images']:
            yield (
                f'{name}: {empty["false_hands"]} false hands in {empty["images_with_false_hands"]} of '
                f'{empty["images"]} images without one'
            )


def _shrunk_lines(systems: Mapping[str, Figures]) -> Iterable[str]:
    for name, figures in systems.items():
        if 'shrunk' in figures:
            sizes, smallest = figures['shrunk']['sizes'], figures['shrunk']['smallest_px']
            shares = ', '.join(
                f'{px} px {_percent(part["recall"])} of {part["hands"]}' for px, part in sizes.items()
            )
            yield f'{name}: found on a {CANVAS[0]}x{CANVAS[1]} canvas: {shares}; smallest {smallest} px'


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f} %'
