"""The tables of docs/guides/verdict.md, from the kept result; a test holds the page against them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parents[1] / "results" / "verdict.json"


def guide_tables(document: Mapping[str, Any]) -> list[str]:
    results = document["results"]
    return [_nulls(results["nulls"]), _detections(results["detections"]), _side_by_side(results["side_by_side"])]


def _nulls(nulls: Sequence[Mapping[str, Any]]) -> str:
    rows = [[one["name"], *(_percent(one[test]) for test in ("verdict", "pooled", "peeked"))] for one in nulls]
    return _table(["canary as good as its baseline", "verdict", "one pool", "z-test"], rows)


def _detections(detections: Sequence[Mapping[str, Any]]) -> str:
    shares = dict.fromkeys(one["share"] for one in detections)
    rates = dict.fromkeys(one["bad_rate"] for one in detections)
    table = {(one["share"], one["bad_rate"]): one for one in detections}
    rows = [[f"{100 * share:g}%", *(_detection(table[share, rate]) for rate in rates)] for share in shares]
    return _table(["share", *(f"1% to {100 * rate:g}%" for rate in rates)], rows)


def _detection(one: Mapping[str, Any]) -> str:
    return f"{one['requests']:,.0f} ({one['requests_90']:,.0f}), {one['failed']:.0f} failed"


def _side_by_side(cases: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    rules = list(next(iter(cases.values())))
    rows = [[name, *(_decided(by_rule[rule]) for rule in rules)] for name, by_rule in cases.items()]
    return _table(["errors", *rules], rows)


def _decided(one: Mapping[str, Any]) -> str:
    back, promoted = (100 * one[key]["hits"] / one[key]["runs"] for key in ("rolled_back", "promoted"))
    return f"{back:.0f} / {promoted:.0f}, {one['minutes']:.1f} min, {one['failed']:,.0f}"


def _percent(share: Mapping[str, Any]) -> str:
    return f"{100 * share['hits'] / share['runs']:.1f}%"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


if __name__ == "__main__":
    print("\n\n".join(guide_tables(json.loads(RESULT.read_text(encoding="utf-8")))))
