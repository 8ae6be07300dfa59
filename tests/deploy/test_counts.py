"""Counts add up step by step."""

from __future__ import annotations

import pytest

from shipway.deploy.counts import Arms, Counts, Step, Tally, whole

ONE = Arms(Tally(9, 1), Tally(90, 0))


def test_what_comes_under_the_same_share_continues_a_step_and_another_share_begins_one() -> None:
    counts = Counts().plus(0.1, {"errors": ONE}).plus(0.1, {"errors": ONE}).plus(0.5, {"errors": ONE})
    assert counts.of("errors") == (Step(0.1, Arms(Tally(18, 2), Tally(180, 0))), Step(0.5, ONE))
    assert whole(counts.of("errors")) == Arms(Tally(27, 3), Tally(270, 0))


def test_a_share_that_comes_back_is_a_step_of_its_own() -> None:
    counts = Counts().plus(0.1, {"errors": ONE}).plus(0.0, {}).plus(0.1, {"errors": ONE})
    assert counts.of("errors") == (Step(0.1, ONE), Step(0.0, Arms()), Step(0.1, ONE))


def test_what_is_not_settled_is_a_step_of_its_own_under_the_larger_share() -> None:
    counts = Counts().plus(0.1, {"errors": ONE}, settled=False).plus(0.1, {"errors": ONE})
    counts = counts.plus(0.5, {"errors": ONE}, settled=False).plus(0.5, {"errors": ONE}, settled=False)
    counts = counts.plus(0.5, {"errors": ONE}).plus(0.2, {"errors": ONE}, settled=False).plus(0.2, {"errors": ONE})
    assert [(step.share, step.settled, step.arms.canary.bad) for step in counts.of("errors")] == [
        (0.1, False, 1),
        (0.1, True, 1),
        (0.5, False, 2),
        (0.5, True, 1),
        (0.5, False, 1),
        (0.2, True, 1),
    ]


def test_an_objective_may_come_later_and_be_missing() -> None:
    counts = Counts().plus(0.1, {"errors": ONE}).plus(0.1, {"latency": ONE})
    assert (counts.of("errors"), counts.of("latency"), counts.of("cost")) == ((Step(0.1, ONE),), (Step(0.1, ONE),), ())


def test_counts_are_not_negative_and_a_share_is_a_part() -> None:
    with pytest.raises(ValueError, match="not negative"):
        Tally(1, -1)
    with pytest.raises(ValueError, match="from 0 to 1, not 5"):
        Step(5, ONE)


def test_a_rate_of_nothing_is_zero() -> None:
    assert (Tally().bad_rate, Tally(3, 1).bad_rate) == (0.0, 0.25)
