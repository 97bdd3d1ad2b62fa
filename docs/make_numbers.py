"""Writes the tables of figures in README.md, docs/video.md and the model card from docs/figures.json.

`python docs/make_numbers.py` renders the tables. `python docs/make_numbers.py collect DIR` first copies into
docs/figures.json what the commands wrote to DIR (`make figures` runs them). No figure is typed by hand:
test/test_figures.py compares each table with the file, and the file's model hash with model.json.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / 'docs/figures.json'
MODEL = ROOT / 'maskhand_ros/weights/model.json'

Json = dict[str, Any]

PARTS = (
    'evaluate',
    'evaluate_anatomical',
    'evaluate_wild',
    'evaluate_gestures',
    'evaluate_stereo',
    'evaluate_video',
    'train_evaluate',
    'train_evaluate_everyday',
    'bench_1',
    'bench_2',
    'bench_ros_480',
    'bench_ros_720',
)
"""Names of the JSON files that the commands of `make figures` write."""

PEER = 'mediapipe 0.10.14 raw'

NOT_KEPT = ('entries', 'unlabelled', 'by_category', 'by_size_px', 'by_size_share')
"""Keys of a report that are left out: single hands, and the detection of parts of a set."""


def model_hash() -> str:
    """SHA-256 of model.json, which lists that of each network."""
    return sha256(MODEL.read_bytes()).hexdigest()


def collect(folder: Path) -> Json:
    """What the commands wrote to `folder`, without NOT_KEPT."""
    figures: Json = {'model_sha256': model_hash(), 'processor': _processor()}
    for part in PARTS:
        report = json.loads((folder / f'{part}.json').read_text())
        figures[part] = _kept(report)
    return _rounded(figures)


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(each) for key, each in value.items() if key not in NOT_KEPT}
    return value


def tables(figures: Json) -> dict[tuple[str, str], str]:
    """{(file, marker): text between its `<!-- marker -->` and `<!-- /marker -->`}."""
    return {
        ('README.md', 'numbers'): _headline(figures),
        ('docs/video.md', 'video'): _video(figures),
        ('docs/video.md', 'stereo'): _stereo(figures),
        ('maskhand_ros/weights/CARD.md', 'measured'): _measured(figures),
        ('maskhand_ros/weights/CARD.md', 'uncertainty'): _uncertainty(figures),
    }


def block(text: str, marker: str) -> re.Match[str]:
    """The match of a marked block in a page: its group 1 is the text between the markers."""
    found = re.search(rf'<!-- {marker} -->\n(.*?)<!-- /{marker} -->', text, re.S)
    if found is None:
        raise SystemExit(f'no <!-- {marker} --> ... <!-- /{marker} --> block')
    return found


def _headline(figures: Json) -> str:
    snap, stereo = figures['evaluate']['snap'], figures['evaluate_stereo']
    video = {name: figure['value'] for name, figure in figures['evaluate_video'].items()}
    peer = snap['peer'][PEER]
    ours, theirs = stereo['systems']['smoothing adaptive'], stereo['systems']['mediapipe']
    ros, large = figures['bench_ros_480'], figures['bench_ros_720']
    evaluate = '`maskhand evaluate INDEX.json --peer mediapipe`'
    pair = '`maskhand evaluate-stereo FOLDER --peer mediapipe`'
    rendered = '`maskhand evaluate-video`'
    rows = [
        ('200 photographs of one hand: hands found', snap['found'], peer['found'], evaluate),
        ('... PA-MPJPE, 21 keypoints', _mm(snap['pa_mpjpe_mm']), _mm(peer['pa_mpjpe_mm']), 'same'),
        ('... PA-MPJPE, 15 keypoints', _mm(snap['pa15_mpjpe_mm']), _mm(peer['pa15_mpjpe_mm']), 'same'),
        ('... MPJPE, root-aligned', _mm(snap['mpjpe_mm']), _mm(peer['mpjpe_mm']), 'same'),
        (
            '... 2D error, share of the hand box',
            _percent(snap['err2d_over_box']),
            _percent(peer['err2d_over_box']),
            'same',
        ),
        *_detection_rows(figures),
        (
            'Stereo pair, 378 image pairs: found in both views',
            ours['both'],
            theirs['both'],
            pair,
        ),
        (
            '... wrist in one view against the other, median, share of the distance',
            _percent(ours['wrist']['median']),
            _percent(theirs['wrist']['median']),
            'same',
        ),
        (
            '... PA-MPJPE between the views',
            _mm(ours['pa_mpjpe_mm']['mean']),
            _mm(theirs['pa_mpjpe_mm']['mean']),
            'same',
        ),
        (
            'Rendered sequences: wrist error, population hand size',
            f'{video["wrist error, size of the population"]:.1f} %',
            '',
            rendered,
        ),
        (
            '... wrist error, `hand_length` set',
            f'{video["wrist error, hand_length given"]:.1f} %',
            '',
            'same',
        ),
        ('... wrist error, depth image', _mm(video['wrist error, depth image']), '', 'same'),
        ('... id switches', f'{video["id switches"]:.0f}', '', 'same'),
        ('... keypoint jitter at rest', _mm(video['at rest: keypoints about the wrist']), '', 'same'),
        ('... filter lag at 2 Hz', f'{video["lag at a wave of 2 Hz"]:.0f} ms', '', 'same'),
        (
            'Image stamp to HandArray, 640x480, two hands, 30 Hz: p50',
            _ms(ros['latency_ms']['p50']),
            '',
            '`maskhand bench --ros`',
        ),
        ('... p99', _ms(ros['latency_ms']['p99']), '', 'same'),
        ('... CPU of the node', f'{ros["cpu_cores"]["hand_node"]:.1f} cores', '', 'same'),
        (
            'The same at 1280x720: p50',
            _ms(large['latency_ms']['p50']),
            '',
            '`maskhand bench --ros --size 1280x720`',
        ),
        *_bench_rows('One hand', figures['bench_1']),
        *_bench_rows('Two hands', figures['bench_2']),
        ('... peak memory', f'{figures["bench_2"]["peak_memory_mib"]:.0f} MiB', '', 'same'),
    ]
    return _table(('quantity', 'ours', 'MediaPipe 0.10.14', 'command'), rows)


def _detection_rows(figures: Json) -> list[tuple[Any, ...]]:
    wild, gestures = (figures[f'evaluate_{name}']['detection'] for name in ('wild', 'gestures'))
    ours, theirs = wild['ours'], wild[PEER]
    rows: list[tuple[Any, ...]] = [
        (
            f'{ours["hands"]} hands in everyday pictures: found',
            _percent(ours['recall']),
            _percent(theirs['recall']),
            '`maskhand evaluate wild.json --peer mediapipe`',
        ),
    ]
    ours, theirs = gestures['ours'], gestures[PEER]
    rows += [
        (
            f'{ours["hands"]} gestures: found',
            _percent(ours['recall']),
            _percent(theirs['recall']),
            '`maskhand evaluate gestures.json --peer mediapipe`',
        ),
        (
            '... all four fingers right, straight or bent',
            *(_percent(each['fingers']['right_of_all']) for each in (ours, theirs)),
            'same',
        ),
    ]
    return rows


def _bench_rows(name: str, report: Json) -> list[tuple[Any, ...]]:
    peer, command = report['peer'], f'`maskhand bench --hands {report["hands"]} --peer mediapipe`'
    return [
        (
            f'{name} without ROS: p50',
            _ms(report['stages_ms']['total']['p50']),
            _ms(peer['total_ms']['p50']),
            command,
        ),
        ('... CPU time', _ms(report['cpu_ms']), _ms(peer['cpu_ms']), 'same'),
    ]


def _video(figures: Json) -> str:
    rows = [
        (name, f'{figure["value"]:.3g} {figure["unit"]}'.rstrip(), figure['limit'])
        for name, figure in figures['evaluate_video'].items()
    ]
    return _table(('figure', 'measured', 'limit'), rows)


def _stereo(figures: Json) -> str:
    systems = figures['evaluate_stereo']['systems']
    names = ('smoothing adaptive', 'smoothing off', 'mediapipe')

    def row(name: str, cell: Callable[[Json], str]) -> tuple[str, ...]:
        return (name, *(cell(systems[system]) for system in names))

    rows = [
        row('found in both views, in one', lambda s: f'{s["both"]}, {s["one"]}'),
        row(
            'wrist in one view against the other, share of the distance: median, 90 %',
            lambda s: f'{_percent(s["wrist"]["median"])}, {_percent(s["wrist"]["p90"])}',
        ),
        row(
            'mean of 21 keypoints, likewise',
            lambda s: f'{_percent(s["keypoints"]["median"])}, {_percent(s["keypoints"]["p90"])}',
        ),
        row('PA-MPJPE between the views, mean', lambda s: _mm(s['pa_mpjpe_mm']['mean'])),
        row('MPJPE from the wrist between the views, mean', lambda s: _mm(s['mpjpe_mm']['mean'])),
    ]
    return _table(('', 'ours', 'without smoothing', 'MediaPipe 0.10.14'), rows)


def _measured(figures: Json) -> str:
    evaluate = '`maskhand evaluate INDEX.json --peer mediapipe`'
    rows = []
    for part, keypoints, peer in (
        ('evaluate', 'mediapipe', PEER),
        ('evaluate_anatomical', 'anatomical', 'mediapipe 0.10.14 redefined'),
    ):
        ours = figures[part]['snap']
        theirs = ours['peer'][peer]
        rows.append((f'snap (real), keypoint set `{keypoints}`', *_errors(ours), evaluate))
        rows.append((f'{peer} on the same', *_errors(theirs), 'same'))
        rows.append(('ours less that, paired', '', '', *_differences(theirs['difference']), 'same'))
    rendered = {**figures['train_evaluate'], **figures['train_evaluate_everyday']}
    for split, report in rendered.items():
        if split == 'together':
            continue
        rows.append(
            (
                f'{split} (rendered; the network alone)',
                report['samples'],
                'boxes given',
                f'{report["pa_mpjpe_mm"]:.2f}',
                '',
                f'{report["mpjpe_mm"]:.2f}',
                '',
                '`maskhand train evaluate --data shards`',
            )
        )
    return _table(
        ('set', 'hands', 'found', 'PA-MPJPE 21', 'PA 15 light', 'MPJPE root-aligned', '2D / box', 'command'),
        rows,
    )


def _uncertainty(figures: Json) -> str:
    splits = ('test_stress', 'test_camera', 'together')
    reports = [figures['train_evaluate'][split] for split in splits]
    names = [
        name
        for name, value in reports[-1].items()
        if isinstance(value, float) and ('coverage' in name or 'spearman' in name or 'nats' in name)
    ]
    rows = [(f'`{name}`', *(f'{report[name]:.2f}' for report in reports)) for name in names]
    return _table(('', *splits), rows)


def _errors(report: Json) -> tuple[Any, ...]:
    intervals = report['interval95']
    cells = []
    for name in ('pa_mpjpe_mm', 'pa15_mpjpe_mm', 'mpjpe_mm'):
        low, high = intervals[name]
        cells.append(f'{report[name]:.2f} [{low:.2f}, {high:.2f}]')
    low, high = (100 * bound for bound in intervals['err2d_over_box'])
    cells.append(f'{100 * report["err2d_over_box"]:.2f} % [{low:.2f}, {high:.2f}]')
    return (report['hands'], report['found'], *cells)


def _differences(differences: Json) -> list[str]:
    cells = []
    for name, scale, unit in (
        ('pa_mpjpe_mm', 1, ''),
        ('pa15_mpjpe_mm', 1, ''),
        ('mpjpe_mm', 1, ''),
        ('err2d_over_box', 100, ' %'),
    ):
        mean, (low, high) = differences[name]['mean'], differences[name]['interval95']
        cells.append(f'{scale * mean:+.2f}{unit} [{scale * low:+.2f}, {scale * high:+.2f}]')
    return cells


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ('---',) * len(head), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines) + '\n'


def _mm(value: float) -> str:
    return f'{value:.1f} mm'


def _ms(value: float) -> str:
    return f'{value:.0f} ms'


def _percent(fraction: float) -> str:
    return f'{100 * fraction:.1f} %'


def _rounded(value: Any) -> Any:
    """The same with floats of six significant digits: more is noise between processors."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f'{value:.6g}') if isinstance(value, float) else value


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    names = re.findall(r'model name\s*: (.*)', info.read_text()) if info.is_file() else []
    return f'{len(names)} cores of {names[0]}' if names else platform.processor()


def main(words: list[str]) -> None:
    """Collects if asked to, then renders every table."""
    if words[:1] == ['collect']:
        STORE.write_text(json.dumps(collect(Path(words[1])), indent=1) + '\n')
    for (page, marker), text in tables(json.loads(STORE.read_text())).items():
        path = ROOT / page
        content = path.read_text()
        found = block(content, marker)
        path.write_text(content[: found.start(1)] + text + content[found.end(1) :])


if __name__ == '__main__':
    main(sys.argv[1:])
