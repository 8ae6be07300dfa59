"""Asks, counts, prints tables and keeps the result."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

# One thread, as in a gateway that shares its cores. To be said before numpy is there.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import httpx

from benchmarks.semantic.cost import costs
from benchmarks.semantic.gateway import gateway, told
from benchmarks.semantic.hits import hit_us
from benchmarks.semantic.model import NAME, minilm
from benchmarks.semantic.questions import Case, cases
from benchmarks.semantic.rules import RULES, hits
from benchmarks.verdict.rates import Share

RESULT = Path(__file__).parents[1] / "results" / "semantic.json"
THRESHOLDS = (0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98)


def main() -> int:
    options = _arguments()
    asked = cases()
    served = nullcontext(options.base_url) if options.base_url else minilm()
    with served as base_url:
        try:
            document = asyncio.run(_measured(base_url, options, asked))
        except (httpx.HTTPError, ValueError) as error:
            print(f"no vectors of {options.model!r} from {base_url}: {error}", file=sys.stderr)
            return 1
    cpu_us = costs(rounds=10 if options.quick else 200)
    cpu_us["gateway, of one request"] = asyncio.run(hit_us(*((1, 100) if options.quick else (5, 500))))
    document["cpu_us"] = cpu_us
    print("\nCPU of a look-up, microseconds:")
    for what, numbers in cpu_us.items():
        print(f"  {what:24} " + ", ".join(f"{name} {value:g}" for name, value in numbers.items()))
    if not options.quick and not options.base_url:
        RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


async def _measured(base_url: str, options: argparse.Namespace, asked: list[Case]) -> dict[str, object]:
    key = os.environ.get("EMBEDDINGS_KEY", "")
    thresholds = [0.95] if options.quick else list(THRESHOLDS)
    runs = len(asked)
    print(f"{options.model}, {runs} questions, each in other words, and two others that need another answer")
    vectors = await _vectors(base_url, options.model, key, asked)  # which says at once where the server does not answer
    print("\nthrough a gateway, with both rules about words; Wilson's interval of 95%")
    print(
        f"  {'threshold':>9}  {'same meaning: hit':>22}  {'other meaning: hit':>22}  said alike  reworded  other of the set"
    )
    rows = []
    async with gateway(base_url, options.model, key, thresholds) as (echo, client):
        for threshold in thresholds:
            seen = await told(echo, client, threshold, asked)
            right, wrong = Share(seen.right, runs), Share(seen.alike + seen.reworded, 2 * runs)
            rows.append(
                {
                    "threshold": threshold,
                    **asdict(seen),
                    "hit_rate": _document(right),
                    "false_hit_rate": _document(wrong),
                }
            )
            print(
                f"  {threshold:9g}  {right!s:>22}  {wrong!s:>22}  {seen.alike:>10}  {seen.reworded:>8}  {seen.crossed:>16}",
                flush=True,
            )
    print(f"\nwhat the rules are worth, of {runs} each: same / said alike / reworded")
    rules = {}
    for name, rule in RULES.items():
        rules[name] = {f"{one:g}": hits(rule, one, asked, vectors) for one in thresholds}
        told_rules = "  ".join(f"{at} {'/'.join(map(str, counts.values())):>10}" for at, counts in rules[name].items())
        print(f"  {name:26}{told_rules}")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "processors": os.cpu_count()},
        "model": options.model,
        "questions": runs,
        "gateway": rows,
        "rules": rules,
    }


async def _vectors(base_url: str, model: str, key: str, asked: list[Case]) -> dict[str, list[float]]:
    """Of all texts, each as long as 1.

    They are asked for one by one, as a gateway asks: some servers give a text another vector where it is one of several.
    """
    texts = dict.fromkeys(text for case in asked for text in (case.question, case.same, case.alike, case.reworded))
    found: dict[str, list[float]] = {}
    headers = {"authorization": f"Bearer {key or 'none'}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=120) as client:
        for text in texts:
            numbers = _numbers(await client.post("/embeddings", json={"model": model, "input": text}))
            length = sum(number * number for number in numbers) ** 0.5
            found[text] = [number / length for number in numbers]
    return found


def _numbers(answer: httpx.Response) -> list[float]:
    """Of the one vector in an answer. Raises: ValueError, for another answer."""
    try:
        numbers: list[float] = answer.raise_for_status().json()["data"][0]["embedding"]
    except httpx.HTTPStatusError as error:
        raise ValueError(f"it answered with status {answer.status_code}: {answer.text[:200]}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("its answer holds no vector of numbers") from error
    return numbers


def _document(share: Share) -> dict[str, float]:
    low, high = share.interval
    return {"rate": round(share.value, 4), "low": round(low, 4), "high": round(high, 4)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--base-url",
        help="of another model of embeddings, such as https://api.openai.com/v1; its key is read from EMBEDDINGS_KEY",
    )
    parser.add_argument("--model", default=NAME, help="what that server calls it")
    parser.add_argument("--quick", action="store_true", help="one threshold; does not keep the result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
