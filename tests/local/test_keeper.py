"""The life of one child, with real processes."""

import asyncio
import os
import signal
import time

import pytest

from shipway.errors import StartError
from shipway.local.addresses import Address, listening_socket
from shipway.local.backoff import Backoff
from shipway.local.children import Child
from shipway.local.keeper import Keeper
from shipway.local.probes import AnswersHttp, GeneratesToken, ProbeError
from tests.local.conftest import Groups, MakeSpec, Reports, Run, gone
from tests.waiting import until

SLEEP = "time.sleep(60)"
SOON = Backoff(first_s=0.01, longest_s=0.05)


async def test_a_child_is_ready_when_its_probe_says_so(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    running = run(
        Keeper(make_spec("time.sleep(0.2); listener.accept(); print('probed'); time.sleep(60)"), groups, reports)
    )

    await running.ready()

    assert len(running.keeper.pids) == 1
    assert set(running.keeper.pids) == groups.watched


async def test_each_child_leads_a_session_of_its_own(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    running = run(Keeper(make_spec(SLEEP), groups, reports))
    await running.ready()
    (pid,) = running.keeper.pids

    assert os.getsid(pid) == os.getpgid(pid) == pid != os.getsid(0)


async def test_a_child_that_exits_while_starting_shows_its_last_lines(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    code = "print('one'); print('two', file=sys.stderr); sys.exit(3)"
    running = run(Keeper(make_spec(code, before="import sys\n"), groups, reports))

    with pytest.raises(StartError) as caught:
        await running.ready()

    first, *lines = caught.value.message.split("\n")
    assert first == "child exited with status 3 before it was ready"
    assert sorted(lines) == ["  one", "  two"]
    assert groups.watched == set()


async def test_a_start_has_a_deadline(make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run) -> None:
    running = run(Keeper(make_spec(SLEEP, before="import time\n", start_s=0.4), groups, reports))

    with pytest.raises(StartError, match=r"child was not ready within 0\.4 s \(nothing listens on 127\.0\.0\.1:\d+\)"):
        await running.ready()

    assert running.keeper.pids == ()
    assert gone(groups.ever[0])


async def test_a_program_that_does_not_exist_is_said_so(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    spec = make_spec("")
    broken = type(spec)(**{**vars(spec), "argv": ("no-such-program",)})

    with pytest.raises(StartError, match="cannot run no-such-program: No such file"):
        await run(Keeper(broken, groups, reports)).ready()


async def test_a_crashed_child_is_restarted_and_said_so(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    running = run(Keeper(make_spec(SLEEP), groups, reports, SOON))
    await running.ready()
    (first,) = running.keeper.pids

    os.kill(first, signal.SIGKILL)
    await reports.until("restarted")

    assert gone(first)
    (second,) = running.keeper.pids
    assert second != first
    assert groups.watched == {second}
    restarting = await reports.until("restarting")
    assert restarting.message == "child was ended by SIGKILL; starting it again in 0.01 s"
    assert restarting.fields == {"child": "child", "failures": 1, "delay_s": 0.01}


async def test_a_child_that_keeps_crashing_is_retried_after_longer_and_longer(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    code = """
        if os.path.exists("crash"):
            sys.exit(1)
        open("crash", "w").close()
        listener.accept()
    """
    run(Keeper(make_spec(code), groups, reports, Backoff(first_s=0.01, longest_s=0.03)))

    await reports.until("restarting", 4)

    delays = [event.fields["delay_s"] for event in reports.events if event.kind == "restarting"]
    assert delays[:4] == [0.01, 0.02, 0.03, 0.03]


async def test_a_child_that_stops_answering_is_restarted(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    code = """
        while not os.path.exists("stuck"):
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
            connection.close()
        os.remove("stuck")
        time.sleep(60)
    """
    spec = make_spec(code, probe=AnswersHttp("/"), interval_s=0.05)
    running = run(Keeper(spec, groups, reports, SOON))
    await running.ready()
    (first,) = running.keeper.pids

    (spec.cwd / "stuck").touch()
    unhealthy = await reports.until("unhealthy")
    await reports.until("restarted")

    assert unhealthy.message == "child failed 2 health checks: restarting it"
    assert gone(first)


async def test_a_first_probe_that_hangs_is_named_and_not_the_one_before(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    spec = make_spec("time.sleep(60)", probe=AnswersHttp("/health"), start_s=3.0)

    with pytest.raises(StartError, match=r"not ready within 3 s \(no answer for [1-3] s: GET /health\)"):
        await run(Keeper(spec, groups, reports)).ready()


async def test_stopping_asks_first(make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), os._exit(0))); time.sleep(60)"
    running = run(Keeper(make_spec(code), groups, reports))
    await running.ready()
    await until(lambda: "listening" in reports.texts)
    await asyncio.sleep(0.1)

    await running.stop()

    assert reports.texts[-1] == "bye"
    assert groups.watched == set()


async def test_what_does_not_listen_is_killed_after_its_time(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    running = run(Keeper(make_spec(code), groups, reports))
    await running.ready()
    await until(lambda: "deaf" in reports.texts)
    (pid,) = running.keeper.pids

    began_s = time.monotonic()
    await running.stop(0.3)

    assert 0.3 <= time.monotonic() - began_s < 3
    assert gone(pid)


async def test_killing_ends_a_stop_that_is_waiting(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    running = run(Keeper(make_spec(code), groups, reports))
    await running.ready()
    await until(lambda: "deaf" in reports.texts)

    stopping = asyncio.create_task(running.stop(60))
    await asyncio.sleep(0.1)
    running.keeper.kill()

    await asyncio.wait_for(stopping, 5)


async def test_what_a_crashed_child_left_behind_is_ended(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    code = """
        import subprocess
        left = subprocess.Popen(["sleep", "60"])
        print("left", left.pid, flush=True)
        time.sleep(60)
    """
    running = run(Keeper(make_spec(code), groups, reports, SOON))
    await running.ready()
    await until(lambda: any(text.startswith("left") for text in reports.texts))
    left = int(next(text for text in reports.texts if text.startswith("left")).split()[1])

    os.kill(running.keeper.pids[0], signal.SIGKILL)
    await reports.until("restarted")

    assert gone(left)


async def test_a_requested_replacement_stops_the_old_one_first(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    running = run(Keeper(make_spec(SLEEP), groups, reports))
    await running.ready()
    (first,) = running.keeper.pids

    running.keeper.replace()
    await reports.until("restarted")

    assert gone(first)
    assert reports.kinds == ["reloading", "restarted"]


async def test_a_change_of_files_cuts_a_long_wait_short(
    make_spec: MakeSpec, reports: Reports, groups: Groups, run: Run
) -> None:
    running = run(Keeper(make_spec(SLEEP), groups, reports, Backoff(first_s=60, longest_s=60)))
    await running.ready()
    os.kill(running.keeper.pids[0], signal.SIGKILL)
    await reports.until("restarting")

    running.keeper.replace()

    await reports.until("restarted")


async def test_a_child_that_floods_waits_and_grows_nothing(make_spec: MakeSpec, groups: Groups) -> None:
    class Slow(Reports):
        async def line(self, source: str, stream: str, text: str) -> None:
            await asyncio.sleep(0.01)
            await super().line(source, stream, text)

    reports = Slow()
    code = """
        for number in range(100_000_000):
            print(number, "x" * 100)
    """
    child = await Child.start(make_spec(code), groups, reports)
    await until(lambda: len(reports.lines) > 20)
    written_before = _written_bytes(child.pid)
    await asyncio.sleep(0.5)
    written_after = _written_bytes(child.pid)
    child.kill()
    await child.ended()

    # Some 50 lines were shown meanwhile; had nobody held it back, it would have written megabytes.
    assert written_after - written_before < 300_000


def _written_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/io") as io:
        return next(int(row.split()[1]) for row in io if row.startswith("wchar"))


async def test_a_partial_line_is_shown_after_a_moment(make_spec: MakeSpec, reports: Reports, groups: Groups) -> None:
    child = await Child.start(
        make_spec("sys.stdout.write('name? '); sys.stdout.flush(); time.sleep(60)"), groups, reports
    )

    await until(lambda: "name? " in reports.texts)

    child.kill()
    await child.ended()


async def test_an_answer_may_come_in_pieces() -> None:
    """As the slots of a model server do, which are more than one segment when there are many."""
    answers = {b"GET /health": [b"ok"], b"GET /slots": [b'[{"is_proc', b'essing": true}]']}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for piece in answers[head.partition(b" HTTP")[0]]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        await GeneratesToken()(Address(*server.sockets[0].getsockname()))


async def test_probes_say_what_is_wrong() -> None:
    with listening_socket() as listener:
        listener.setblocking(True)
        address = Address(*listener.getsockname())

        async def probe_answered_with(answer: bytes) -> str:
            def answer_once() -> None:
                connection, _ = listener.accept()
                connection.recv(1000)
                connection.sendall(answer)
                connection.close()

            serving = asyncio.create_task(asyncio.to_thread(answer_once))
            try:
                await AnswersHttp("/health")(address)
            except ProbeError as error:
                return str(error)
            finally:
                await serving
            return "fine"

        assert await probe_answered_with(b"HTTP/1.1 204 No Content\r\n\r\n") == "fine"
        assert await probe_answered_with(b"HTTP/1.1 503 Busy\r\n\r\n") == "GET /health was answered with 503"
        assert await probe_answered_with(b"SSH-2.0-x\r\n") == "GET /health was not answered in HTTP"
        assert await probe_answered_with(b"") == "GET /health was not answered in HTTP"
