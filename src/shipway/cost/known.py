"""The prices that come with Shipway: a table made of the data in genai-prices (MIT, Pydantic Services Inc. and contributors).

The table is a file beside this one, one line a model. A look-up reads the lines of one provider and keeps what it found: all
of it in memory would be several megabytes for a few numbers. `tests/cost/table.py` makes it anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any

import msgspec

from shipway.cost.prices import Period, Price, Prices, Rates, day_s, second_of_day, stated_prices
from shipway.spec.models import Model, Upstream
from shipway.spec.prices import parse_token_price
from shipway.spec.provider_kinds import KINDS
from shipway.spec.providers import Provider

TABLE = "known_prices.jsonl"

_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_MAX_KEPT = 1024

Stated = dict[str, str]


class _Provider(msgspec.Struct):
    provider: str
    address: str
    falls_back_to: list[str] = []


class _Tier(msgspec.Struct, array_like=True):
    above: int
    usd_per_mtok: Stated


class _Period(msgspec.Struct):
    usd_per_mtok: Stated
    tiers: list[_Tier] = []
    begins: str = ""
    hours: list[str] = []


class _Model(msgspec.Struct):
    of: str
    model: str
    match: dict[str, Any]
    prices: list[_Period]


_read_provider = msgspec.json.Decoder(_Provider).decode
_read_model = msgspec.json.Decoder(_Model).decode


class KnownPrices:
    """Finds prices in the table. What was found is kept, the table is not."""

    def __init__(self, wall_s: Callable[[], float] = time.time) -> None:
        self._wall_s = wall_s
        self._found: dict[tuple[str, tuple[str, ...], str], Prices | None] = {}

    def of_upstream(self, model: Model, upstream: Upstream, provider: Provider) -> Prices | None:
        """What the app file states of *upstream*, or else the table; None where they are unknown."""
        stated = upstream.price or model.price
        if stated is not None:
            return stated_prices(stated)
        return self.of(provider.kind, provider.base_urls, upstream.model)

    def of(self, kind: str, base_urls: Sequence[str], model: str) -> Prices | None:
        """The prices of what a provider calls *model*, from now on; None where they are unknown.

        Args:
            kind: A provider's kind in the app file.
            base_urls: Its addresses, where it is not at the one of its kind. They say whose price it is: what speaks
                OpenAI's API at an address of somebody else's has not OpenAI's prices.
        """
        key = (kind, tuple(base_urls), model)
        if key not in self._found:
            if len(self._found) >= _MAX_KEPT:
                self._found.clear()
            self._found[key] = self._look_up(*key)
        return self._found[key]

    def _look_up(self, kind: str, base_urls: tuple[str, ...], model: str) -> Prices | None:
        providers = {one.provider: one for one in map(_read_provider, _lines(b'{"provider":'))}
        name = KINDS[kind].sold_by if kind in KINDS else None
        if base_urls:
            names = {_at(url, providers.values()) for url in base_urls}
            name = names.pop() if len(names) == 1 else None
        if name is None:
            return None
        for whose in (name, *providers[name].falls_back_to):
            periods = _stated(whose, model.lower())
            if periods is not None:
                return Prices(tuple(map(_period, periods))).since(self._wall_s()) if periods else None
        return None


def _lines(start: bytes) -> Iterator[bytes]:
    with (files("shipway.cost") / TABLE).open("rb") as table:
        yield from (line for line in table if line.startswith(start))


def _at(url: str, providers: Iterable[_Provider]) -> str | None:
    return next((one.provider for one in providers if re.match(one.address, url)), None)


def _stated(provider: str, name: str) -> list[_Period] | None:
    """The prices of the first model of *provider* that *name* means. A date may be written `-20251211` for `-2025-12-11`."""
    for written in dict.fromkeys((name, _COMPACT_DATE.sub(r"-\1-\2-\3", name))):
        for line in _lines(b'{"of":"%b",' % provider.encode()):
            one = _read_model(line)
            if matches(one.match, written):
                return one.prices
    return None


def matches(clause: dict[str, Any], name: str) -> bool:
    """Whether *clause* means the lower-case *name*."""
    ((how, what),) = clause.items()
    match how:
        case "equals":
            return bool(name == what.lower())
        case "starts_with":
            return name.startswith(what.lower())
        case "ends_with":
            return name.endswith(what.lower())
        case "contains":
            return what.lower() in name
        case "regex":
            return re.search(what, name) is not None
        case "or":
            return any(matches(part, name) for part in what)
        case "and":
            return all(matches(part, name) for part in what)
    raise ValueError(f"unknown clause {how}")


def _period(said: _Period) -> Period:
    tiers = tuple((tier.above, _rates(tier.usd_per_mtok)) for tier in reversed(said.tiers))
    return Period(
        Price(_rates(said.usd_per_mtok), tiers),
        day_s(said.begins) if said.begins else float("-inf"),
        (second_of_day(said.hours[0]), second_of_day(said.hours[1])) if said.hours else None,
    )


def _rates(usd_per_mtok: Stated) -> Rates:
    return Rates.of({name: parse_token_price(f"{amount} USD/Mtok") for name, amount in usd_per_mtok.items()})
