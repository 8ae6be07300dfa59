"""A deployer that dies at any moment: before and after every effect on the target, the traffic and the state.

Each case is counted out: the deployer dies at its first moment, its second, … until one run needs no more. After `resume`
all is as after a run that nobody killed, after `abort` as before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from shipway.deploy.archive import Standing
from shipway.deploy.audit import Audit, Event
from shipway.deploy.counts import Counts, whole
from shipway.deploy.journal import Journal
from shipway.deploy.layout import Layout
from shipway.deploy.operations import abort, deploy, resume, rollback
from shipway.deploy.verdict import Outcome, Verdict
from shipway.errors import LeaseHeldError, ShipwayError, StateError, TargetError
from shipway.testing.memory_store import MemoryStore
from tests.deploy.conftest import APP, MakeStage, Stage, judged


class Killed(BaseException):
    """Like SIGKILL, nothing handles it."""


@dataclass
class Fuse:
    """Kills at the moment of this number."""

    left: int
    burnt: bool = False

    def __call__(self, name: str) -> None:
        # A dead deployer does nothing more, not even what a `finally` says.
        if self.burnt or self.left == 0:
            self.burnt = True
            raise Killed(name)
        self.left -= 1


@dataclass
class Fault:
    """The engine or the disk refuses once, at the moment of this number; with *lasting*, from then on."""

    left: int
    lasting: bool
    happened: bool = False

    def __call__(self, name: str) -> None:
        self.left -= 1
        if self.left == -1 or (self.left < -1 and self.lasting):
            self.happened = True
            if "writing" in name:
                raise StateError(f"cannot write: No space left on device ({name})")
            raise TargetError(f"the engine does not answer ({name})")


Act = Callable[[Stage], object]
Case = tuple[str, Act, Act]


def _nothing(stage: Stage) -> None:
    pass


def _first(stage: Stage) -> None:
    deploy(stage.site())


def _next(stage: Stage) -> None:
    stage.change("replicas = 2", "replicas = 3")
    deploy(stage.site())


def _two(stage: Stage) -> None:
    _first(stage)
    _next(stage)


def _another(stage: Stage) -> None:
    text = (stage.root / "shipway.toml").read_text()
    stage.write(text.replace("replicas = 3", "replicas = 4").replace("replicas = 2", "replicas = 3"))
    deploy(stage.site())


def _three(stage: Stage) -> None:
    _two(stage)
    _another(stage)


def _sick(stage: Stage) -> None:
    stage.world.sick.add(2)
    try:
        _next(stage)
    except ShipwayError:
        pass


def _failing(stage: Stage) -> None:
    stage.world.bad[2] = 1.0
    try:
        _next(stage)
    except ShipwayError:
        pass


def _damaged(stage: Stage) -> None:
    _first(stage)
    stage.world.running[1] = {"api": 1}


def _back(stage: Stage) -> None:
    rollback(stage.site(), None)


def _left(stage: Stage) -> None:
    """Three releases of which the second was left for the first."""
    _two(stage)
    rollback(stage.site(), 1)
    _another(stage)


def _crowding_out(stage: Stage) -> None:
    stage.change("retain = 3", "retain = 2")
    deploy(stage.site())


def _grown(stage: Stage) -> None:
    stage.change("replicas = 4", "replicas = 5")
    deploy(stage.site())


CASES: dict[str, Case] = {
    "first deploy": ("rolling", _nothing, _first),
    "rolling": ("rolling", _first, _next),
    "blue_green": ("blue_green", _first, _next),
    "blue_green over a standby": ("blue_green", _two, _another),
    "canary": ("canary", _first, _next),
    "retention": ("rolling", _three, _grown),
    "retention of what was left": ("rolling", _left, _crowding_out),
    "repair": ("rolling", _damaged, _first),
    "rollback": ("rolling", _two, _back),
    "rollback to a standby": ("blue_green", _two, _back),
    "release that is never healthy": ("rolling", _first, _sick),
    "release that fails outright": ("canary", _first, _failing),
}


@dataclass(frozen=True)
class End:
    """Where an environment is, as far as its users can tell."""

    layout: Layout
    standing: Standing


def _end(stage: Stage) -> End:
    assert stage.site().unfinished() is None
    return End(stage.world.layout(), stage.site().standing)


def _stage(make_stage: MakeStage, case: str) -> Stage:
    strategy, before, _ = CASES[case]
    stage = _quick(make_stage, strategy)
    before(stage)
    return stage


def _quick(make_stage: MakeStage, strategy: str) -> Stage:
    """With holds of two looks, as every look is a moment to die at."""
    times = 'watch = "300ms"' if strategy != "canary" else 'watch = "300ms"\nmin_time = "300ms"'
    table = f'[environments.prod.rollout]\nstrategy = "{strategy}"\n{times}\n'
    stage = make_stage(text=APP.replace('rollout = "STRATEGY"', table))
    stage.judge = judged(Outcome.PROMOTE)
    return stage


def _is_killed_at(stage: Stage, act: Act, number: int) -> bool:
    """Whether a deployer that dies at moment *number* got that far."""
    fuse = Fuse(number)
    assert isinstance(stage.store, MemoryStore)
    stage.world.moment = stage.store.moment = fuse
    try:
        act(stage)
    except Killed:
        pass
    stage.world.moment = stage.store.moment = lambda name: None
    stage.time.advance(31)  # its lease expires
    return fuse.burnt


@pytest.mark.parametrize("case", CASES)
def test_resume_finishes_what_was_begun(make_stage: MakeStage, case: str) -> None:
    act = CASES[case][2]
    whole = _stage(make_stage, case)
    unharmed = _end(whole)
    act(whole)
    number = 0
    while _is_killed_at(stage := _stage(make_stage, case), act, number):
        begun = stage.site(by="bob").unfinished() is not None
        try:
            resume(stage.site(by="bob"))
        except ShipwayError:
            assert "release that" in case  # the resumed rollout takes the bad release back, as the first one would have
        # Before the journal has an entry nothing was done.
        assert _end(stage) == (_end(whole) if begun else _either(stage, unharmed, whole)), f"moment {number}"
        number += 1
    assert number > 8
    assert _end(stage) == _end(whole)


@pytest.mark.parametrize("case", CASES)
def test_abort_restores_what_was_before(make_stage: MakeStage, case: str) -> None:
    act = CASES[case][2]
    unharmed = _end(_stage(make_stage, case))
    act(whole := _stage(make_stage, case))
    before = _end(whole) if case == "repair" else unharmed  # nobody wants damage back
    number = 0
    while _is_killed_at(stage := _stage(make_stage, case), act, number):
        began = stage.site().unfinished()
        abort(stage.site(by="bob"))
        assert _end(stage) == (before if began else _either(stage, unharmed, whole)), f"moment {number}"
        number += 1
    assert number > 8


@pytest.mark.parametrize("case", ["first deploy", "blue_green", "canary", "rollback"])
def test_an_abort_that_dies_is_finished_by_resume(make_stage: MakeStage, case: str) -> None:
    act = CASES[case][2]
    before = _end(_stage(make_stage, case))
    moments = 0
    while _is_killed_at(_stage(make_stage, case), act, moments):
        moments += 1
    act(whole := _stage(make_stage, case))
    number, finished_aborts = 0, 0
    while True:
        stage = _stage(make_stage, case)
        _is_killed_at(stage, act, moments * 2 // 3)
        if not _is_killed_at(stage, lambda one: abort(one.site()), number):
            break
        entry = stage.site().unfinished()
        was_abort = entry is None or entry.kind == "abort"
        resume(stage.site())
        assert _end(stage) == (before if was_abort else _end(whole)), f"moment {number}"
        finished_aborts += was_abort
        number += 1
    assert finished_aborts > 8


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("case", ["first deploy", "blue_green", "canary", "rollback", "release that is never healthy"])
def test_an_engine_or_disk_that_refuses_at_any_moment_leaves_what_can_be_finished_or_taken_back(
    make_stage: MakeStage, case: str, lasting: bool
) -> None:
    act = CASES[case][2]
    before = _end(_stage(make_stage, case))
    act(whole := _stage(make_stage, case))
    number = 0
    while True:
        ends = []
        for recover in (resume, abort):
            stage = _stage(make_stage, case)
            assert isinstance(stage.store, MemoryStore)
            stage.world.moment = stage.store.moment = fault = Fault(number, lasting)
            hint = None
            try:
                act(stage)
            except ShipwayError as error:
                hint = error.hint
            stage.world.moment = stage.store.moment = lambda name: None
            stage.time.advance(31)  # the lease could not be released on a full disk
            begun = stage.site().unfinished() is not None
            # A case of a release that is found wanting keeps its error to itself.
            assert not begun or "release that" in case or "shipway resume prod, or: shipway abort prod" in (hint or "")
            try:
                recover(stage.site())
            except ShipwayError:
                assert "release that" in case
            ends.append((begun, _end(stage)))
        if not fault.happened:
            break
        for (begun, end), wanted in zip(ends, (_end(whole), before), strict=True):
            # Without an entry nothing was done, all was, or it was taken back by itself.
            assert end == wanted or (not begun and end in (before, _end(whole))), f"moment {number}"
        number += 1
    assert number > 8


def test_what_was_lost_since_the_crash_is_started_again_by_resume(make_stage: MakeStage) -> None:
    act = CASES["canary"][2]
    act(whole := _stage(make_stage, "canary"))
    number = 0
    while _is_killed_at(stage := _stage(make_stage, "canary"), act, number):
        entry = stage.site().unfinished()
        if entry is not None and stage.world.front == (1, 2) and entry.kind == "deploy":
            stage.world.running[2] = {"api": 1}  # the engine was restarted, and not all came back
            resume(stage.site())
            assert _end(stage) == _end(whole), f"moment {number}"
        number += 1


def test_a_resumed_canary_keeps_its_evidence(make_stage: MakeStage) -> None:
    stage = make_stage(text=APP.replace('rollout = "STRATEGY"', 'rollout = { strategy = "canary", min_time = "60s" }'))
    stage.judge = judged(Outcome.NOT_ENOUGH_EVIDENCE)
    _first(stage)
    _is_killed_at(stage, _next, 150)
    entry = stage.site().unfinished()
    assert entry is not None
    assert entry.watched.elapsed_s > 10
    seen: list[tuple[Counts, float]] = []

    def judge(counts: Counts, elapsed_s: float) -> Verdict:
        seen.append((counts, elapsed_s))
        return judged(Outcome.PROMOTE)(counts, elapsed_s)

    stage.judge = judge
    resume(stage.site(by="bob"))
    counts, elapsed_s = seen[0]
    kept = whole(entry.watched.counts.of("availability"))
    assert whole(counts.of("availability")).canary.total == kept.canary.total + 50
    assert elapsed_s == pytest.approx(entry.watched.elapsed_s, abs=1)
    ended = Journal(stage.store, stage.site().folder).read()
    assert ended is not None
    assert ended.done


def test_the_environment_of_a_dead_deployer_is_held_until_its_lease_expires(make_stage: MakeStage) -> None:
    stage = _stage(make_stage, "rolling")
    _is_killed_at(stage, _next, 12)
    stage.time.advance(-31)
    with pytest.raises(LeaseHeldError, match=r"prod is being changed by ann, since 20.*Z \(\d+ s ago\)"):
        resume(stage.site(by="bob"))
    assert resume(stage.site(by="bob"), take_over=True) is not None
    events = [event.what for event in _audit(stage)]
    assert any("took over the lease of ann" in what and "which was still held" in what for what in events)


def test_a_rollback_needs_no_resume_first(make_stage: MakeStage) -> None:
    number = 0
    while _is_killed_at(stage := _stage(make_stage, "blue_green over a standby"), _another, number):
        rollback(stage.site(by="bob"), 1)
        end = _end(stage)
        assert (end.layout.shares, end.layout.front, end.standing.current) == ({1: 1.0}, (1,), 1), f"moment {number}"
        number += 1
    assert number > 8


@pytest.mark.parametrize("case", ["blue_green over a standby", "rolling", "canary"])
def test_a_rollback_without_a_name_goes_to_what_served_before_the_unfinished_rollout(
    make_stage: MakeStage, case: str
) -> None:
    number, begun = 0, 0
    while True:
        stage = _stage(make_stage, case)
        before = stage.site().standing.current
        if not _is_killed_at(stage, CASES[case][2], number):
            break
        if stage.site().unfinished() is not None:
            rollback(stage.site(by="bob"), None)
            end = _end(stage)
            assert (end.layout.shares, end.standing.current) == ({before: 1.0}, before), f"moment {number}"
            begun += 1
        number += 1
    assert begun > 8


def _audit(stage: Stage) -> list[Event]:
    return Audit(stage.store, stage.site().folder, "test", stage.time.clock).events()


def _either(stage: Stage, before: End, whole: Stage) -> End:
    """Without an entry in the journal nothing was done yet, or all was."""
    return before if stage.world.layout() == before.layout else _end(whole)
