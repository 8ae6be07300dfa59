"""What every provider does, whatever it is called. A provider's test file calls `check` with its settings."""

from typing import get_args

from shipway.gateway.providers import open_provider
from shipway.gateway.providers.provider import Framing, Operation, Outgoing, Provider, Settings

KEY = "the-secret-key"


def check(kind: str, settings: Settings) -> Provider:
    """Check the provider that *settings* give, and return it."""
    provider = open_provider(kind, settings)
    assert provider.base_urls
    assert all(not url.endswith("/") for url in provider.base_urls)
    assert provider.route(provider.converses_in, "a model/of:mine", stream=False) is not None
    assert provider.counts_in is None or provider.route(provider.counts_in, "m", stream=False) is not None
    assert provider.converses_in not in provider.embeds_in
    for operation in get_args(Operation):
        for stream in (False, True):
            route = provider.route(operation, "a model/of:mine", stream=stream)
            assert route == provider.route(operation, "a model/of:mine", stream=stream)
            if route is not None:
                assert route.target.startswith(b"/")
                assert b" " not in route.target
                assert route.target.isascii()
                assert route.framing in get_args(Framing)
                assert_lines(route.fields)
                assert KEY.encode() not in route.target
    stream_route = provider.route(provider.converses_in, "m", stream=True)
    assert stream_route is not None
    assert stream_route.framing in {"sse", "event-stream"}
    assert_lines(provider.fields)
    assert_lines(provider.defaults)
    if provider.held is None:
        assert provider.sign(Outgoing("POST", "/", "host", b"", 0.0)) == b""
    assert KEY not in repr(settings)
    assert KEY not in repr(provider)
    assert all(name == name.lower() for name in provider.request_id_fields)
    return provider


def assert_lines(fields: bytes) -> None:
    assert fields == b"" or fields.endswith(b"\r\n")
    assert all(b": " in line for line in fields.split(b"\r\n")[:-1])
