"""The kinds of provider: what the app file must know of each, and where the gateway finds it.

A kind is one entry here and the module that the entry names. Sections, messages, schema, docs and tests derive what they say of
kinds. The gateway's classes are only named, so that reading an app file loads none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REMOTE = frozenset({"base_url", "api_key", "headers", "tls", "health"})
"""Settings of a provider that is reached over the network, whichever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind:
    """What sets one kind apart.

    Attributes:
        provider: Import string of its class, which is called with the gateway's `Settings`.
        takes: The settings that mean something to it; others are mistakes. Those that are text reach the class as options.
        needs_address: Whether it has no address of its own, so that `base_url` must say it.
        built_in: Settings of the provider of the same name that every app has; None if there is none.
        sold_by: Whose prices count at its own address, as `cost/known_prices.jsonl` calls them.
    """

    provider: str
    takes: frozenset[str] = REMOTE
    needs_address: bool = False
    built_in: Mapping[str, Any] | None = None
    sold_by: str | None = None


KINDS: dict[str, ProviderKind] = {
    "openai": ProviderKind(
        provider="shipway.gateway.providers.openai:OpenAi",
        needs_address=True,
        built_in={"base_url": "https://api.openai.com/v1", "api_key": "env:OPENAI_API_KEY"},
    ),
    "anthropic": ProviderKind(
        provider="shipway.gateway.providers.anthropic:Anthropic",
        built_in={"api_key": "env:ANTHROPIC_API_KEY"},
        sold_by="anthropic",
    ),
    "azure": ProviderKind(
        provider="shipway.gateway.providers.azure:Azure",
        takes=REMOTE | {"api_version"},
        needs_address=True,
    ),
    "bedrock": ProviderKind(
        provider="shipway.gateway.providers.bedrock:Bedrock",
        takes=REMOTE | {"region", "profile"},
        built_in={},
        sold_by="aws",
    ),
    "gemini": ProviderKind(
        provider="shipway.gateway.providers.gemini:Gemini",
        built_in={"api_key": "env:GEMINI_API_KEY"},
        sold_by="google",
    ),
    "local": ProviderKind(
        provider="shipway.gateway.providers.openai:OpenAi",
        takes=frozenset({"context", "slots"}),
        built_in={},
    ),
}
"""Every kind, in the order in which messages and docs list them."""
