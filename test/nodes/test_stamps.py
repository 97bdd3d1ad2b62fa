"""Stamps of images: which are refused, and which jumps of time are reported."""

import pytest

from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.stamps import StampCheck

SECOND = 10**9


def outcome(check, stamp_ns, **said):
    """What is wrong with an image of this stamp, and whether it is refused."""
    try:
        jump = check(stamp_ns, **said)
    except BadInput as error:
        return str(error), 'refused'
    return None if jump is None else (str(jump), 'taken')


@pytest.mark.parametrize(
    'stamp, reason, then',
    [
        (0, 'zero stamp', 'refused'),
        (-SECOND, 'negative stamp', 'refused'),
        (10 * SECOND, 'repeated stamp', 'refused'),
        (9.95 * SECOND, 'image out of order', 'refused'),
        (5 * SECOND, 'time went back', 'taken'),
        (11.6 * SECOND, 'time leapt', 'taken'),
    ],
)
def test_stamps_that_are_refused_and_jumps(stamp, reason, then):
    check = StampCheck()
    assert check(10 * SECOND) is None
    text, got = outcome(check, int(stamp))
    assert reason in text and got == then
    # A refused stamp is not the last one of those that follow.
    assert check(int(stamp) + SECOND if then == 'taken' else 11 * SECOND) is None


def test_a_clock_that_was_set_is_a_jump_whatever_the_stamp():
    check = StampCheck()
    assert check(10 * SECOND) is None and check(int(11.4 * SECOND)) is None
    assert 'clock was set' in outcome(check, 12 * SECOND, clock_was_set=True)[0]
