"""Who may change an environment."""

import time

import pytest

from shipway.deploy.audit import Audit
from shipway.deploy.clock import Clock
from shipway.deploy.lease import Lease
from shipway.errors import LeaseHeldError, LeaseLostError
from shipway.testing.fake_clock import FakeClock
from shipway.testing.memory_store import MemoryStore

FOLDER = "shop/environments/prod"


class Scene:
    """Several people at one store, at one time."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.time = FakeClock()

    def lease(self, owner: str) -> Lease:
        audit = Audit(self.store, FOLDER, owner, self.time.clock)
        return Lease(self.store, FOLDER, owner, self.time.clock, audit)

    def events(self) -> list[str]:
        return [event.what for event in Audit(self.store, FOLDER, "", self.time.clock).events()]


def test_the_loser_is_told_who_holds_it_and_since_when() -> None:
    scene = Scene()
    scene.lease("ann on ci-7 (process 41)").acquire()
    scene.time.advance(20)
    with pytest.raises(LeaseHeldError) as error:
        scene.lease("bob").acquire()
    assert error.value.message == (
        "prod is being changed by ann on ci-7 (process 41), since 2027-01-15T08:00:00Z (20 s ago)"
    )
    assert error.value.hint == (
        "wait for it; if it is gone for good its lease ends in 10 s, or now by: shipway resume prod --take-over"
    )


def test_one_that_was_released_is_free_at_once_and_the_token_rises() -> None:
    scene = Scene()
    with scene.lease("ann") as first:
        token = first.token
    with scene.lease("bob") as second:
        assert second.token == token + 1
    assert scene.events() == []


def test_it_is_released_when_the_work_fails() -> None:
    scene = Scene()
    with pytest.raises(SystemExit), scene.lease("ann"):
        raise SystemExit(143)  # as SIGTERM does
    scene.lease("bob").acquire()


def test_one_that_has_expired_is_taken_and_that_is_noted() -> None:
    scene = Scene()
    ann = scene.lease("ann")
    ann.acquire()
    scene.time.advance(30)
    scene.lease("bob").acquire()
    assert scene.events() == ["took over the lease of ann since 2027-01-15T08:00:00Z, which had expired"]
    with pytest.raises(LeaseLostError, match="somebody else took over prod meanwhile"):
        ann.confirm()
    ann.release()
    with pytest.raises(LeaseHeldError, match="bob"):
        scene.lease("cid").acquire()


def test_one_that_is_held_can_be_taken_on_purpose() -> None:
    scene = Scene()
    scene.lease("ann").acquire()
    scene.lease("bob").acquire(take_over=True)
    assert scene.events() == ["took over the lease of ann since 2027-01-15T08:00:00Z, which was still held"]


def test_whoever_confirms_keeps_it() -> None:
    scene = Scene()
    ann = scene.lease("ann")
    ann.acquire()
    for _ in range(10):
        scene.time.advance(12)
        ann.confirm()
    with pytest.raises(LeaseHeldError, match=r"since 2027-01-15T08:00:00Z \(2 min ago\)"):
        scene.lease("bob").acquire()


def test_confirming_writes_only_when_a_third_of_the_time_is_over() -> None:
    scene = Scene()
    ann = scene.lease("ann")
    ann.acquire()
    written: list[str] = []
    scene.store.moment = written.append
    ann.confirm()
    assert written == []
    scene.time.advance(11)
    ann.confirm()
    assert written == ["before writing shop/environments/prod/lease", "after writing shop/environments/prod/lease"]


def test_a_heartbeat_keeps_it_during_long_work() -> None:
    store = MemoryStore()
    audit = Audit(store, FOLDER, "ann", Clock())
    ann = Lease(store, FOLDER, "ann", Clock(), audit, expiry_s=0.3)
    with ann, ann.heartbeat():
        time.sleep(0.8)
        with pytest.raises(LeaseHeldError):
            Lease(store, FOLDER, "bob", Clock(), audit).acquire()


def test_a_heartbeat_ends_when_somebody_took_over() -> None:
    store = MemoryStore()
    audit = Audit(store, FOLDER, "ann", Clock())
    ann = Lease(store, FOLDER, "ann", Clock(), audit, expiry_s=0.3)
    with ann, ann.heartbeat():
        Lease(store, FOLDER, "bob", Clock(), audit).acquire(take_over=True)
        time.sleep(0.4)
        with pytest.raises(LeaseLostError):
            ann.confirm()
