"""`[environments.NAME]`: a target, how releases reach it, and overrides.

Overrides are merged into the rest of the file before it is validated.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from shipway.spec import guards, models, providers, services
from shipway.spec.fields import Folder, SettingPattern
from shipway.spec.rollout import Rollout
from shipway.spec.section import List, Section, mistake
from shipway.spec.wording import did_you_mean, found, listed

DEFAULT = "dev"
"""The environment that every app has."""

TARGETS = ("local", "docker")

Table = dict[str, Any]
OVERRIDABLE = ("services", "providers", "models", "guards", "limits", "gateway", "objectives")


def _target(value: str) -> str:
    if value not in TARGETS:
        raise mistake(f"unknown target {found(value)}{did_you_mean(value, TARGETS) or f' (known: {listed(TARGETS)})'}")
    return value


class Environment(Section):
    """A target, how releases reach it, and what differs there: any part of `services`, `providers`, `models`, `guards`,
    `limits`, `gateway` and `objectives`, in the same form.

    Tables are merged key by key; lists and single values replace. A service that gets another of `app`, `command`,
    `image`, `url` and `releases`, a model that gets the other of `upstreams` and `releases`, a guard that gets the other of
    `call` and `url`, or a provider that gets another `kind`, loses the settings that have no meaning any more.
    """

    target: Annotated[str, AfterValidator(_target)] = Field(
        default="local", description="What it runs on.", json_schema_extra={"enum": list(TARGETS)}
    )
    rollout: Rollout = Field(default=Rollout(), description="How traffic moves to a new release, or only the strategy.")
    retain: int = Field(
        default=10, ge=1, le=1000, description="Releases that are kept ready for a rollback, the current one too."
    )
    accept_loss: Annotated[tuple[SettingPattern, ...], List] = Field(
        default=(),
        description="Settings that the target cannot honour and that may be lost there, such as "
        '`"services.*.resources.gpu"`; without it they are an error.',
    )
    state: Folder = Field(
        default=".shipway/deploy",
        description="Folder of the releases, the journal and the lease, from the app file's folder; the same for everyone "
        "who deploys here.",
    )
    # Kept raw: only together with the rest of the file do the parts make sense.
    services: Mapping[str, Any] = Field(default_factory=dict, description="Changes to services, or more of them.")
    providers: Mapping[str, Any] = Field(default_factory=dict, description="Changes to providers, or more of them.")
    models: Mapping[str, Any] = Field(default_factory=dict, description="Changes to models, or more of them.")
    guards: Mapping[str, Any] = Field(default_factory=dict, description="Changes to guards, or more of them.")
    limits: Mapping[str, Any] = Field(default_factory=dict, description="Changes to the limits.")
    gateway: Mapping[str, Any] = Field(default_factory=dict, description="Changes to the gateway.")
    objectives: Mapping[str, Any] = Field(default_factory=dict, description="Changes to the objectives.")


def merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> Table:
    """*base* under *override*: tables merge key by key, lists and single values replace. Neither argument is changed.

    What no longer has a meaning goes: the base's `command` when the override gives an `image`, the base's `base_url`
    when the override makes the provider local.
    """
    base, override = _spelled_out(base), _spelled_out(override)
    for section, sources in (("services", services.SOURCES), ("models", models.SOURCES), ("guards", guards.SOURCES)):
        for name, table in _tables(override, section):
            _forget(base, (section, name), sources.replaced_by(table))
    for name, table in _tables(override, "providers"):
        _forget(base, ("providers", name), _meaningless_keys(table))
    return _merged(base, override)


def with_built_in(table: Mapping[str, Any]) -> Table:
    """*table* over the built-in providers. A changed address drops the built-in key: it was meant for another host."""
    built_in: Table = {"providers": {name: dict(provider) for name, provider in providers.BUILT_IN.items()}}
    for name, provider in _tables(table, "providers"):
        also = {"api_key"} if "base_url" in provider else set()
        _forget(built_in, ("providers", name), _meaningless_keys(provider) | also)
    return _merged(built_in, table)


def _meaningless_keys(provider: Mapping[str, Any]) -> frozenset[str]:
    kind = provider.get("kind")
    return providers.MEANINGLESS.get(kind, frozenset()) if isinstance(kind, str) else frozenset()


def _tables(table: Mapping[str, Any], section: str) -> Iterator[tuple[str, Table]]:
    items = table.get(section)
    if isinstance(items, dict):
        yield from ((name, item) for name, item in items.items() if isinstance(item, dict))


def _spelled_out(table: Mapping[str, Any]) -> Table:
    """A copy, down to the keys of services, in which shorthands that stand for a table are tables and so can merge."""
    copy = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    for section in ("services", "providers"):
        for name, item in list(_tables(copy, section)):
            copy[section][name] = {
                key: {"path": value} if key in ("health", "example") and isinstance(value, str) else value
                for key, value in item.items()
            }
    return copy


def _forget(table: Table, place: tuple[str, str], keys: Iterable[str]) -> None:
    section, name = place
    item = table[section].get(name) if isinstance(table.get(section), dict) else None
    if isinstance(item, dict):
        for key in keys:
            item.pop(key, None)


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> Table:
    result = dict(base)
    for key, value in override.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
