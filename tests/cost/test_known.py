"""The table of prices: made of the locked package, found by whose address it is, and never guessed."""

import datetime as dt
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers

from shipway.cost.known import TABLE, KnownPrices
from shipway.cost.prices import Rates
from shipway.spec.prices import PICO
from tests.cost.table import FILE, table

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
OPENAI = ("https://api.openai.com/v1",)


def known() -> KnownPrices:
    return KnownPrices(NOW.timestamp)


def test_the_table_is_fresh() -> None:
    assert FILE.name == TABLE
    assert FILE.read_text(encoding="utf-8") == table(), "run: scripts/fix"


@pytest.mark.parametrize(
    ("kind", "base_urls", "model", "input_usd_per_mtok"),
    [
        ("openai", OPENAI, "gpt-5-mini", 0.25),
        ("openai", OPENAI, "gpt-5-mini-2025-08-07", 0.25),
        ("openai", OPENAI, "gpt-5-mini-20250807", 0.25),
        ("anthropic", (), "claude-3-5-haiku-latest", 0.8),
        ("gemini", (), "gemini-2.5-flash", 0.3),
        ("bedrock", (), "us.amazon.nova-lite-v1:0", 0.06),
        ("azure", ("https://x.openai.azure.com/openai/v1",), "gpt-4o", 2.5),
        ("openai", ("https://api.groq.com/openai/v1",), "llama-3.3-70b-versatile", 0.59),
        # unknown: whose it is, which model it is, or its price
        ("openai", ("http://10.0.0.7:8000/v1",), "gpt-5-mini", None),
        ("openai", (*OPENAI, "http://10.0.0.7:8000/v1"), "gpt-5-mini", None),
        ("anthropic", ("https://proxy.example.com",), "claude-3-5-haiku-latest", None),
        ("openai", OPENAI, "a-model-of-mine", None),
        ("azure", ("https://x.openai.azure.com/openai/v1",), "my-deployment", None),
        ("local", (), "smollm2-135m-instruct", None),
        ("openai", OPENAI, "tts-1", None),  # by characters
    ],
)
def test_a_price_is_found_by_address_and_model(
    kind: str, base_urls: tuple[str, ...], model: str, input_usd_per_mtok: float | None
) -> None:
    prices = known().of(kind, base_urls, model)
    found = None if prices is None else prices.at(NOW.timestamp()).rates.input * 10**6 / PICO
    assert found == input_usd_per_mtok


def test_a_tier_of_the_table_is_for_long_prompts() -> None:
    prices = known().of("gemini", (), "gemini-2.5-pro")
    assert prices is not None
    assert [prices.at(NOW.timestamp()).for_input(n).input for n in (200_000, 200_001)] == [1_250_000, 2_500_000]


def _ours(provider: Any, model: Any, input_tokens: int) -> Rates | None:
    """The rates that the table has for *model* under its own name."""
    url = {"openai": OPENAI[0], "anthropic": "https://api.anthropic.com", "google": "https://x.googleapis.com"}
    prices = known().of("openai", (url[provider.id],), model.id)
    return None if prices is None else prices.at(NOW.timestamp()).for_input(input_tokens)


_KEYS = {
    "cached_read": "cache_read_tokens",
    "cached_write": "cache_write_tokens",
    "input_audio": "input_audio_tokens",
    "reasoning": "output_reasoning_tokens",
    "output_audio": "output_audio_tokens",
}


@pytest.mark.parametrize("whose", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("input_tokens", [1_000, 250_000])
def test_invoices_are_those_of_the_package_the_table_is_made_of(whose: str, input_tokens: int) -> None:
    provider = next(one for one in providers if one.id == whose)
    compared = 0
    for model in provider.models[::3]:
        ours = _ours(provider, model, input_tokens)
        if ours is None or ours.output is None:
            continue
        tokens = {"input": input_tokens - 170, "cached_read": 100, "cached_write": 50, "output": 300, "reasoning": 40}
        tokens |= {name: count for name, count in (("input_audio", 20), ("output_audio", 7)) if getattr(ours, name)}
        used = _used(tokens)
        # Cached audio has a price of its own, and no provider's report that we read tells it apart.
        cached_audio = {"cache_audio_read_tokens": 0} if "input_audio" in tokens else {}
        theirs = calc_price(
            Usage(
                input_tokens=sum(tokens.get(one, 0) for one in ("input", "cached_read", "cached_write", "input_audio")),
                output_tokens=sum(tokens.get(one, 0) for one in ("output", "reasoning", "output_audio")),
                **{_KEYS[name]: count for name, count in tokens.items() if name in _KEYS},
                **cached_audio,
            ),
            model.id,
            provider_id=whose,
            genai_request_timestamp=NOW,
        )
        assert ours.cost(used) == theirs.total_price * PICO, model.id
        compared += 1
    assert compared >= 5


def _used(tokens: dict[str, int]) -> Any:
    class Used:
        pass

    used = Used()
    for field in fields(Rates):
        setattr(used, field.name, tokens.get(field.name))
    return used


def test_the_gateway_does_without_the_package() -> None:
    code = (
        "import sys, shipway.gateway.serve\n"
        "from shipway.cost.known import KnownPrices\n"
        "assert KnownPrices().of('anthropic', (), 'claude-3-5-haiku-latest') is not None\n"
        "assert not {name for name in sys.modules if name.partition('.')[0] in ('genai_prices', 'httpx2')}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
