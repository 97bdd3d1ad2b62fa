"""A long check of `maskhand label`, on any videos: not part of the tests.

    python test/labelling/endurance.py FOLDER VIDEO... --clips 60 --frames 60

Makes clips of several codecs, sizes and rates from the videos, one corrupt, one that kills its worker, one
duplicate. Kills the run with SIGKILL three times, the second time all of its processes at once, and runs it
to the end. With --memory CLIPS it labels so many clips on one worker and prints the slope of its private
memory over the last two thirds.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
from label_clips import kill_at, make_clips, processes_below, start_run

from maskhand_ros.labelling.parquet import read_metadata


def main():
    """Print what was done, and end with status 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('videos', type=Path, nargs='+')
    parser.add_argument('--clips', type=int, default=60)
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--memory', type=int, default=0, metavar='CLIPS')
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    if args.memory:
        check_memory(args)
    else:
        check_kills(args)


def check_kills(args):
    """The clips, three kills, and the run to the end."""
    clips, out, tools = args.folder / 'in', args.folder / 'out', args.folder / 'tools'
    paths = make_clips(clips, args.videos, args.clips, args.frames)
    begin, kept = time.monotonic(), {}
    for number in range(1, 4):
        run = start_run(clips, out, tools, '--workers', '2')
        kill_at(run, out, number * args.clips // 4, everything=number == 2)
        assert kept.items() <= changes(out).items(), 'a clip was labelled again'
        kept = changes(out)
        print(f'killed after {time.monotonic() - begin:.0f} s with {len(kept)} clips', flush=True)
    run = start_run(clips, out, tools, '--workers', '2')
    text = run.communicate()[0]
    assert kept.items() <= changes(out).items(), 'a clip was labelled again'
    print(text)
    files = [json.loads(line)['file'] for line in (out / 'clips.jsonl').read_text().splitlines()]
    rows = {read_metadata(path)['rows'] for path in changes(out)}
    print(
        f'{len(paths)} inputs, {len(changes(out))} files, {len(files)} inputs with a file, rows {rows}, '
        f'exit status {run.returncode}, {time.monotonic() - begin:.0f} s'
    )
    assert run.returncode == 1 and len(files) == args.clips - 2 and len(changes(out)) == args.clips - 3


def check_memory(args):
    """Clips on one worker, and its memory."""
    clips, out, tools = args.folder / 'in', args.folder / 'out', args.folder / 'tools'
    paths = make_clips(clips, args.videos, args.memory + 3, args.frames)
    paths[0].unlink()
    paths[1].unlink()
    run = start_run(clips, out, tools, '--workers', '1')
    samples, begin = [], time.monotonic()
    while run.poll() is None:
        time.sleep(1)
        memory = [private_memory(pid) for pid in processes_below(run.pid) if is_worker(pid)]
        if memory:
            samples.append((time.monotonic() - begin, max(memory), len(changes(out))))
    print(run.communicate()[0])
    table = np.array(samples)
    late = table[table[:, 2] > args.memory / 3]
    slope = np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0]
    for part in table[:: max(len(table) // 12, 1)]:
        print('{:6.0f} s {:7.1f} MB {:4.0f} clips'.format(*part))
    print(f'private memory of the worker: {slope:+.3f} MB a minute over {np.ptp(late[:, 0]) / 60:.1f} min')


def changes(out):
    """{file: time of its last change, ns} of the finished clips."""
    return {path: path.stat().st_mtime_ns for path in (out / 'clips').glob('[!.]*.parquet')}


def is_worker(pid):
    """Whether a process is one of Daft's workers."""
    try:
        return b'udf_worker' in Path(f'/proc/{pid}/cmdline').read_bytes()
    except OSError:
        return False


def private_memory(pid):
    """Private memory of a process, MB."""
    try:
        text = Path(f'/proc/{pid}/smaps_rollup').read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith('Private')) / 1024


if __name__ == '__main__':
    main()
