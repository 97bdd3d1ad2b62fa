"""Two threads take turns: the first is ready when its turn comes, and has not prepared for it long before."""

import time

from maskhand_ros.nodes.turn import Turn


def test_preparation_begins_in_time_and_no_sooner():
    turn = Turn()

    def waited():
        begin = time.monotonic()
        turn.wait_till_near()
        return time.monotonic() - begin

    assert not turn.is_away and waited() < 0.1  # nothing is known yet
    turn.give()
    assert turn.is_away and waited() < 0.1
    time.sleep(0.4)
    turn.give_back()
    turn.wait()
    turn.prepared(0.1)
    assert waited() < 0.1  # nobody has it
    turn.give()
    assert 0.25 < waited() and turn.is_away
    turn.give_back()
    turn.wait()
    assert not turn.is_away
