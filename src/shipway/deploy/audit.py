"""What was done to an environment, by whom and when: one record each, never changed."""

import msgspec

from shipway.deploy import records
from shipway.deploy.clock import Clock
from shipway.deploy.state import Store


class Event(msgspec.Struct, frozen=True):
    """One thing that was done. `at` is UTC, ISO 8601."""

    at: str
    by: str
    what: str


class Audit:
    """The events of one environment, whose folder in the store is *folder*."""

    def __init__(self, store: Store, folder: str, by: str, clock: Clock) -> None:
        self._store = store
        self._folder = f"{folder}/audit"
        self._by = by
        self._clock = clock

    def note(self, what: str) -> None:
        records.append(self._store, self._folder, Event(self._clock.stamp(), self._by, what))

    def events(self) -> list[Event]:
        """All of them, the oldest first."""
        found = [records.read(self._store, key, Event) for key in self._store.keys(self._folder)]
        return [one.value for one in found if one is not None]
