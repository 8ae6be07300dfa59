"""`[providers.NAME]`: who answers for models. Two are built in and need no declaration."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from shipway.spec.fields import BaseUrls, FilePath, Headers, Reference
from shipway.spec.health import Health, keys_given
from shipway.spec.section import Section
from shipway.spec.wording import quoted

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "openai": {"kind": "openai", "base_url": "https://api.openai.com/v1", "api_key": "env:OPENAI_API_KEY"},
    "local": {"kind": "local"},
}
"""Tables of the providers that every app has; a table of the same name in the file changes them key by key."""

MEANINGLESS: Mapping[str, frozenset[str]] = {
    "openai": frozenset({"context", "slots"}),
    "local": frozenset({"base_url", "api_key", "headers", "tls", "health"}),
}
"""For each kind, the settings that nothing could honour."""


class ProviderTls(Section):
    """What a provider behind `https` must prove, and what is shown to it. Its certificate is always verified."""

    ca: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    cert: FilePath | None = Field(default=None, description="Client certificate, a PEM file.")
    key: FilePath | None = Field(default=None, description="Its private key, unless that is in the same file.")

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if "key" in given and "cert" not in given:
            yield '"key" needs "cert"'


class Provider(Section):
    """Who answers for models: a server that speaks OpenAI's API, or the models that Shipway runs itself.

    Two are built in: `openai` (https://api.openai.com/v1 with the key in `env:OPENAI_API_KEY`) and `local`. A section of
    the same name changes them key by key; with another `base_url` the built-in key is not sent.
    """

    kind: Literal["openai", "local"] = Field(
        description="`openai` for any server that speaks OpenAI's API, `local` for models run by Shipway."
    )
    base_urls: BaseUrls = Field(
        default_factory=tuple,
        alias="base_url",
        description="Address up to and with the version, or a list of them, replicas that are equals; for kind `openai`.",
    )
    api_key: Reference | None = Field(default=None, description="Reference to the key that is sent; for kind `openai`.")
    headers: Headers = Field(
        default_factory=dict,
        description='Headers to add; a value that starts with "env:" or "file:" refers to a secret. For kind `openai`.',
    )
    tls: ProviderTls = Field(default=ProviderTls(), description="Certificates; for kind `openai`.")
    health: Health | None = Field(
        default=None,
        description="Check of each address by the gateway, or only its path, which starts at the host: `/health` also where "
        "`base_url` ends in `/v1`. Without it only real requests tell. For kind `openai`.",
    )
    context: int = Field(
        default=4096, ge=64, le=16_777_216, description="Context of each slot in tokens; for kind `local`."
    )
    slots: int = Field(default=2, ge=1, le=1024, description="Answers generated at the same time; for kind `local`.")

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        check = keys_given(given.get("health"))
        if check is not None and "path" not in check:
            yield '"health" of a provider needs "path"'
        if check is not None and "start" in check:
            yield '"health.start" has no meaning for a provider: Shipway does not start it'
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in MEANINGLESS:
            return
        for key in sorted(MEANINGLESS[kind] & given.keys()):
            yield f"{quoted(key)} has no meaning for a provider of kind {quoted(kind)}"
        if kind == "openai" and "base_url" not in given:
            yield 'a provider of kind "openai" needs "base_url"'


def built_in_providers() -> dict[str, Provider]:
    return {name: Provider.model_validate(dict(table)) for name, table in BUILT_IN.items()}
