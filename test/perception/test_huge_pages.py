"""Huge pages, seen in the kernel's own count."""

import mmap
import re
from pathlib import Path

import pytest

from maskhand_ros.perception.huge_pages import use_huge_pages

HUGE = 2 << 20


def megabytes(name):
    """A figure of this process in /proc/self/smaps_rollup."""
    return int(re.search(rf'^{name}: *(\d+) kB', Path('/proc/self/smaps_rollup').read_text(), re.M)[1]) / 1024


def touched(huge_pages):
    """Private memory that is in use."""
    memory = mmap.mmap(-1, huge_pages * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b'x' * len(memory))
    return memory


@pytest.fixture
def collapses():
    """Skips where the kernel has no MADV_COLLAPSE."""
    try:
        touched(2).madvise(25)
    except (AttributeError, OSError) as error:
        pytest.skip(f'no MADV_COLLAPSE: {error}')


def test_used_memory_goes_to_huge_pages_and_empty_memory_stays_empty(collapses):
    used, empty = touched(8), mmap.mmap(-1, 64 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    before, resident = megabytes('AnonHugePages'), megabytes('Rss')
    use_huge_pages()
    assert megabytes('AnonHugePages') - before >= 12
    assert megabytes('Rss') - resident < 64
    assert used[:] == b'x' * len(used)
    empty.close()
