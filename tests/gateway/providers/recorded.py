"""Exchanges with providers, each a file: what a request is sent as, and what the answer says.

A kind has a folder of them, in which every file is tried. `[settings]` are the gateway's, `[request]` has the address and the
header lines that belong to the provider, in the order in which they are sent, `[answer]` what came back.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from shipway.gateway.dialects.events import Answer, fold
from shipway.gateway.dialects.registry import OPERATIONS, open_dialect
from shipway.gateway.providers.provider import Outgoing, Settings, field_value
from shipway.secret import Secret
from tests.gateway.providers.contract import check

EXCHANGES = Path(__file__).parent / "exchanges"


def check_exchange(file: Path) -> None:
    """Check the exchange in *file*, whose folder is called as the kind."""
    exchange: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    request, answer = exchange["request"], exchange["answer"]
    provider = check(file.parent.name, _settings(**exchange["settings"]))
    stream = request.get("stream", False)
    route = provider.route(request["operation"], request["model"], stream=stream)
    assert route is not None
    signed = provider.sign(Outgoing("POST", route.target.decode(), "host", b"", 0.0))
    lines = (route.fields + provider.defaults + provider.fields + signed).decode().splitlines()
    assert (provider.base_urls[0] + route.target.decode(), lines) == (request["url"], request["fields"])
    came = "".join(f"{line}\r\n" for line in answer["fields"]).encode()
    request_id = field_value(came, provider.request_id_fields)
    assert request_id == (answer["request_id"].encode() if "request_id" in answer else None)
    read = _read_stream if stream else _read_whole
    assert read(OPERATIONS[request["operation"]], answer["body"].encode()).text() == answer["text"]


def _settings(api_key: str | None = None, base_urls: tuple[str, ...] = (), **others: Any) -> Settings:
    return Settings(tuple(base_urls), None if api_key is None else Secret(api_key), **others)


def _read_whole(dialect: str, body: bytes) -> Answer:
    return open_dialect(dialect).read_answer(body)


def _read_stream(dialect: str, body: bytes) -> Answer:
    framing, parser = open_dialect(dialect).framing(), open_dialect(dialect).stream_parser()
    events = [event for message in framing.feed(body) + framing.rest() for event in parser.read(*message)]
    return fold([*events, *parser.end()])
