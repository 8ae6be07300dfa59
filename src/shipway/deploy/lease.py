"""Who may change an environment: one holder at a time, who has to keep saying that it is alive.

The record stays in the store when nobody holds it, so that its token only ever rises. A holder whose lease was taken
learns it at the next `confirm` or journal write; both happen before every step.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import msgspec

from shipway.deploy import records
from shipway.deploy.audit import Audit
from shipway.deploy.clock import Clock, ago, stamp
from shipway.deploy.state import Store
from shipway.errors import ConflictError, LeaseHeldError, LeaseLostError, StateError

EXPIRY_S = 30.0


class Holder(msgspec.Struct, frozen=True):
    """The record.

    Attributes:
        owner: Person, machine and process; None while nobody holds it.
        since_s, expires_s: Wall time.
        token: One more with each new holder.
    """

    owner: str | None
    since_s: float
    expires_s: float
    token: int


def is_held(store: Store, folder: str, now_s: float) -> bool:
    """Whether somebody is changing the environment whose folder this is."""
    found = records.read(store, f"{folder}/lease", Holder)
    return found is not None and found.value.owner is not None and now_s < found.value.expires_s


class Lease:
    """Held from `acquire` (or entering) to `release` (or leaving), also when that is by an exception."""

    def __init__(
        self, store: Store, folder: str, owner: str, clock: Clock, audit: Audit, expiry_s: float = EXPIRY_S
    ) -> None:
        """*folder* is the environment's in the store."""
        self._store = store
        self._key = f"{folder}/lease"
        self._environment = folder.rpartition("/")[2]
        self._owner = owner
        self._clock = clock
        self._audit = audit
        self._expiry_s = expiry_s
        self._held: records.Found[Holder] | None = None
        self._renewing = threading.Lock()

    @property
    def token(self) -> int:
        return self._holder.value.token

    def acquire(self, *, take_over: bool = False) -> None:
        """Become the holder.

        Args:
            take_over: Also when somebody alive holds it; that is noted in the audit, as is taking an expired lease.

        Raises:
            LeaseHeldError: Somebody else holds it.
        """
        present = records.read(self._store, self._key, Holder)
        now_s = self._clock.wall_s()
        holder = present.value if present else Holder(None, now_s, now_s, 0)
        if holder.owner is not None and now_s < holder.expires_s and not take_over:
            raise self._refusal(holder, now_s)
        mine = Holder(self._owner, now_s, now_s + self._expiry_s, holder.token + 1)
        try:
            version = records.write(self._store, self._key, mine, present.version if present else None)
        except ConflictError:
            winner = records.read(self._store, self._key, Holder)
            raise self._refusal(winner.value if winner else holder, now_s) from None
        self._held = records.Found(mine, version)
        if holder.owner is not None:
            how = "which was still held" if now_s < holder.expires_s else "which had expired"
            self._audit.note(f"took over the lease of {holder.owner} since {stamp(holder.since_s)}, {how}")

    def confirm(self) -> None:
        """Still be the holder; the record is renewed when a third of its time is over. Raises: LeaseLostError."""
        with self._renewing:
            holder = self._holder
            now_s = self._clock.wall_s()
            if now_s < holder.value.expires_s - self._expiry_s * 2 / 3:
                return
            renewed = msgspec.structs.replace(holder.value, expires_s=now_s + self._expiry_s)
            try:
                self._held = records.Found(renewed, records.write(self._store, self._key, renewed, holder.version))
            except ConflictError:
                self._held = None
                raise self._lost() from None

    def release(self) -> None:
        """Hold it no longer; nothing happens when it was lost."""
        with self._renewing:
            if self._held is None:
                return
            freed = msgspec.structs.replace(self._held.value, owner=None)
            # What cannot be written now (a full disk) expires by itself.
            with suppress(StateError):
                records.write(self._store, self._key, freed, self._held.version)
            self._held = None

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Renew in a thread meanwhile, for work that takes longer than the lease lasts."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._expiry_s / 6):
                try:
                    self.confirm()
                except LeaseLostError:
                    return
                except StateError:
                    continue  # the disk is full at present; the next beat may succeed before the lease expires

        thread = threading.Thread(target=beat, name="shipway-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def __enter__(self) -> Self:
        if self._held is None:
            self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def _holder(self) -> records.Found[Holder]:
        if self._held is None:
            raise self._lost()
        return self._held

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(
            f"somebody else took over {self._environment} meanwhile; nothing more was done here",
            f"shipway releases {self._environment}",
        )

    def _refusal(self, holder: Holder, now_s: float) -> LeaseHeldError:
        since = f"since {stamp(holder.since_s)} ({ago(now_s - holder.since_s)} ago)"
        left = ago(holder.expires_s - now_s)
        return LeaseHeldError(
            f"{self._environment} is being changed by {holder.owner or 'somebody else'}, {since}",
            f"wait for it; if it is gone for good its lease ends in {left}, or now by: "
            f"shipway resume {self._environment} --take-over",
        )
