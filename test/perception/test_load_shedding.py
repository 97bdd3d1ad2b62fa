"""A latency limit that is kept by going without: in what order, and back again when there is time."""

import pytest

from maskhand_ros.clip import read_clip
from maskhand_ros.perception.load_shedding import LatencyBudget, degradation_steps
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.types import Frame


def run(budget, latency_of, seconds, start=0.0, rate=30.0):
    """Levels over time on a machine that needs `latency_of(level, t)` seconds for a picture."""
    levels, now = [], start
    while now < start + seconds:
        now += 1 / rate
        budget.observe(latency_of(budget.level, now), now)
        levels.append(budget.level)
    return levels


def test_hands_are_the_last_thing_to_go_without():
    config = PipelineConfig(hypotheses=8, iterations=5, max_hands=3)
    assert [name for name, _ in degradation_steps(config)] == [
        'hypotheses',
        'iterations',
        'search_budget',
        'max_hands',
        'max_hands',
    ]
    least = dict(degradation_steps(config))
    assert least == {'hypotheses': 0, 'iterations': 1, 'search_budget': 0.001, 'max_hands': 1}
    assert degradation_steps(PipelineConfig(max_hands=1)) == [('search_budget', 0.001)]
    assert degradation_steps(PipelineConfig(max_hands=1, search_budget=0.001)) == []
    assert degradation_steps(PipelineConfig(max_hands=1, search_budget=0.0)) == [('search_budget', 0.001)]


def test_no_more_is_gone_without_than_the_limit_asks_for():
    levels = run(LatencyBudget(0.05, 4), lambda level, _: [0.2, 0.1, 0.06, 0.045, 0.02][level], 30)
    assert levels[-1] == 3 and max(levels) == 3
    assert sorted(levels) == levels


def test_a_load_that_no_step_meets_stops_at_the_last_one():
    assert max(run(LatencyBudget(0.05, 2), lambda *_: 0.2, 20)) == 2


def test_what_was_gone_without_comes_back_once_the_load_is_gone():
    def latency(level, now):
        return (0.08 if now < 10 else 0.02) - 0.02 * level / 4

    levels = run(LatencyBudget(0.065, 4), latency, 60)
    assert max(levels) == 3 and levels[-1] == 0


def test_what_proves_too_much_is_tried_ever_more_rarely():
    budget = LatencyBudget(0.05, 1)
    levels = run(budget, lambda level, _: [0.08, 0.03][level], 300)
    tried = [
        now for now, (one, two) in enumerate(zip(levels, levels[1:], strict=False)) if (one, two) == (1, 0)
    ]
    gaps = [later - earlier for earlier, later in zip(tried, tried[1:], strict=False)]
    assert len(tried) < 9 and gaps == sorted(gaps)
    assert sum(level == 0 for level in levels) < 0.03 * len(levels)


def test_one_slow_picture_changes_nothing():
    assert set(run(LatencyBudget(0.05, 2), lambda _, now: 1.0 if 3 < now < 3.1 else 0.03, 20)) == {0}


@pytest.fixture
def followed():
    """A pipeline that follows the clip's two hands, and the picture."""
    rgb = next(read_clip().frames())
    pipeline = HandPipeline(PipelineConfig(hypotheses=2, iterations=3))
    for k in range(4):
        hands = pipeline.process(Frame(rgb=rgb, stamp_ns=33_000_000 * k))
    assert len(hands) == 2 and all(len(hand.hypotheses) == 2 for hand in hands)
    return pipeline, rgb, hands


def test_a_pipeline_goes_without_and_takes_up_again(followed):
    pipeline, rgb, hands = followed
    left, right = hands
    pipeline.select_operator(right.id)
    pipeline._operator._slots[left.side].id = 0  # nobody's: the younger hand is the operator's
    pipeline.degrade(4)
    assert pipeline.degradations == {'hypotheses': 0, 'iterations': 1, 'search_budget': 0.001, 'max_hands': 1}
    (kept,) = pipeline.process(Frame(rgb=rgb, stamp_ns=33_000_000 * 4))
    assert kept.id == right.id and not kept.hypotheses
    assert pipeline.lost_ids == [left.id]
    assert len(pipeline.process(Frame(rgb=rgb, stamp_ns=33_000_000 * 5))) == 1
    pipeline.degrade(0)
    assert not pipeline.degradations
    for k in range(6, 14):
        hands = pipeline.process(Frame(rgb=rgb, stamp_ns=33_000_000 * k))
    assert len(hands) == 2 and all(len(hand.hypotheses) == 2 for hand in hands)
