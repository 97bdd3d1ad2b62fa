"""What a soak has measured, in words, and which of its promises are broken."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Sample:
    """Of a hand_node that answers, at the end of a good phase; `minute` since the start, memory in MB."""

    minute: float
    rss: float
    anonymous: float
    """Of `rss`, what no file or shared memory of DDS stands behind."""
    files: int
    threads: int


@dataclass
class Record:
    """Grows while the soak runs."""

    samples: list = field(default_factory=list)
    latencies: list = field(default_factory=list)
    """(minute, seconds) of each answer in a good phase: from publishing to hearing, in this process."""
    recoveries: dict = field(default_factory=dict)
    """{fault: seconds of each until both hands came; inf: never}."""
    reasons: dict = field(default_factory=dict)
    """{what diagnostics counted: how often}."""
    crashes: int = 0
    restarts: int = 0
    """Of the node: after a crash, or because it did not recover."""
    exit_code: int | None = None


def window(record):
    """(minutes, megabytes) of the samples over which the slope is taken: the last 20 minutes, or the last
    two thirds of a shorter run. Memory of its own: what files stand behind the kernel takes back, which would
    hide a leak."""
    end = record.samples[-1].minute
    begin = end - min(20, end * 2 / 3)
    chosen = [(s.minute, s.anonymous) for s in record.samples if s.minute >= begin]
    return np.array(chosen).T


def slope(record):
    """MB a minute by Theil and Sen, the median over all pairs of samples: steps up and down do not move
    it."""
    minutes, memory = window(record)
    first, second = np.triu_indices(minutes.size, 1)
    return float(np.median((memory[second] - memory[first]) / (minutes[second] - minutes[first])))


def slope_limit(record):
    """0.1 MB a minute over 20 minutes; more over less time, 2.8 over the two of a run of three minutes. What
    nothing but noise gives: it wanders by 3 MB as cameras come and go, and of the line through 15 such
    samples a minute three standard errors are 3 * 3 * sqrt(12 / 15) / T^1.5."""
    minutes, _ = window(record)
    return max(0.1, 8 / (minutes[-1] - minutes[0]) ** 1.5)


def broken(record):
    """The promises that do not hold, a sentence each."""
    found = []
    if record.crashes or record.exit_code:
        found.append(f'{record.crashes} crashes, exit code {record.exit_code}')
    late = [name for name, seconds in record.recoveries.items() if np.isinf(seconds).any()]
    if late:
        found.append(f'no hands again after: {", ".join(late)}')
    if len(record.samples) < 9:
        return [*found, 'too few good phases']
    if slope(record) >= slope_limit(record):
        found.append(f'memory grows by {slope(record):.2f} MB a minute, limit {slope_limit(record):.2f}')
    third = len(record.samples) // 3
    for name in ('files', 'threads'):
        before, after = (
            max(getattr(s, name) for s in part) for part in (record.samples[:third], record.samples[-third:])
        )
        if after > before:
            found.append(f'{name}: {before} in the first third, {after} in the last')
    return found


def line(record, begin):
    """The state of things, with the latency since minute `begin`."""
    now = record.samples[-1]
    latency = _latency([s for minute, s in record.latencies if minute >= begin])
    faults = sum(map(len, record.recoveries.values()))
    return (
        f'{now.minute:5.1f} min: RSS {now.rss:.1f} MB (anonymous {now.anonymous:.1f}), '
        f'files {now.files}, threads {now.threads}, latency {latency}, {faults} faults, '
        f'{record.restarts} restarts, {record.crashes} crashes, {len(record.reasons)} reasons in diagnostics'
    )


def table(record):
    """The end of the report."""
    rows = [f'{"fault":20}{"times":>6}{"recovery: median":>18}{"worst (s)":>11}']
    for name, seconds in sorted(record.recoveries.items()):
        rows.append(f'{name:20}{len(seconds):6}{np.median(seconds):18.2f}{max(seconds):11.2f}')
    rows.append('diagnostics: ' + ', '.join(f'{reason} {n}' for reason, n in sorted(record.reasons.items())))
    third = max(len(record.latencies) // 3, 1)
    first, last = (
        _latency([s for _, s in part]) for part in (record.latencies[:third], record.latencies[-third:])
    )
    rows.append(f'latency: first third {first}, last third {last}')
    for name in ('rss', 'anonymous', 'files', 'threads'):
        values = [getattr(sample, name) for sample in record.samples]
        rows.append(
            f'{name}: {min(values):.0f} to {max(values):.0f}, first {values[0]:.0f}, last {values[-1]:.0f}'
        )
    rows.append(f'memory slope: {slope(record):.3f} MB/min (limit {slope_limit(record):.2f})')
    rows.append(f'restarts {record.restarts}, crashes {record.crashes}, exit code {record.exit_code}')
    return '\n'.join(rows)


def _latency(seconds):
    if not seconds:
        return 'unknown'
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return f'p50 {p50:.0f} ms, p99 {p99:.0f} ms'
