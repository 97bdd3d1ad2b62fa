"""The operator's hands: chosen once, held, never swapped without a gap."""

from types import SimpleNamespace

import numpy as np
import pytest

from maskhand_ros.perception.operator import Operator
from maskhand_ros.perception.types import TENTATIVE, TRACKED
from maskhand_ros.skeleton import LEFT, RIGHT

STEP = 0.1


def hand(id, side=RIGHT, size=100, distance=0.5, state=TRACKED):
    return SimpleNamespace(
        id=id,
        side=side,
        state=state,
        keypoints_px=np.array([[0, 0], [size, size / 2]]),
        wrist_position=None if distance is None else np.array([0, 0, distance]),
        operator=False,
    )


class Scene:
    """Shows hands to an Operator, a picture each STEP seconds."""

    def __init__(self, *args):
        self.operator, self.second = Operator(*args), 0.0

    def show(self, *hands):
        """Ids of the operator's hands."""
        self.second += STEP
        self.operator(hands, self.second)
        return [each.id for each in hands if each.operator]


def test_a_bystander_nearer_and_larger_waits_until_the_hand_is_lost():
    scene = Scene('largest', 1.0)
    mine, other = hand(1), hand(2, size=300, distance=0.2)
    assert scene.show(mine) == [1]
    for _ in range(30):
        assert scene.show(other, mine) == [1]
    for _ in range(8):
        assert scene.show(other) == [], 'it may come back'
    assert scene.show(other, hand(1, state=TENTATIVE)) == [], 'back, but not sure yet'
    for _ in range(8):
        assert scene.show(other) == []
    assert scene.show(other, mine) == [1]
    gap = 0
    while not (chosen := scene.show(other)):
        gap += 1
    assert chosen == [2] and (gap + 1) * STEP >= 1.0 - 1e-9
    assert scene.show(other, mine) == [2]


def test_where_time_goes_back_the_wait_is_over_in_the_new_time():
    scene = Scene('largest', 1.0)
    scene.second = 100.0
    assert scene.show(hand(1)) == [1]
    scene.second = 0.0
    chosen = [scene.show(hand(2)) for _ in range(12)]
    assert not any(chosen[:10]) and chosen[-1] == [2]


@pytest.mark.parametrize('choice, first', [('largest', 2), ('nearest', 3)])
def test_who_is_chosen(choice, first):
    hands = hand(1), hand(2, size=200, distance=0.6), hand(3, distance=0.3), hand(4, LEFT, 10)
    newcomer = hand(5, size=900, distance=0.1, state=TENTATIVE)
    assert Scene(choice).show(newcomer, *hands) == [first, 4]
    unplaced = hand(1, distance=None), hand(2, size=200, distance=None)
    assert Scene(choice).show(*unplaced) == [2]


def test_a_hand_whose_side_is_in_doubt_takes_one_place():
    scene = Scene()
    assert scene.show(hand(1, LEFT)) == [1]
    assert scene.show(hand(1, RIGHT)) == []
    assert scene.show(hand(1, LEFT), hand(2, RIGHT)) == [1, 2]


def test_whatever_comes_no_id_follows_another_without_a_gap():
    rng = np.random.default_rng(1)
    changes = 0
    for _ in range(60):
        timeout = rng.uniform(0.2, 1.0)
        operator, second, passed = Operator(timeout=timeout), 5.0, 0.0
        last = {LEFT: None, RIGHT: None}
        present = rng.random(5) < 0.5
        for _ in range(200):
            step = rng.uniform(0.02, 0.1)
            passed += step
            second += step if rng.random() < 0.99 else -rng.uniform(0, 5)  # nobody's wait is over by that
            present ^= rng.random(5) < 0.1
            states = rng.choice([TENTATIVE, TRACKED], 5, p=[0.1, 0.9])
            hands = [
                hand(1 + k, LEFT + k % 2, rng.uniform(50, 300), state=states[k])
                for k in np.flatnonzero(present)
            ]
            operator(hands, second)
            for side in (LEFT, RIGHT):
                chosen = [each for each in hands if each.operator and each.side == side]
                assert len(chosen) <= 1 and all(each.state == TRACKED for each in chosen)
                if chosen:
                    if last[side] and last[side][0] != chosen[0].id:
                        changes += 1
                        assert passed - last[side][1] >= timeout - 1e-9
                    last[side] = chosen[0].id, passed
    assert changes > 50


def test_a_hand_that_is_asked_for_comes_after_one_picture_without():
    scene = Scene()
    mine, other, left = hand(1), hand(2), hand(3, LEFT)
    assert scene.show(mine, other, left) == [1, 3]
    assert 'right' in scene.operator.select(2)
    assert scene.show(mine, other, left) == [3], 'everybody sees that the right hand changes'
    assert scene.show(mine, other, left) == [2, 3]
    scene.operator.select(2)
    assert scene.show(mine, other, left) == [2, 3], 'it is the one already'
    scene.operator.select(0)
    assert scene.show(hand(1, size=200), other, left) == []
    assert scene.show(hand(1, size=200), other, left) == [1, 3]


def test_a_hand_that_cannot_be_chosen_is_refused_with_those_in_view():
    scene = Scene()
    scene.show(hand(7), hand(8, LEFT, state=TENTATIVE))
    for id in (8, 9):
        with pytest.raises(LookupError, match=rf'{id} in view; in view: 7 \(right\), 8 \(left, tentative'):
            scene.operator.select(id)
    assert scene.show(hand(7)) == [7]
