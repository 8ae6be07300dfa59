"""What is being done to an environment, written before it is done, so that a crash leaves something to go on from.

One record for each environment. Each write names the version that it replaces, so that a process whose rollout was
taken over by another fails at its next step and does no more.
"""

from typing import Literal

import msgspec

from shipway.deploy import records
from shipway.deploy.archive import Standing
from shipway.deploy.counts import Watched
from shipway.deploy.layout import Layout
from shipway.deploy.releases import release_name
from shipway.deploy.state import Store
from shipway.deploy.steps import Step
from shipway.errors import ConflictError, LeaseLostError

Kind = Literal["deploy", "rollback", "promote", "repair", "abort"]


class Entry(msgspec.Struct, frozen=True):
    """One change of an environment.

    Attributes:
        release: Where it leads; None when nothing is to run afterwards.
        before: What was there before it began, which `abort` restores; *stood* is the same of the state.
        at: Index of the step that is being done; all before it are done.
        done: Whether all are.
        token: The lease's, of whoever does it.
        watched: What a canary's verdict was reached on when it was last noted.
        began: UTC, ISO 8601.
    """

    kind: Kind
    release: int | None
    before: Layout
    stood: Standing
    goal: Layout
    steps: tuple[Step, ...]
    by: str
    began: str
    token: int
    at: int = 0
    done: bool = False
    watched: Watched = Watched()

    @property
    def remaining(self) -> tuple[Step, ...]:
        return () if self.done else self.steps[self.at :]

    def describe(self, *, goes_on: bool = False) -> str:
        """What it is and how far it came; *goes_on* while somebody is at it."""
        what = f"the {self.kind} of {release_name(self.release)}" if self.release else "the removal of everything"
        step = (
            f"step {self.at + 1} of {len(self.steps)}: {self.steps[self.at].describe()}"
            if self.remaining
            else "its end"
        )
        return f"{what}, begun {self.began} by {self.by}, {'is' if goes_on else 'stopped'} at {step}"


class Journal:
    """The journal of one environment, whose folder in the store is *folder*."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._key = f"{folder}/journal"
        self._environment = folder.rpartition("/")[2]
        self._version: str | None = None
        self.last: Entry | None = None
        """What this process last read or wrote; somebody else may have written since."""

    def read(self) -> Entry | None:
        """What was last done or begun."""
        found = records.read(self._store, self._key, Entry)
        self._version = found.version if found else None
        self.last = found.value if found else None
        return self.last

    def unfinished(self) -> Entry | None:
        """What was begun and is not done."""
        entry = self.read()
        return None if entry is None or entry.done else entry

    def write(self, entry: Entry) -> Entry:
        """Note *entry*, in place of what `read` or the last `write` left. Raises: LeaseLostError, StateError."""
        try:
            self._version = records.write(self._store, self._key, entry, self._version)
        except ConflictError:
            raise LeaseLostError(
                f"somebody else took the rollout in {self._environment} over; nothing more was done here",
                f"shipway releases {self._environment}",
            ) from None
        self.last = entry
        return entry

    def advance(self, entry: Entry, at: int) -> Entry:
        """Note that the steps before *at* are done."""
        return self.write(msgspec.structs.replace(entry, at=at))

    def keep(self, watched: Watched) -> None:
        """Note what was counted, with what this process is at. Raises: LeaseLostError, StateError."""
        if self.last is not None:
            self.write(msgspec.structs.replace(self.last, watched=watched))

    def finish(self, entry: Entry) -> Entry:
        return self.write(msgspec.structs.replace(entry, at=len(entry.steps), done=True))
