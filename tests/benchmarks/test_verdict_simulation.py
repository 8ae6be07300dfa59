"""The simulated traffic is what it says, and the threshold rules decide as their documentation has it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from benchmarks.verdict.guide import RESULT, guide_tables
from benchmarks.verdict.nulls import NULLS
from benchmarks.verdict.rates import Share, middle
from benchmarks.verdict.report import as_plain
from benchmarks.verdict.rules import ArgoLike, FlaggerLike, Rule, VerdictRule
from benchmarks.verdict.traffic import batches, binomial, looks, seeded, steady
from shipway.deploy.counts import Arms, Tally

FINE, FAILING, NOTHING = (
    Arms(Tally(100, 0), Tally(900, 0)),
    Arms(Tally(90, 10), Tally(900, 0)),
    Arms(Tally(), Tally(1, 0)),
)


@pytest.mark.parametrize(
    ("count", "chance"), [(1, 0.3), (10, 0.01), (10, 0.98), (50, 0.5), (2000, 0.07), (9, 0.0), (9, 1.0)]
)
def test_a_binomial_has_its_mean_and_spread(count: int, chance: float) -> None:
    rng = seeded(1)
    values = [binomial(rng, count, chance) for _ in range(4000)]
    variance = count * chance * (1 - chance)
    assert statistics.fmean(values) == pytest.approx(count * chance, abs=4 * (variance / 4000) ** 0.5 + 1e-9)
    assert statistics.pvariance(values) == pytest.approx(variance, rel=0.15, abs=0.01)
    assert 0 <= min(values) <= max(values) <= count


def test_looks_are_at_each_request_at_first_and_reach_the_end() -> None:
    sizes = list(looks(5000))
    assert sizes[:100] == [1] * 100
    assert sum(sizes) == 5000


def test_all_requests_of_a_world_are_sent() -> None:
    totals = [
        arms.canary.total + arms.baseline.total
        for _, arms in batches(seeded(2), steady(0.1, 0.2, share=0.3, requests=700))
    ]
    assert sum(totals) == 700


@pytest.mark.parametrize("null", NULLS, ids=lambda null: null.name)
def test_a_rollout_that_is_no_worse_is_the_same_with_the_same_seed(null) -> None:  # type: ignore[no-untyped-def]
    assert [*null.rollout(seeded(3))] == [*null.rollout(seeded(3))]


def _decided(rule: Rule, arms: Arms, last_s: int = 3600) -> tuple[str | None, int]:
    for second in range(10, last_s + 10, 10):
        if (decision := rule.tick(arms, second)) is not None:
            return decision, second
    return None, last_s


def test_the_rule_like_flaggers_counts_checks_each_minute() -> None:
    assert _decided(FlaggerLike(), FINE) == ("promote", 600)
    assert _decided(FlaggerLike(), FAILING) == ("roll_back", 600)
    assert _decided(FlaggerLike(), NOTHING) == ("roll_back", 600)


def test_the_rule_like_argos_allows_three_measurements_of_five_minutes_to_fail() -> None:
    assert _decided(ArgoLike(), FINE) == ("promote", 2400)
    assert _decided(ArgoLike(), FAILING) == ("roll_back", 1200)


def test_the_verdict_decides_by_evidence() -> None:
    assert _decided(VerdictRule(), FINE) == ("promote", 600)
    assert _decided(VerdictRule(), FAILING) == ("roll_back", 10)
    assert _decided(VerdictRule(), NOTHING) == (None, 3600)


def test_a_share_is_kept_with_its_interval() -> None:
    assert as_plain({"x": [Share(5, 100), float("inf")]}) == {
        "x": [{"hits": 5, "runs": 100, "low": 0.02154, "high": 0.11175}, None]
    }
    assert Share(5, 100).is_at_most(0.03)
    assert not Share(5, 100).is_at_most(0.02)


def test_the_middle_is_a_value_that_was_found() -> None:
    assert (middle([3.0, 1.0, 2.0]), middle([3.0, 1.0, 2.0], 0.9)) == (2.0, 3.0)


def test_the_guide_has_the_tables_of_the_kept_result() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/verdict.md").read_text(encoding="utf-8")
    document = json.loads(RESULT.read_text(encoding="utf-8"))
    assert [table for table in guide_tables(document) if table not in guide] == [], "python -m benchmarks.verdict.guide"
    assert all(document["properties"].values())
