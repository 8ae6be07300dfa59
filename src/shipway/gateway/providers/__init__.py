"""Who answers for models. A provider is one file here and one line in `PROVIDERS`; the app file learns its kind, and which
settings mean nothing to it, in `spec/providers.py`. One with a dialect of its own has its exchanges and its fake too.

`tests/gateway/providers/contract.py` has the tests that every provider passes.
"""

from collections.abc import Mapping
from importlib import import_module

from shipway.errors import UsageError
from shipway.gateway.providers.provider import Provider, Settings
from shipway.spec.wording import did_you_mean, found, listed

PROVIDERS: dict[str, str] = {
    "anthropic": "shipway.gateway.providers.anthropic:Anthropic",
    "azure": "shipway.gateway.providers.azure:Azure",
    "bedrock": "shipway.gateway.providers.bedrock:Bedrock",
    "gemini": "shipway.gateway.providers.gemini:Gemini",
    "local": "shipway.gateway.providers.openai:OpenAi",
    "openai": "shipway.gateway.providers.openai:OpenAi",
}
"""Import string of each kind's class; it is called with `Settings`."""


def open_provider(kind: str, settings: Settings, providers: Mapping[str, str] = PROVIDERS) -> Provider:
    """The provider of this kind.

    Raises:
        UsageError: There is no such kind, or its settings lack something.
        SecretError: A header's value cannot be sent.
        MissingExtraError: It needs a package that is not installed.
    """
    if kind not in providers:
        nearest = did_you_mean(kind, providers) or f" (known: {listed(providers)})"
        raise UsageError(f"unknown kind of provider {found(kind)}{nearest}")
    module, _, attribute = providers[kind].partition(":")
    provider: Provider = getattr(import_module(module), attribute)(settings)
    return provider
