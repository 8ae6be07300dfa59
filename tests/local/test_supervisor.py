"""Stages: the order of coming and going, and the budget of the end."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.errors import StartError
from shipway.local.supervisor import MARGIN_S, Stage, Supervisor, stage_limit_s, stop_budget_s
from tests.local.conftest import Groups, MakeSpec, Reports
from tests.waiting import until

POLITE = """
    def leave(*_):
        print("left", flush=True)
        os._exit(0)
    signal.signal(signal.SIGTERM, leave)
    print("up", flush=True)
    time.sleep(60)
"""


@given(
    st.lists(st.floats(min_value=0, max_value=100), min_size=1, max_size=4),
    st.lists(st.floats(min_value=0, max_value=1), min_size=4, max_size=4),
)
def test_the_end_never_takes_longer_than_its_budget(drains: list[float], shares: list[float]) -> None:
    budget_s = left_s = max(drains) + MARGIN_S
    for number, drain_s in enumerate(drains):
        limit_s = stage_limit_s(drain_s, left_s, len(drains) - number - 1)
        assert 0 <= limit_s <= drain_s + 1
        left_s -= limit_s * shares[number]
    assert -1e-9 <= left_s <= budget_s


def test_a_stage_that_needed_all_its_time_leaves_some_for_the_next() -> None:
    gateway_s = stage_limit_s(30, 35, 2)

    assert gateway_s == 31
    assert stage_limit_s(30, 35 - gateway_s, 1) == 3
    assert stage_limit_s(3, 1, 0) == 1


async def _started(supervisor: Supervisor) -> "asyncio.Task[None]":
    task = asyncio.create_task(supervisor.run())
    ready = asyncio.create_task(supervisor.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if task.done():
        task.result()
    return task


async def _stop(supervisor: Supervisor, task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await supervisor.stop()


async def test_stages_start_one_after_the_other_and_leave_in_their_order(
    make_spec: MakeSpec, reports: Reports, groups: Groups
) -> None:
    stages = [
        Stage("the models", (make_spec(POLITE, name="model"),), leaves=2),
        Stage("the gateway", (make_spec(POLITE, name="gateway"),), leaves=0),
        Stage("the services", (make_spec(POLITE, name="a"), make_spec(POLITE, name="b")), leaves=1),
    ]
    supervisor = Supervisor(stages, groups, reports)

    task = await _started(supervisor)
    await until(lambda: reports.texts.count("up") == 4)
    await _stop(supervisor, task)

    came = [line.source for line in reports.lines if line.text == "listening"]
    left = [line.source for line in reports.lines if line.text == "left"]
    assert came[:2] == ["model", "gateway"]
    assert set(came[2:]) == {"a", "b"}
    assert (left[0], set(left[1:3]), left[3]) == ("gateway", {"a", "b"}, "model")
    assert [event.message for event in reports.events] == [
        "waiting for the models: model",
        "waiting for the gateway",
        "waiting for the services: a, b",
    ]
    assert groups.watched == set()


async def test_services_start_together(make_spec: MakeSpec, reports: Reports, groups: Groups) -> None:
    # Each becomes ready only when the other has come this far.
    def after_the_other(mine: str, other: str) -> str:
        return f"""
            import os, time
            open({mine!r}, "w").close()
            while not os.path.exists({other!r}):
                time.sleep(0.01)
        """

    a = make_spec(POLITE, name="a")
    b = make_spec(POLITE, name="b")
    specs = tuple(
        type(spec)(**{**vars(spec), "argv": (*spec.argv[:-1], _dedent(after_the_other(mine, other)) + spec.argv[-1])})
        for spec, mine, other in ((a, "a", "b"), (b, "b", "a"))
    )
    supervisor = Supervisor([Stage("the services", specs, leaves=0)], groups, reports)

    task = await asyncio.wait_for(_started(supervisor), 20)

    await _stop(supervisor, task)


def _dedent(code: str) -> str:
    import textwrap

    return textwrap.dedent(code)


async def test_one_failed_start_ends_the_whole_start(make_spec: MakeSpec, reports: Reports, groups: Groups) -> None:
    stages = [
        Stage("the gateway", (make_spec(POLITE, name="gateway"),), leaves=0),
        Stage("the services", (make_spec("sys.exit(1)", name="broken", before="import sys\n"),), leaves=1),
    ]
    supervisor = Supervisor(stages, groups, reports)

    with pytest.raises(StartError, match=r"broken exited with status 1 before it was ready \(it wrote nothing\)"):
        await _started(supervisor)

    assert not supervisor.ready.is_set()
    assert len(groups.watched) == 1
    await supervisor.stop()
    assert groups.watched == set()


async def test_a_deaf_child_does_not_hold_up_the_end_beyond_the_budget(
    make_spec: MakeSpec, reports: Reports, groups: Groups
) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    stages = [
        Stage("the gateway", (make_spec(deaf, name="gateway", drain_s=0.2),), leaves=0),
        Stage("the services", (make_spec(deaf, name="a", drain_s=0.1),), leaves=1),
    ]
    supervisor = Supervisor(stages, groups, reports)
    task = await _started(supervisor)
    await until(lambda: reports.texts.count("up") == 2)

    began_s = time.monotonic()
    await _stop(supervisor, task)

    assert time.monotonic() - began_s < stop_budget_s(stages)
    assert groups.watched == set()
