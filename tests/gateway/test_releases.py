"""Weighted releases: exact shares, sessions that stay, and changes that move only who must move."""

import math
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.releases import MAX_PARTS, Split, session_key, session_point

NAMES = st.sampled_from(["v1", "v2", "v3", "v4", "v5"])
WEIGHT = st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.integers(1, 100).map(float))
WEIGHTS = st.dictionaries(NAMES, WEIGHT, min_size=1).filter(lambda weights: any(weights.values()))
POINT = st.floats(0, 1, exclude_max=True)
POINTS = [index / 997 for index in range(997)]


def shares(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def moved(before: Split, after: Split) -> dict[tuple[str, str], float]:
    """What part of all sessions went from which release to which."""
    edges = sorted({0.0, *before.ends, *after.ends})
    result: dict[tuple[str, str], float] = {}
    for start, end in pairwise(edges):
        pair = before.at(start), after.at(start)
        if pair[0] != pair[1]:
            result[pair] = result.get(pair, 0.0) + end - start
    # Beside borders there may be crumbs of what floats lose.
    return {pair: size for pair, size in result.items() if size > 1e-8}


@given(WEIGHTS)
def test_each_release_has_its_share(weights: dict[str, float]) -> None:
    found = Split.of(weights).shares()
    assert found == pytest.approx({name: share for name, share in shares(weights).items() if name in found})
    assert all(weights[name] > 0 for name in found)


@given(st.lists(WEIGHTS, min_size=2, max_size=12))
def test_shares_stay_exact_through_changes(changes: list[dict[str, float]]) -> None:
    split = Split.of(changes[0])
    for weights in changes[1:]:
        split = split.reweighted(weights)
        found, wanted = split.shares(), shares(weights)
        assert all(found.get(name, 0.0) == pytest.approx(share, abs=1e-7) for name, share in wanted.items())
        assert all(wanted.get(name, 0.0) > 0 for name in found)


@given(st.lists(WEIGHTS, min_size=2, max_size=8))
def test_sessions_leave_only_what_shrinks_for_only_what_grows(changes: list[dict[str, float]]) -> None:
    split = Split.of(changes[0])
    for weights in changes[1:]:
        before, split = split, split.reweighted(weights)
        had, has = before.shares(), split.shares()
        moves = moved(before, split)
        for giver, taker in moves:
            assert has.get(giver, 0.0) < had[giver]
            assert has[taker] > had.get(taker, 0.0)
        must_move = sum(max(0.0, share - has.get(name, 0.0)) for name, share in had.items())
        assert sum(moves.values()) == pytest.approx(must_move, abs=1e-6)


@given(st.lists(WEIGHTS, min_size=1, max_size=6), NAMES, NAMES, st.floats(0.01, 1))
def test_weight_moved_from_one_to_another_moves_only_sessions_between_them(
    history: list[dict[str, float]], giver: str, taker: str, part: float
) -> None:
    split = Split.of(history[0])
    for weights in history[1:]:
        split = split.reweighted(weights)
    weights = split.shares()
    if giver == taker or giver not in weights:
        return
    amount = weights[giver] * part
    after = split.reweighted({**weights, giver: weights[giver] - amount, taker: weights.get(taker, 0.0) + amount})
    assert moved(split, after).keys() <= {(giver, taker)}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_two_releases_are_split_by_their_weights_alone(history: list[float]) -> None:
    """So gateways agree that saw different changes on the way."""
    split = Split.of({"stable": 1.0})
    for canary in history:
        split = split.reweighted({"stable": 1.0 - canary, "canary": canary})
    canary = history[-1]
    if canary > 1e-7 and all(one < 1 - 1e-7 for one in history):
        assert split.owners == ("stable", "canary")
        assert split.ends[0] == pytest.approx(1.0 - canary, abs=1e-7)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10).map(sorted))
def test_a_canary_that_grows_loses_no_session(steps: list[float]) -> None:
    split, on_canary = Split.of({"stable": 1.0}), set[float]()
    for canary in steps:
        split = split.reweighted({"stable": 1.0 - canary, "canary": canary})
        now = {point for point in POINTS if split.at(point) == "canary"}
        assert on_canary <= now
        on_canary = now


