"""The guards that snapshots refer to, kept while their settings stay the same: a reload forgets no breaker and no check."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from shipway.gateway.guards.endpoint import EndpointAsker
from shipway.gateway.guards.functions import FunctionAsker, load_function
from shipway.gateway.guards.guard import Guard, Terms
from shipway.gateway.providers.provider import field_lines
from shipway.gateway.upstreams import Endpoints
from shipway.secret import SecretReference
from shipway.spec.app import App
from shipway.spec.guards import Guard as DeclaredGuard


class LiveGuards:
    """Makes guards. Needs a running event loop."""

    def __init__(self) -> None:
        self._made: list[tuple[tuple[str, Path, DeclaredGuard, bytes], Guard]] = []

    def get(self, app: App, name: str, endpoints: Endpoints, environ: Mapping[str, str]) -> Guard:
        """The guard *name* of *app*.

        Raises:
            GuardError: its function cannot be imported.
            SecretError: a header names a secret that cannot be resolved.
        """
        declared = app.guards[name]
        fields = _fields(app, declared, environ)
        settings = name, app.root, declared, fields
        for known, guard in self._made:
            if known == settings:
                return guard
        guard = _made(app, name, declared, fields, endpoints)
        self._made.append((settings, guard))
        return guard

    def keep_only(self, used: Collection[Guard]) -> None:
        """Forget the others; what they check ends in its own time."""
        for _, guard in self._made:
            if guard not in used:
                guard.close()
        self._made = [one for one in self._made if one[1] in used]

    def close(self) -> None:
        self.keep_only(())


def _made(app: App, name: str, declared: DeclaredGuard, fields: bytes, endpoints: Endpoints) -> Guard:
    terms = Terms(
        name,
        declared.deadline,
        declared.on_failure == "pass",
        declared.window,
        declared.hold,
        declared.concurrency,
        frozenset(declared.reasons),
    )
    if declared.call is not None:
        function = load_function(name, declared.call, app.root)
        return Guard(terms, FunctionAsker(name, function, declared.concurrency))
    endpoint = endpoints.get(declared.url or "", upstream=f"guard:{name}")
    return Guard(terms, EndpointAsker(endpoint, fields, declared.deadline), endpoint)


def _fields(app: App, declared: DeclaredGuard, environ: Mapping[str, str]) -> bytes:
    values = (
        (name, value.resolve(app.root, environ).reveal() if isinstance(value, SecretReference) else value)
        for name, value in declared.headers.items()
    )
    return field_lines(tuple(values))
