"""Secrets on the engine: files in a volume of their own, written and read over the engine's socket and nowhere else."""

import secrets as random
import threading
from collections.abc import Mapping, Set

from shipway.deploy.build import USER
from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.faults import BusyError
from shipway.deploy.releases import SECRETS_FOLDER
from shipway.deploy.targets.docker.names import Names, role_of
from shipway.deploy.targets.docker.specification import store_container
from shipway.errors import TargetError

ADMIN_TOKEN = "admin-token"  # noqa: S105 - the name of a file
APP_KEY = "app-key"
"""The key with which services of the app ask the gateway for models."""


class SecretStore:
    """The files of `SECRETS_FOLDER`. Made when first written to; a container that never runs is the way in."""

    def __init__(self, engine: Engine, names: Names) -> None:
        self._engine = engine
        self._names = names
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def open(self, image_id: str) -> None:
        """Have the volumes exist, and the way into them; the image is one of ours that is here."""
        if self._exists():
            return
        for volume in (self._names.secrets_volume, self._names.state_volume):
            self._engine.create_volume(volume, self._names.labelled("volume"))
        try:
            self._engine.create(self._names.store, store_container(self._names, image_id))
        except BusyError:
            if not self._exists():
                raise TargetError(
                    f"a container that is not ours is called {self._names.store}",
                    f"docker rename {self._names.store} ANOTHER",
                ) from None
        for name in (ADMIN_TOKEN, APP_KEY):
            if self.read(name) is None:
                self.write({name: random.token_urlsafe(32)})

    def write(self, files: Mapping[str, str]) -> None:
        """Put values under their names, readable for the gateway alone."""
        if files:
            content = {
                f"{SECRETS_FOLDER}/{name}": value.encode("utf-8", "surrogatepass") for name, value in files.items()
            }
            self._engine.put_files(self._names.store, content, owner=USER)

    def read(self, name: str) -> str | None:
        """The value under *name*, if there is one. It never changes, and the engine takes 100 ms: it is asked for all at once."""
        with self._lock:
            if name not in self._known:
                files = self._engine.get_folder(self._names.store, SECRETS_FOLDER)
                self._known |= {file: data.decode("utf-8", "surrogatepass") for file, data in files.items()}
            return self._known.get(name)

    def needed(self, name: str) -> str:
        """The value under *name*. Raises: TargetError, when there is none."""
        value = self.read(name)
        if value is None:
            raise TargetError(f"the secret {name} is not on the engine any more", "shipway deploy it anew")
        return value

    def names(self) -> list[str]:
        """The names under which there are values."""
        return self._engine.list_folder(self._names.store, SECRETS_FOLDER)

    def keep_only(self, names: Set[str]) -> None:
        """Remove every value that is not under one of *names*, but for the environment's own."""
        unneeded = [name for name in self.names() if name not in names and name not in (ADMIN_TOKEN, APP_KEY)]
        store = self._engine.container(self._names.store)
        if not unneeded or store is None:
            return
        # Files of a volume go away only from within a container that runs.
        body = store_container(self._names, store.image_id)
        paths = [f"{SECRETS_FOLDER}/{name}" for name in unneeded]
        self._engine.run_once({**body, "User": "0:0", "Entrypoint": ["rm", "-f", "--"], "Cmd": paths})
        with self._lock:
            for name in unneeded:
                self._known.pop(name, None)

    def _exists(self) -> bool:
        container = self._engine.container(self._names.store)
        return container is not None and role_of(container.labels) == "store"
