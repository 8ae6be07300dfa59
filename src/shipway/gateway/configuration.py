"""The configuration in use: the app file compiled, replaced whole when it changes, and the live weights of releases.

A file that is broken changes nothing: the snapshot in use stays, and the mistakes are told to whoever asked.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from shipway.errors import AppFileError, ShipwayError, UsageError
from shipway.gateway.compiling import Surroundings, compile_snapshot, declared_releases
from shipway.gateway.guards.functions import import_modules
from shipway.gateway.releases import Split
from shipway.gateway.snapshot import Snapshot
from shipway.gateway.weights_file import LiveWeights, load_weights, save_weights
from shipway.spec.app import App
from shipway.spec.load import load_app

LOOK_EVERY_S = 1.0
"""How often the app file is looked at for a change."""


class Configuration:
    """Owns the snapshot. *apply* is called with each new one, in the event loop."""

    def __init__(
        self, app: App, around: Surroundings, weights_path: Path | None, apply: Callable[[Snapshot, App], None]
    ) -> None:
        """Compile *app*. Raises: ShipwayError, when it cannot be served."""
        self.app = app
        self._around = around
        self._weights_path = weights_path
        self._apply = apply
        self._weights = LiveWeights()
        if weights_path is not None:
            loaded = load_weights(weights_path, declared_releases(app))
            self._weights = loaded.weights
            for reason in loaded.reasons:
                sys.stderr.write(f"warning: {reason}\n")
        self.snapshot = compile_snapshot(app, around, 1, self._weights.splits)
        self._started_with = _fixed_settings(app)
        self._seen = _stamp(app.source)
        self._lock = asyncio.Lock()

    async def reload(self) -> Snapshot:
        """Read the app file again and serve by it.

        Raises:
            ShipwayError: it cannot be used; the snapshot in use stays.
        """
        async with self._lock:
            self._seen = _stamp(self.app.source)
            # Validation takes tens of milliseconds, in which requests must go on.
            app = await asyncio.to_thread(load_app, self.app.source, self.app.environment)
            calls = [guard.call for guard in app.guards.values() if guard.call]
            await asyncio.to_thread(import_modules, calls, app.root)
            snapshot = compile_snapshot(app, self._around, self.snapshot.version + 1, self._weights.splits)
            self.app = app
            self._take(snapshot)
            self._around.endpoints.keep_only(snapshot.endpoints())
            self._around.providers.keep_only(snapshot.providers())
            await self._around.caches.keep_only(snapshot.caches())
            self._around.guards.keep_only(snapshot.guards())
            return snapshot

    def changed(self) -> bool:
        """Whether the app file is not as it was when it was last read; each change is worth one reload."""
        return _stamp(self.app.source) != self._seen

    def needs_restart(self) -> list[str]:
        """Settings of the app file that were changed since the start and cannot change while the gateway runs."""
        now = _fixed_settings(self.app)
        return [name for name, value in self._started_with.items() if now[name] != value]

    async def set_weights(self, target: str, weights: Mapping[str, float]) -> Snapshot:
        """Give the releases of *target* new shares of its sessions, from the next request on and across restarts.

        Raises:
            UsageError: no such target or release, or weights that cannot be.
            OSError: they could not be saved; nothing has changed.
        """
        async with self._lock:
            changed = self._reweighted(target, weights)
            live = self._weights.changed(target, changed)
            if self._weights_path is not None:
                # A disk may take its time to say that it has them; requests go on meanwhile.
                await asyncio.to_thread(_save, self._weights_path, live)
            self._weights = live
            splits = {**self.snapshot.splits, target: changed}
            self._take(replace(self.snapshot, version=self.snapshot.version + 1, splits=splits))
            return self.snapshot

    def _reweighted(self, target: str, weights: Mapping[str, float]) -> Split:
        split = self.snapshot.splits.get(target)
        if split is None:
            raise UsageError(f"{target} has no releases", hint="releases are declared in the app file")
        known = declared_releases(self.app)[target]
        unknown = sorted(set(weights) - known)
        if unknown:
            raise UsageError(
                f"{target} has no release {unknown[0]!r}", hint=f"its releases: {', '.join(sorted(known))}"
            )
        try:
            return split.reweighted(weights)
        except ValueError as error:
            raise UsageError(str(error)) from error

    @property
    def splits(self) -> Mapping[str, Split]:
        return self.snapshot.splits

    def _take(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._apply(snapshot, self.app)


def problems_of(error: ShipwayError) -> list[dict[str, str | int | None]]:
    """What is wrong with an app file, for a program."""
    if isinstance(error, AppFileError):
        return [
            {"path": one.path, "message": one.message, "hint": one.hint, "line": one.line, "column": one.column}
            for one in error.problems
        ]
    return [{"path": "", "message": error.message, "hint": error.hint, "line": None, "column": None}]


def _fixed_settings(app: App) -> dict[str, object]:
    """What is decided when the listeners are made, by its name in the app file. A certificate's content is not."""
    gateway = app.gateway
    return {
        "gateway.host": gateway.host,
        "gateway.port": gateway.port,
        "gateway.admin_host": gateway.admin_host,
        "gateway.admin_port": gateway.admin_port,
        "gateway.tls": gateway.tls,
    }


def _save(path: Path, weights: LiveWeights) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, weights)


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    """What tells a change. Of times also that of the inode: a file that becomes readable is the same otherwise."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
