"""Who answers for models. A provider is one file here and one entry in `spec/provider_kinds.py`, which says what the app file
must know of its kind. One with a dialect of its own has its folder in `gateway/dialects` and its fake too.

`tests/gateway/providers/exchanges` has a folder for each kind: what is sent to it, and what it answers.
"""

from collections.abc import Mapping
from importlib import import_module

from shipway.errors import UsageError
from shipway.gateway.providers.provider import Provider, Settings
from shipway.spec.provider_kinds import KINDS, ProviderKind
from shipway.spec.wording import did_you_mean, found, listed


def open_provider(kind: str, settings: Settings, kinds: Mapping[str, ProviderKind] = KINDS) -> Provider:
    """The provider of this kind.

    Raises:
        UsageError: There is no such kind, or its settings lack something.
        SecretError: A header's value cannot be sent.
        MissingExtraError: It needs a package that is not installed.
    """
    if kind not in kinds:
        nearest = did_you_mean(kind, kinds) or f" (known: {listed(kinds)})"
        raise UsageError(f"unknown kind of provider {found(kind)}{nearest}")
    module, _, attribute = kinds[kind].provider.partition(":")
    provider: Provider = getattr(import_module(module), attribute)(settings)
    return provider
