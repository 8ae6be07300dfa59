"""The line that adds Acme. A plugin of pytest, so that it stands in the table before anything reads that."""

from shipway.spec.provider_kinds import KINDS, ProviderKind

KINDS["acme"] = ProviderKind(provider="tests.gateway.providers.made_up.acme:Acme")
