"""The gateway's configuration for the releases behind it: an app file made from theirs. Pure.

The release that leads says which services and models there are, their routes, limits and settings. The others take part in
the services and models that they have too: those become `releases`, between which the admin API moves traffic.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shipway.deploy.releases import SECRETS_FOLDER, Release, secret_file_name
from shipway.secret import SCHEMES
from shipway.spec import models, services
from shipway.spec.environments import with_built_in
from shipway.spec.objectives import COUNTED

Table = dict[str, Any]

_STARTED = tuple(source for source in services.SOURCES.keys if source not in services.ELSEWHERE)
_OF_ROUTING = ("routes", "public", "health")
"""What the gateway needs of a service that Shipway runs; the rest is the target's."""


def front_table(releases: Sequence[Release]) -> Table:
    """The app file of a gateway in front of *releases*, the first one leading. It loads as the environment `dev`.

    References to secrets become `file:` paths below `SECRETS_FOLDER`, one file for each version of a value.
    """
    lead, *others = [(release, _with_files(release)) for release in releases]
    release, table = lead
    front: Table = {key: table[key] for key in ("name", "limits", "guards", "gateway") if key in table}
    front["gateway"] = {**front.get("gateway", {}), **release.rendered.gateway}
    front["objectives"] = _counted_objectives(releases)
    front["services"] = {name: _service(name, releases) for name in table.get("services", {})}
    front["providers"] = dict(table.get("providers", {}))
    front["models"] = dict(table.get("models", {}))
    for other, theirs in others:
        theirs = _own_providers(theirs, other, table)
        front["providers"] |= {k: v for k, v in theirs["providers"].items() if k not in front["providers"]}
        for name in front["models"]:
            if name in theirs.get("models", {}):
                front["models"][name] = _beside(front["models"][name], release, theirs["models"][name], other)
    return {key: value for key, value in front.items() if value or key == "name"}


def _counted_objectives(releases: Sequence[Release]) -> Table:
    """The objectives that the gateway itself counts by, from the newest release, since that is the one to be judged."""
    newest = max(releases, key=lambda release: release.number)
    objectives = newest.resolved.get("objectives", {})
    return {key: objectives[key] for key in COUNTED if key in objectives}


def splits(table: Table) -> dict[str, frozenset[str]]:
    """The releases of each service and model in the front *table*, as the admin API names it: `services.api` has `v3`, `v4`."""
    return {
        f"{section}.{name}": frozenset(part["releases"])
        for section in ("services", "models")
        for name, part in table.get(section, {}).items()
        if part.get("releases")
    }


def shared(table: Table) -> frozenset[str]:
    """What several releases take part in, by the names that `splits` has for it."""
    return frozenset(target for target, releases in splits(table).items() if len(releases) > 1)


def shares_anything(table: Table) -> bool:
    """Whether there is something in the front *table* of two releases that both take part in."""
    return bool(shared(table))


def as_toml(table: Mapping[str, Any]) -> str:
    """*table* as TOML: the top keys one a line, what is in them inline."""
    return "".join(f"{_string(key)} = {_inline(value)}\n" for key, value in table.items())


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_string(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, str):
        return _string(value)
    return json.dumps(value)


def _string(text: str) -> str:
    # JSON's escapes are TOML's too, but for DEL, which JSON leaves as it is and TOML forbids.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _service(name: str, releases: Sequence[Release]) -> Table:
    lead = releases[0].resolved["services"][name]
    if not _is_started(lead):
        return {key: value for key, value in lead.items() if key != "example"}
    part: Table = {key: lead[key] for key in _OF_ROUTING if key in lead}
    # Without a path the target watches the replicas; the gateway only checks what has one.
    if "path" not in _health(part.get("health")):
        part.pop("health", None)
    part["releases"] = {
        release.name: {"url": release.rendered.addresses[name], "weight": 1.0 if release is releases[0] else 0.0}
        for release in releases
        if _is_started(release.resolved.get("services", {}).get(name, {}))
    }
    return part


def _health(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"path": value} if isinstance(value, str) else {}


def _is_started(service: Mapping[str, Any]) -> bool:
    return any(source in service for source in _STARTED)


def _beside(lead: Table, release: Release, theirs: Table, other: Release) -> Table:
    """A model with the upstreams of both releases, unless they are the same or their releases are the user's own."""
    mine = lead.get("upstreams") or lead.get("releases", {}).get(release.name, {}).get("upstreams")
    if theirs.get("upstreams") is None or mine is None or mine == theirs["upstreams"]:
        return lead
    rest = {key: value for key, value in lead.items() if key not in (*models.SOURCES.keys, "price")}
    present = lead.get("releases") or {release.name: {"upstreams": _priced(lead), "weight": 1.0}}
    return {**rest, "releases": {**present, other.name: {"upstreams": _priced(theirs), "weight": 0.0}}}


def _priced(model: Table) -> list[Any]:
    """The upstreams of *model*, each with the price that the model states for all: the other release may state another."""
    price = model.get("price")
    if price is None:
        return list(model["upstreams"])
    tables = [one if isinstance(one, dict) else {"model": one} for one in model["upstreams"]]
    return [{"price": price, **one} for one in tables]


def _own_providers(table: Table, release: Release, lead: Table) -> Table:
    """*table* with each provider renamed after *release* that the lead lacks or has with other settings."""
    ours, theirs = with_built_in(table)["providers"], with_built_in(lead)["providers"]
    renamed = {name: f"{name}-{release.name}" for name in ours if ours[name] != theirs.get(name)}
    if not renamed:
        return {**table, "providers": {}}
    return {
        **table,
        "providers": {renamed[name]: ours[name] for name in renamed},
        "models": {name: _with_providers(model, renamed) for name, model in table.get("models", {}).items()},
    }


def _with_providers(model: Table, renamed: Mapping[str, str]) -> Table:
    if "upstreams" not in model:
        return model
    return {**model, "upstreams": [_renamed(upstream, renamed) for upstream in model["upstreams"]]}


def _renamed(upstream: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(upstream, dict):
        return {**upstream, "model": _renamed(upstream["model"], renamed)}
    provider, slash, model = upstream.partition("/")
    return renamed.get(provider, provider) + slash + model


def _with_files(release: Release) -> Table:
    """The release's app file, built-in keys spelled out, with its secrets as the files that they are in containers."""
    table = dict(release.resolved)
    spelled_out = with_built_in(table)["providers"]
    used = {name: spelled_out[name] for name in spelled_out if name in table.get("providers", {}) or _uses(table, name)}
    table["providers"] = {name: _as_files(provider, release.secrets) for name, provider in used.items()}
    return table


def _uses(table: Table, provider: str) -> bool:
    return f'"{provider}/' in json.dumps(table.get("models", {}))


def _as_files(value: Any, versions: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _as_files(item, versions) for key, item in value.items()}
    if isinstance(value, str) and value in versions and value.startswith(tuple(f"{scheme}:" for scheme in SCHEMES)):
        return f"file:{SECRETS_FOLDER}/{secret_file_name(value, versions[value])}"
    return value
