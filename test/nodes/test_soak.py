"""The soak, three minutes of it, and that its verdict sees what it is for."""

import numpy as np
import pytest
from soak import Soak
from soak_faults import FAULTS
from soak_report import Record, Sample, broken, line, table

MINUTES, SEED = 3, 5


def test_three_minutes_of_faults(graph):
    soak = Soak(graph, SEED)
    try:
        soak.run(MINUTES)
    finally:
        soak.close()
    print(table(soak.record))
    assert not broken(soak.record)
    assert set(soak.record.recoveries) == {fault.__name__ for fault in FAULTS}
    assert {'time leapt', 'time went back', 'truncated data', 'unknown encoding'} <= set(soak.record.reasons)


def half_an_hour(slope=0.0):
    """A Record whose memory wanders as a real one does, and grows by `slope` MB a minute."""
    rng = np.random.default_rng(0)
    record = Record(recoveries={'silence': [0.1, 0.2]}, latencies=[(1.0, 0.05)], exit_code=0)
    for minute in np.arange(0, 30, 0.1):
        rss = 300 - 20 * np.exp(-minute) + slope * minute + rng.normal(0, 1)
        record.samples.append(Sample(minute, rss, rss - 100, 26, 25))
    return record


def test_a_run_in_which_nothing_breaks_passes():
    record = half_an_hour(slope=0.05)
    assert not broken(record) and line(record, 0) and table(record)


@pytest.mark.parametrize(
    'spoil, words',
    [
        (lambda record: vars(record).update(vars(half_an_hour(slope=0.15))), 'memory'),
        (lambda record: vars(record).update(crashes=1), 'crashes'),
        (lambda record: vars(record).update(exit_code=-11), 'exit code'),
        (lambda record: record.recoveries['silence'].append(float('inf')), 'no hands again after: silence'),
        (lambda record: vars(record.samples[-1]).update(threads=26), 'threads'),
        (lambda record: vars(record.samples[-1]).update(files=27), 'files'),
        (lambda record: record.samples.__delitem__(slice(5, None)), 'too few'),
    ],
)
def test_what_breaks_is_told(spoil, words):
    record = half_an_hour()
    spoil(record)
    (told,) = broken(record)
    assert words in told
