"""Promote, roll back or not enough evidence: what decides, in which order, and what is said of it."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.deploy.counts import Arms, Counts, Tally
from shipway.deploy.findings import Objective
from shipway.deploy.verdict import Declaration, Outcome, judge, log_evidence

ERRORS = Objective("errors", max_bad_rate=0.005, guarded=True)
DECLARATION = Declaration((ERRORS, Objective("latency", max_bad_rate=0.05)), deadline_s=600)

GOOD = Arms(Tally(5000, 2), Tally(45_000, 20))


def _counts(errors: Arms, latency: Arms = GOOD, share: float = 0.1) -> Counts:
    return Counts().plus(share, {"errors": errors, "latency": latency})


def test_a_canary_that_is_surely_good_enough_is_promoted() -> None:
    verdict = judge(DECLARATION, _counts(GOOD), 60)
    assert (verdict.outcome, verdict.objective, verdict.deadline_passed) == (Outcome.PROMOTE, None, False)
    assert verdict.reasons == (
        "errors: 2 bad of 5,002 (0.04%) of the canary, 20 bad of 45,020 (0.04%) of the baseline; the canary's bad rate"
        " is at most 0.20% (limit 0.50%)",
        "latency: 2 bad of 5,002 (0.04%) of the canary, 20 bad of 45,020 (0.04%) of the baseline; the canary's bad rate"
        " is at most 0.20% (limit 5.00%)",
    )


def test_a_canary_that_is_worse_is_rolled_back_for_the_objective_in_which_it_is() -> None:
    slow = Arms(Tally(800, 100), Tally(8000, 100))
    verdict = judge(DECLARATION, _counts(GOOD, slow), 60)
    assert (verdict.outcome, verdict.objective) == (Outcome.ROLL_BACK, "latency")
    assert verdict.reasons == (
        "latency: 100 bad of 900 (11.11%) of the canary, 100 bad of 8,100 (1.23%) of the baseline; that is worse than"
        " the baseline",
        "evidence as strong as this is seen in at most 0.05 of the rollouts whose canary is no worse",
    )
    assert verdict.e_value > 1e20


def test_a_canary_that_fails_outright_is_rolled_back_after_a_few_requests() -> None:
    verdict = judge(DECLARATION, _counts(Arms(Tally(0, 2), Tally(18, 0)), Arms()), 1)
    assert (verdict.outcome, verdict.objective) == (Outcome.ROLL_BACK, "errors")
    assert verdict.reasons[0].endswith("all bad ones since the share was last changed are the canary's")


def test_a_canary_that_fails_with_the_baseline_is_not_rolled_back() -> None:
    assert judge(DECLARATION, _counts(Arms(Tally(0, 50), Tally(0, 450))), 60).outcome is Outcome.NOT_ENOUGH_EVIDENCE


def test_an_incident_of_both_arms_does_not_keep_a_canary_from_promotion() -> None:
    """The rate is far beyond its limit; that of the baseline is as high."""
    verdict = judge(DECLARATION, _counts(Arms(Tally(9000, 1000), Tally(81_000, 9000))), 60)
    assert verdict.outcome is Outcome.PROMOTE
    assert verdict.reasons[0].endswith("the canary's bad rate is at most 1.11 times the baseline's (limit 2)")


def test_too_little_traffic_is_said_and_never_promoted() -> None:
    declaration = replace(DECLARATION, objectives=(Objective("errors", max_bad_rate=0.5),))
    verdict = judge(declaration, _counts(Arms(Tally(99, 0), Tally(900, 0))), 60)
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.reasons == ("errors: too little traffic, 99 canary requests of at least 100",)
    assert judge(declaration, _counts(Arms(Tally(100, 0), Tally(900, 0))), 60).outcome is Outcome.PROMOTE


def test_what_is_not_settled_is_a_reason_to_roll_back_and_none_to_promote() -> None:
    declaration = Declaration((ERRORS,))
    good = Counts().plus(0.1, {"errors": GOOD}, settled=False)
    assert judge(declaration, good, 60).reasons == ("errors: too little traffic, 0 canary requests of at least 100",)
    bad = good.plus(0.1, {"errors": Arms(Tally(80, 20), Tally(900, 1))}, settled=False)
    assert judge(declaration, bad, 60).outcome is Outcome.ROLL_BACK


def test_one_objective_without_traffic_keeps_the_others_waiting() -> None:
    verdict = judge(DECLARATION, _counts(GOOD, Arms()), 60)
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.reasons == ("latency: too little traffic, 0 canary requests of at least 100",)


def test_what_is_not_sure_yet_is_said_with_its_limits() -> None:
    verdict = judge(DECLARATION, _counts(Arms(Tally(198, 2), Tally(1800, 10))), 60)
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.reasons == (
        "errors: 2 bad of 200 (1.00%) of the canary, 10 bad of 1,810 (0.55%) of the baseline; the canary's bad rate may"
        " yet be 4.90% (limit 0.50%) and 13.9 times the baseline's (limit 2)",
    )


@pytest.mark.parametrize(
    ("at_deadline", "enough", "too_few"),
    [
        ("hold", Outcome.NOT_ENOUGH_EVIDENCE, Outcome.NOT_ENOUGH_EVIDENCE),
        ("roll_back", Outcome.ROLL_BACK, Outcome.ROLL_BACK),
        ("promote", Outcome.PROMOTE, Outcome.NOT_ENOUGH_EVIDENCE),
    ],
)
def test_after_the_deadline_what_was_declared_happens(
    at_deadline: Literal["hold", "roll_back", "promote"], enough: Outcome, too_few: Outcome
) -> None:
    declaration = replace(DECLARATION, at_deadline=at_deadline)
    unsure, few = _counts(Arms(Tally(198, 2), Tally(1800, 10))), _counts(Arms(Tally(50, 0), Tally(450, 0)))
    assert judge(declaration, unsure, 599.9).outcome is Outcome.NOT_ENOUGH_EVIDENCE
    for counts, outcome in ((unsure, enough), (few, too_few)):
        verdict = judge(declaration, counts, 600)
        assert (verdict.outcome, verdict.objective, verdict.deadline_passed) == (outcome, None, True)
        assert verdict.reasons[0].startswith("the deadline of 600 s has passed, after which is declared: ")
        assert len(verdict.reasons) == 2


def test_evidence_goes_before_the_deadline() -> None:
    declaration = replace(DECLARATION, at_deadline="promote")
    assert judge(declaration, _counts(Arms(Tally(800, 200), Tally(9000, 10))), 9999).outcome is Outcome.ROLL_BACK
    assert judge(replace(DECLARATION, at_deadline="roll_back"), _counts(GOOD), 9999).outcome is Outcome.PROMOTE


def test_nothing_counted_is_no_evidence_at_all() -> None:
    verdict = judge(DECLARATION, Counts(), 0)
    assert (verdict.outcome, round(verdict.e_value, 6)) == (Outcome.NOT_ENOUGH_EVIDENCE, 1)


def test_evidence_of_objectives_adds_up() -> None:
    """Neither would do alone."""
    each = Arms(Tally(487, 13), Tally(1985, 15))
    one = Declaration((Objective("errors"), Objective("latency")))
    alone = [judge(one, _counts(each, Arms(), 0.2), 60), judge(one, _counts(Arms(), each, 0.2), 60)]
    assert [verdict.outcome for verdict in alone] == [Outcome.NOT_ENOUGH_EVIDENCE] * 2
    assert judge(one, _counts(each, each, 0.2), 60).outcome is Outcome.ROLL_BACK


def test_huge_counts_neither_overflow_nor_lose_the_verdict() -> None:
    many = 10**15
    worse = Arms(Tally(many, many // 50), Tally(many, many // 1000))
    verdict = judge(DECLARATION, _counts(worse, share=0.5), 60)
    assert (verdict.outcome, round(verdict.e_value / 1e300, 6)) == (Outcome.ROLL_BACK, 1)
    better = Arms(Tally(many, many // 1000), Tally(many, many // 50))
    assert judge(DECLARATION, _counts(better, better, share=0.5), 60).outcome is Outcome.PROMOTE


@given(st.integers(0, 3000), st.integers(0, 300), st.integers(0, 3000), st.integers(0, 300), st.integers(0, 300))
def test_a_worse_canary_has_no_better_verdict(
    good: int, bad: int, other_good: int, other_bad: int, turned: int
) -> None:
    order = [Outcome.ROLL_BACK, Outcome.NOT_ENOUGH_EVIDENCE, Outcome.PROMOTE]
    turned, baseline = min(turned, good), Tally(other_good, other_bad)
    declared = Declaration((ERRORS,))
    before = judge(declared, _counts(Arms(Tally(good, bad), baseline), share=0.3), 60)
    after = judge(declared, _counts(Arms(Tally(good - turned, bad + turned), baseline), share=0.3), 60)
    assert order.index(after.outcome) <= order.index(before.outcome)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_the_cheap_evidence_is_that_of_the_verdict(good: int, bad: int, other_good: int, other_bad: int) -> None:
    counts = _counts(Arms(Tally(good, bad), Tally(other_good, other_bad)))
    assert log_evidence(DECLARATION, counts) == judge(DECLARATION, counts, 0).log_e_value


def test_false_rollbacks_stay_below_alpha_over_a_ramp_with_an_incident_looked_at_after_each_request() -> None:
    decide, rolled_back, runs = partial(judge, Declaration((ERRORS,))), 0, 60
    for seed in range(runs):
        rng, counts = random.Random(seed), Counts()
        for number in range(400):
            share = 0.1 if number < 200 else 0.5
            bad = rng.random() < (0.6 if 250 <= number < 300 else 0.03)
            one = Tally(not bad, bad)
            arms = Arms(canary=one) if rng.random() < share else Arms(baseline=one)
            counts = counts.plus(share, {"errors": arms})
            if arms.canary.bad and decide(counts, 0).outcome is Outcome.ROLL_BACK:
                rolled_back += 1
                break
    assert rolled_back <= 0.05 * runs


@pytest.mark.parametrize(
    "objective",
    [
        {"max_ratio": None},
        {"max_bad_rate": 0.0},
        {"max_bad_rate": 1.0},
        {"tolerated_ratio": 0.5},
        {"tolerated_ratio": 2.0},
        {"together": 0.0},
    ],
    ids=str,
)
def test_an_objective_that_makes_no_sense_is_refused(objective: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="errors: "):
        replace(Objective("errors"), **objective)


@pytest.mark.parametrize(
    "declared",
    [
        {"objectives": ()},
        {"objectives": (ERRORS, ERRORS)},
        {"alpha": 0.0},
        {"promotion_alpha": 1.0},
        {"guard_part": 1.0},
        {"minimum_requests": 0},
        {"deadline_s": 0.0},
    ],
    ids=lambda declared: next(iter(declared)),
)
def test_a_declaration_that_makes_no_sense_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a verdict needs|between 0 and 1|above 0"):
        replace(DECLARATION, **declared)
