"""A store of deployment state in memory, which keeps the contract of `shipway.deploy.state.Store`."""

from collections.abc import Callable

from shipway.deploy.state import Entry
from shipway.errors import ConflictError


class MemoryStore:
    """Values of one process. *moment* is called with the name of each moment at which a deployer could die."""

    def __init__(self, moment: Callable[[str], None] = lambda name: None) -> None:
        self.moment = moment
        self._entries: dict[str, Entry] = {}
        self._writes = 0

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def put(self, key: str, value: bytes, version: str | None) -> str:
        self.moment(f"before writing {key}")
        self._compare(key, version)
        self._writes += 1
        self._entries[key] = Entry(value, str(self._writes))
        self.moment(f"after writing {key}")
        return str(self._writes)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._entries if key.startswith(prefix + "/"))

    def delete(self, key: str, version: str) -> None:
        self._compare(key, version)
        del self._entries[key]

    def _compare(self, key: str, version: str | None) -> None:
        present = self._entries.get(key)
        if (present.version if present else None) != version:
            raise ConflictError(f"{key} was changed by somebody else meanwhile", "run the command again")
