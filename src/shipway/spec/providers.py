"""`[providers.NAME]`: who answers for models. Some are built in and need no declaration."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from shipway.spec.fields import BaseUrls, FilePath, Headers, Reference, Text
from shipway.spec.health import Health, keys_given
from shipway.spec.section import Section
from shipway.spec.wording import quoted

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "openai": {"kind": "openai", "base_url": "https://api.openai.com/v1", "api_key": "env:OPENAI_API_KEY"},
    "anthropic": {"kind": "anthropic", "api_key": "env:ANTHROPIC_API_KEY"},
    "gemini": {"kind": "gemini", "api_key": "env:GEMINI_API_KEY"},
    "bedrock": {"kind": "bedrock"},
    "local": {"kind": "local"},
}
"""Tables of the providers that every app has; a table of the same name in the file changes them key by key."""

_LOCAL = frozenset({"context", "slots"})
_AWS = frozenset({"region", "profile"})
MEANINGLESS: Mapping[str, frozenset[str]] = {
    "openai": _LOCAL | _AWS | {"api_version"},
    "anthropic": _LOCAL | _AWS | {"api_version"},
    "azure": _LOCAL | _AWS,
    "bedrock": _LOCAL | {"api_version"},
    "gemini": _LOCAL | _AWS | {"api_version"},
    "local": _AWS | {"base_url", "api_key", "headers", "tls", "health", "api_version"},
}
"""For each kind, the settings that nothing could honour."""

_NEEDS_ADDRESS = frozenset({"openai", "azure"})
"""Kinds without an address of their own."""


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
    """Who answers for models: a hosted provider, a server that speaks OpenAI's API, or the models that Shipway runs itself.

    Five are built in: `openai`, `anthropic` and `gemini` at their own addresses with the keys in `env:OPENAI_API_KEY`,
    `env:ANTHROPIC_API_KEY` and `env:GEMINI_API_KEY`; `bedrock` with the AWS credentials and region of its surroundings; and
    `local`. A section of the same name changes them key by key; with another `base_url` the built-in key is not sent.
    """

    kind: Literal["openai", "anthropic", "azure", "bedrock", "gemini", "local"] = Field(
        description="`openai` for any server that speaks OpenAI's API, `local` for models run by Shipway, the others by name."
    )
    base_urls: BaseUrls = Field(
        default_factory=tuple,
        alias="base_url",
        description="Address up to and with the version, or a list of them, replicas that are equals. Kinds `openai` and "
        "`azure` need it; the others have one of their own.",
    )
    api_key: Reference | None = Field(
        default=None,
        description="Reference to the key that is sent. Without one, `azure` asks for tokens of Entra and `bedrock` signs with "
        "AWS credentials.",
    )
    headers: Headers = Field(
        default_factory=dict,
        description='Headers to add; a value that starts with "env:" or "file:" refers to a secret. Not for kind `local`.',
    )
    api_version: Text | None = Field(
        default=None,
        description="Version of the API whose paths name deployments, such as `2024-10-21`, with a `base_url` that ends in "
        "`/openai`; without it the v1 API is spoken. For kind `azure`.",
    )
    region: Text | None = Field(
        default=None, description="AWS region, else `AWS_REGION` in the environment; for kind `bedrock`."
    )
    profile: Text | None = Field(
        default=None, description="Profile of the shared AWS configuration; for kind `bedrock`."
    )
    tls: ProviderTls = Field(default=ProviderTls(), description="Certificates; not for kind `local`.")
    health: Health | None = Field(
        default=None,
        description="Check of each address by the gateway, or only its path, which starts at the host: `/health` also where "
        "`base_url` ends in `/v1`. Without it only real requests tell. Not for kind `local`.",
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
        if kind in _NEEDS_ADDRESS and "base_url" not in given:
            yield f'a provider of kind {quoted(kind)} needs "base_url"'


def built_in_providers() -> dict[str, Provider]:
    return {name: Provider.model_validate(dict(table)) for name, table in BUILT_IN.items()}
