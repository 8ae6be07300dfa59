"""From simulations to tables of 80 columns, a document, and whether what is stated holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass

from benchmarks.verdict.characteristics import BAD_RATES, SHARES, Detection, FalseRollbacks
from benchmarks.verdict.nulls import ERRORS
from benchmarks.verdict.promotions import Promotion
from benchmarks.verdict.rates import Share
from benchmarks.verdict.side_by_side import CASES, Decided


@dataclass(frozen=True)
class Results:
    """Attributes:
    late: By the shares before and after, requests that fail when a canary fails only after 1,000 good ones.
    side_by_side: By case and by rule.
    """

    nulls: Sequence[FalseRollbacks]
    detections: Sequence[Detection]
    late: Mapping[str, float]
    promotions: Sequence[Promotion]
    side_by_side: Mapping[str, Mapping[str, Decided]]


@dataclass(frozen=True)
class Property:
    statement: str
    holds: bool


def properties(results: Results) -> list[Property]:
    """All that is stated. A chance is held against the lower end of what was counted: chance alone is no failure."""
    found = [
        Property(f"rolled back at most {ERRORS.alpha:.0%}: {one.name}", one.verdict.is_at_most(ERRORS.alpha))
        for one in results.nulls
        if one.is_claimed
    ]
    found += [
        Property(
            f"promoted at most {ERRORS.promotion_alpha:.0%}: {one.name}",
            one.promoted.is_at_most(ERRORS.promotion_alpha),
        )
        for one in results.promotions
        if one.is_false and one.is_claimed
    ]
    found += [
        Property(f"promoted at least 95%: {one.name}", one.promoted.interval[1] >= 0.95)
        for one in results.promotions
        if not one.is_false
    ]
    table = {(one.share, one.bad_rate): one for one in results.detections}
    for share in SHARES:
        double, total = table[share, 0.02], table[share, 1.0]
        found.append(Property(f"doubled errors found by 95% at share {share:.0%}", double.detected.interval[1] >= 0.95))
        found.append(Property(f"all fail: 8 canary requests at share {share:.0%} (median)", total.requests <= 8))
    found.append(Property("1% to 5% at share 50%: 300 canary requests (median)", table[0.5, 0.05].requests <= 300))
    found.append(Property("1% to 10% at share 50%: 100 canary requests (median)", table[0.5, 0.1].requests <= 100))
    ours = {case: rules["verdict"] for case, rules in results.side_by_side.items()}
    too_little = ours["same: 1%, 1 request in 10 s"]
    found.append(Property("too little traffic: never promoted", too_little.promoted.hits == 0))
    same = [case.name for case in CASES if not case.is_bad]
    found += [Property(f"rolled back at most 5%: {name}", ours[name].rolled_back.is_at_most(0.05)) for name in same]
    return found


def tables(results: Results) -> str:
    parts = [
        _nulls(results.nulls),
        _detections(results.detections),
        _late(results.late),
        _promotions(results.promotions),
    ]
    return "\n\n".join([*parts, _side_by_side(results.side_by_side)])


def _nulls(nulls: Sequence[FalseRollbacks]) -> str:
    lines = [
        "Rolled back although no worse, at any look (alpha 5%; 95% intervals)",
        f"  {'':42}{'verdict':>16}{'one pool':>10}{'z-test':>8}",
    ]
    for one in nulls:
        mark = "" if one.is_claimed else " *"
        lines.append(
            f"  {one.name + mark:42}{_interval(one.verdict):>16}{_percent(one.pooled):>10}{_percent(one.peeked):>8}"
        )
    lines.append("  one pool: all steps as one; z-test: 5%, read at each look; *: not claimed")
    return "\n".join(lines)


def _detections(detections: Sequence[Detection]) -> str:
    table = {(one.share, one.bad_rate): one for one in detections}
    lines = [
        "Canary requests until it is rolled back, of 1% errors: median (90%), failed",
        f"  {'share':8}" + "".join(f"{'to ' + _plain(rate):>14}" for rate in BAD_RATES),
    ]
    for share in SHARES:
        row = [table[share, rate] for rate in BAD_RATES]
        lines.append(
            f"  {_plain(share):8}" + "".join(f"{f'{one.requests:.0f} ({one.requests_90:.0f})':>14}" for one in row)
        )
        lines.append(f"  {'':8}" + "".join(f"{f'{one.failed:.0f} failed':>14}" for one in row))
    return "\n".join(lines)


def _late(late: Mapping[str, float]) -> str:
    lines = ["Fails altogether after 1,000 requests with 1% errors: failed requests (median)"]
    return "\n".join([*lines, *(f"  {shares:46}{requests:>4.0f}" for shares, requests in late.items())])


def _promotions(promotions: Sequence[Promotion]) -> str:
    lines = [
        "Promoted (limits: below 2%, or below twice the baseline's rate; alpha 5%)",
        f"  {'':50}{'promoted':>18}{'requests':>10}",
    ]
    for one in promotions:
        requests = "false" if one.is_false else f"{one.requests:.0f}"
        name = one.name if one.is_claimed else one.name + " *"
        lines.append(f"  {name:50}{_interval(one.promoted):>18}{requests:>10}")
    return "\n".join(lines)


def _side_by_side(cases: Mapping[str, Mapping[str, Decided]]) -> str:
    rules = list(next(iter(cases.values())))
    lines = [
        "The same traffic: rolled back / promoted in %, minutes, failed requests",
        f"  {'':27}" + "".join(f"{rule:>17}" for rule in rules),
    ]
    for name, by_rule in cases.items():
        cells = [
            f"{100 * one.rolled_back.value:.0f}/{100 * one.promoted.value:.0f} {one.minutes:.1f}m {one.failed:.0f}"
            for one in by_rule.values()
        ]
        lines.append(f"  {name:27}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def failures(found: Iterable[Property]) -> str:
    """The statements that do not hold, or that all do."""
    found = list(found)
    broken = [one.statement for one in found if not one.holds]
    return (
        "\n".join(f"DOES NOT HOLD: {statement}" for statement in broken) or f"all {len(found)} stated properties hold"
    )


def as_plain(value: object) -> object:
    """*value* as JSON can hold it."""
    if isinstance(value, Share):
        low, high = value.interval
        return {"hits": value.hits, "runs": value.runs, "low": round(low, 5), "high": round(high, 5)}
    if is_dataclass(value):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _interval(share: Share) -> str:
    low, high = share.interval
    return f"{100 * share.value:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f}"


def _plain(rate: float) -> str:
    return f"{100 * rate:g}%"
