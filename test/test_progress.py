"""Progress is on stderr alone, kept up to date on a terminal and rare in a log."""

import io
import sys

import pytest

from maskhand_ros import progress as module


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize('stderr, lines', [(Terminal(), 10), (io.StringIO(), 3)])
def test_progress(stderr, lines, monkeypatch, capsys):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(sys, 'stderr', stderr)
    monkeypatch.setattr(module.time, 'monotonic', lambda: float(next(clock)))
    assert list(module.progress(iter('abcdefghij'), 10, 'pictures')) == list('abcdefghij')
    module.say('caf\udce9')
    text = stderr.getvalue()
    assert text.count(' of 10 pictures') == lines and '8 of 10 pictures, 22 s left' in text
    assert text.endswith(module._ERASE if isinstance(stderr, Terminal) else '\n')
    assert capsys.readouterr().out == 'caf\\udce9\n'