@given(WEIGHTS)
def test_equal_weights_in_other_units_move_nothing(weights: dict[str, float]) -> None:
    split = Split.of(weights)
    assert moved(split, split.reweighted({name: weight * 7 for name, weight in reversed(weights.items())})) == {}


def test_a_long_alternation_stays_bounded_and_exact() -> None:
    draw = random.Random(1)
    split = Split.of({"v1": 1.0})
    for _ in range(2000):
        weights = {f"v{number}": draw.random() for number in range(1, 6)}
        split = split.reweighted(weights)
        assert len(split.ends) <= MAX_PARTS
        assert split.shares() == pytest.approx(shares(weights), abs=1e-6)


def test_a_split_of_too_many_parts_is_made_anew() -> None:
    owners = tuple(f"v{number % 3}" for number in range(MAX_PARTS))
    split = Split(tuple((number + 1) / MAX_PARTS for number in range(MAX_PARTS)), owners)
    # Half of what v2 has goes to a fourth release, which cuts one part in two: one more than there may be.
    taken = {**split.shares(), "v2": split.shares()["v2"] - 0.5 / MAX_PARTS, "v3": 0.5 / MAX_PARTS}
    assert split.reweighted(taken) == Split.of(taken)


@pytest.mark.parametrize(
    "weights", [{}, {"v1": 0.0}, {"v1": -1.0, "v2": 2.0}, {"v1": math.nan}, {"v1": math.inf, "v2": 1.0}]
)
def test_weights_that_make_no_sense_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Split.of(weights)
    with pytest.raises(ValueError):
        Split.of({"v1": 1.0}).reweighted(weights)


def test_weights_may_be_huge_or_tiny() -> None:
    assert Split.of({"v1": 1e308, "v2": 1e308}).shares() == {"v1": 0.5, "v2": 0.5}
    assert Split.of({"v1": 5e-324, "v2": 5e-324}).shares() == {"v1": 0.5, "v2": 0.5}
    assert Split.of({"v1": 1.0, "v2": 1e-300}).shares() == {"v1": 1.0}


@pytest.mark.parametrize(
    ("ends", "owners"),
    [
        ((), ()),
        ((0.5,), ("v1",)),
        ((0.5, 0.5, 1.0), ("a", "b", "c")),
        ((1.0,), ("a", "b")),
        ((math.nan, 1.0), ("a", "b")),
    ],
)
def test_a_split_with_gaps_is_refused(ends: tuple[float, ...], owners: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        Split(ends, owners)


def test_sessions_are_spread_evenly_and_stay() -> None:
    split = Split.of({"stable": 0.9, "canary": 0.1})
    points = [session_point(session_key("key-1", b"conversation %d" % number)) for number in range(10_000)]
    assert Counter(map(split.at, points))["canary"] == pytest.approx(1000, abs=120)
    assert points[:3] == [session_point(session_key("key-1", b"conversation %d" % number)) for number in range(3)]


@given(st.text("ab", max_size=3), st.text("ab", max_size=3), st.text("ab", max_size=3), st.text("ab", max_size=3))
def test_different_callers_or_conversations_are_different_sessions(a: str, b: str, c: str, d: str) -> None:
    assert (session_key(a, b.encode()) == session_key(c, d.encode())) == ((a, b) == (c, d))


@given(st.binary(max_size=50), st.binary(max_size=16))
def test_a_session_is_a_point_below_one(key: bytes, salt: bytes) -> None:
    assert 0.0 <= session_point(key, salt) < 1.0


def test_salts_make_splits_independent() -> None:
    sessions = [b"%d" % number for number in range(4000)]
    both = sum(session_point(one, b"chat") < 0.5 and session_point(one, b"search") < 0.5 for one in sessions)
    assert both == pytest.approx(1000, abs=120)


@given(WEIGHTS, POINT)
def test_a_draw_finds_a_release_with_weight(weights: dict[str, float], point: float) -> None:
    assert weights[Split.of(weights).at(point)] > 0
