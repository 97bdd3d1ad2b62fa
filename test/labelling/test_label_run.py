"""`maskhand label` through kills, a corrupt clip, one that kills its worker and a duplicate."""

import json
import shutil

import pytest

pytest.importorskip('daft')
pytest.importorskip('pyarrow')
pytest.importorskip('av')

from label_clips import kill_at, make_clips, start_run  # noqa: E402

from maskhand_ros import cli  # noqa: E402
from maskhand_ros.clip import CLIP  # noqa: E402
from maskhand_ros.labelling.parquet import read_clip, read_metadata  # noqa: E402
from maskhand_ros.labelling.run_folder import RunFolder  # noqa: E402
from maskhand_ros.perception.weights import SHIPPED  # noqa: E402

COUNT, LENGTH = 8, 10
OPTIONS = '--workers', '2'


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def finished(out):
    """Return {file: time of its last change, ns}."""
    return {path: path.stat().st_mtime_ns for path in (out / 'clips').glob('[!.]*.parquet')}


def test_killed_runs_go_on_where_they_were(tmp_path):
    clips, out, tools = tmp_path / 'in', tmp_path / 'out', tmp_path / 'tools'
    paths = make_clips(clips, [CLIP], COUNT, LENGTH)
    before = {}
    for number, everything in ((1, False), (3, True)):
        run = start_run(clips, out, tools, *OPTIONS)
        kill_at(run, out, number, everything)
        assert before.items() <= finished(out).items()
        before = finished(out)
    run = start_run(clips, out, tools, *OPTIONS)
    text = run.communicate()[0]
    assert run.returncode == 1, text
    assert before.items() <= finished(out).items(), 'no clip is labelled twice'

    assert [failure['path'] for failure in lines(out / 'failed.jsonl')] == sorted(map(str, paths[:2]))
    corrupt, killer = lines(out / 'failed.jsonl')
    assert 'is not a video' in corrupt['reason'] and 'the worker died 2 times' in killer['reason']
    assert corrupt['fix'] and killer['fix'] and str(paths[0]) in text
    files = {line['path']: out / line['file'] for line in lines(out / 'clips.jsonl')}
    assert sorted(files) == sorted(map(str, paths[2:]))
    assert len(set(files.values())) == len(finished(out)) == COUNT - 3
    assert files[str(paths[2])] == files[str(paths[-1])]
    for file in set(files.values()):
        assert len(read_clip(file)) == read_metadata(file)['rows'] == LENGTH
        assert any(frame.hands for frame in read_clip(file))
    assert not (tools / 'calls').exists(), 'nobody reports usage'

    paths[0].unlink()
    paths[1].unlink()
    before = finished(out)
    run = start_run(clips, out, tools, *OPTIONS)
    run.communicate()
    assert run.returncode == 0 and finished(out) == before and not lines(out / 'failed.jsonl')


def test_one_run_at_a_time(tmp_path, capsys):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    words = ['label', str(tmp_path / 'a.mp4'), '--out', str(tmp_path / 'out')]
    with RunFolder(tmp_path / 'out').lock():
        assert cli.main(words) == 1
    assert 'another run writes to' in capsys.readouterr().err
    assert cli.main([*words, '--weights-dir', str(tmp_path)]) == 1
    assert 'no model.json' in capsys.readouterr().err


def test_workers_that_cannot_start_blame_no_clip(tmp_path, capsys):
    weights = tmp_path / 'weights'
    shutil.copytree(SHIPPED, weights)
    (weights / 'landmarks.onnx').write_bytes(b'')
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    words = ['label', str(tmp_path / 'a.mp4'), '--out', str(tmp_path / 'out'), '--workers', '1']
    assert cli.main([*words, '--weights-dir', str(weights)]) == 1
    error = capsys.readouterr().err
    assert 'the workers cannot start' in error and 'landmarks.onnx' in error
    assert not lines(tmp_path / 'out/failed.jsonl')
