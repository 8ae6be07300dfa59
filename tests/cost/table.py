"""Makes `src/shipway/cost/known_prices.jsonl` of the data in genai-prices, whose version the lock file pins.

`python -m tests.cost.table` writes it anew. Only prices of tokens are taken. Left out, and so unknown, is a model that is
billed by something that no usage report has (hours, characters, pages, requests), one that seems to be free, and what holds
for a service tier or a batch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

FILE = Path(__file__).parents[2] / "src" / "shipway" / "cost" / "known_prices.jsonl"

_CLASSES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_read",
    "cache_write_mtok": "cached_write",
    "input_audio_mtok": "input_audio",
    "input_image_mtok": "input_image",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
_BESIDE = frozenset(
    {
        "web_searches_kcount",
        "storage_searches_kcount",
        "social_searches_kcount",
        "code_executions_kcount",
        "cache_write_1h_mtok",
        "cache_write_5m_mtok",
        "cache_audio_read_mtok",
        "cache_image_read_mtok",
        "input_video_mtok",
        "output_video_mtok",
    }
)
"""Of tools, and classes that nobody reports apart: no reason not to price the rest."""

_SIX_DECIMALS = Decimal("0.000001")


def table() -> str:
    """The file's text."""
    return "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in _lines())


def _lines() -> Iterator[dict[str, Any]]:
    yield {"source": f"genai-prices {version('genai-prices')}, MIT License"}
    for provider in providers:
        also = {"falls_back_to": provider.fallback_model_providers} if provider.fallback_model_providers else {}
        yield {"provider": provider.id, "address": provider.api_pattern, **also}
    for provider in providers:
        for model in provider.models:
            yield {"of": provider.id, "model": model.id, "match": _clause(model.match), "prices": _prices(model)}


def _prices(model: ModelInfo) -> list[dict[str, Any]]:
    """Of a model whose price is unknown none: it must still be found, so that no other clause matches its name."""
    conditional = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    found = [_price(one) for one in conditional]
    return [] if None in found else [one for one in found if one is not None]


def _price(conditional: ConditionalPrice) -> dict[str, Any] | None:
    given = {key: value for key, value in vars(conditional.prices).items() if value is not None}
    if not given.keys() <= _CLASSES.keys() | _BESIDE or "input_mtok" not in given:
        return None
    starts = sorted({tier.start for price in given.values() for tier in getattr(price, "tiers", ())})
    rates, *tiers = (_rates(conditional.prices, above) for above in (0, *(start + 1 for start in starts)))
    if any(Decimal(amount) == 0 for one in (rates, *tiers) for amount in one.values()):
        return None
    said: dict[str, Any] = {"usd_per_mtok": rates}
    if tiers:
        said["tiers"] = list(zip(starts, tiers, strict=True))
    match conditional.constraint:
        case None:
            pass
        case StartDateConstraint(start):
            said["begins"] = start.isoformat()
        case hours:
            said["hours"] = [hours.start_time.isoformat()[:8], hours.end_time.isoformat()[:8]]
    return said


def _rates(prices: ModelPrice, input_tokens: int) -> Mapping[str, str]:
    """In dollars for a million tokens, to six decimals: some of the source are thirds as floats have them."""
    rates = {}
    for key, name in _CLASSES.items():
        price = getattr(prices, key)
        if isinstance(price, TieredPrices):
            reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
            price = reached[-1] if reached else price.base
        if price is not None:
            rates[name] = f"{price.quantize(_SIX_DECIMALS).normalize():f}"
    return rates


def _clause(clause: Any) -> dict[str, Any]:
    ((field, value),) = ((one.name, getattr(clause, one.name)) for one in fields(clause))
    return {field.rstrip("_"): [_clause(part) for part in value] if isinstance(value, list) else value}


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
