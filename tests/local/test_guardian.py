"""No orphans, whoever is killed. With real processes and a real SIGKILL."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shipway.local.guardian import Guardian
from shipway.local.launch import __file__ as LAUNCHER
from tests.local.conftest import gone
from tests.waiting import until, wait_until

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent-death signal is Linux's")

PARENT = """
import asyncio, os, sys
from pathlib import Path
from shipway.local.children import Child, ChildSpec
from shipway.local.guardian import Guardian
from shipway.local.probes import AcceptsConnections
from shipway.local.addresses import Address

class Printer:
    async def line(self, source, stream, text):
        print(text, flush=True)

async def main():
    with Guardian() as guardian:
        print("guardian", guardian.pid, flush=True)
        at = Address("127.0.0.1", 1)
        spec = ChildSpec("c", ("sh", "-c", sys.argv[1]), dict(os.environ), Path.cwd(), AcceptsConnections(), at)
        child = await Child.start(spec, guardian, Printer())
        print("child", child.pid, flush=True)
        await child.ended()

asyncio.run(main())
"""


class Family:
    """A parent with a guardian and a shell as its child, which starts what *script* says."""

    def __init__(self, script: str, names: int) -> None:
        self.parent = subprocess.Popen((sys.executable, "-c", PARENT, script), stdout=subprocess.PIPE, text=True)
        assert self.parent.stdout is not None
        said = [self.parent.stdout.readline().split() for _ in range(names + 2)]
        self.pids = {name: int(pid) for name, pid in said}

    def kill(self, name: str | None = None) -> None:
        os.kill(self.parent.pid if name is None else self.pids[name], signal.SIGKILL)
        if name is None:
            self.parent.wait()

    def all_gone(self) -> bool:
        return all(map(gone, self.pids.values()))

    def __enter__(self) -> "Family":
        return self

    def __exit__(self, *_: object) -> None:
        self.parent.kill()
        self.parent.wait()
        assert self.parent.stdout is not None
        self.parent.stdout.close()
        for pid in self.pids.values():
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)


GRANDCHILD = "sleep 300 & echo grandchild $!; wait"
DEAF_GRANDCHILD = "(trap '' TERM; exec sleep 300) & echo grandchild $!; wait"


@pytest.mark.integration
def test_a_killed_parent_leaves_no_child_and_no_grandchild() -> None:
    with Family(GRANDCHILD, 1) as family:
        family.kill()

        wait_until(family.all_gone, 5)


@pytest.mark.integration
def test_what_ignores_sigterm_is_killed_shortly_after() -> None:
    with Family(DEAF_GRANDCHILD, 1) as family:
        time.sleep(0.2)
        family.kill()

        wait_until(family.all_gone, 6)


@pytest.mark.integration
def test_the_guardian_survives_what_ends_others() -> None:
    with Family(GRANDCHILD, 1) as family:
        time.sleep(0.3)  # a Python that has just begun still has the signals' default actions
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(family.pids["guardian"], number)
        family.kill()

        wait_until(family.all_gone, 5)


@LINUX
def test_a_child_ends_with_its_parent_even_without_a_guardian() -> None:
    with Family("echo other 1; exec sleep 300", 1) as family:
        family.kill("guardian")
        family.kill()

        wait_until(lambda: gone(family.pids["child"]), 5)
        del family.pids["other"]


@LINUX
def test_a_child_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-I", "-S", LAUNCHER, "1", "touch", str(tmp_path / "ran")), capture_output=True, check=False
    )

    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_a_killed_guardian_is_replaced_and_told_all() -> None:
    group = subprocess.Popen(("sleep", "300"), start_new_session=True)
    with Guardian() as guardian:
        guardian.watch(group.pid)
        first = guardian.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: gone(first))
        guardian.watch(999_999_999)
        guardian.forget(999_999_999)
        assert guardian.pid != first
    # Left with the group still known, as after an unexpected exception: the guardian ended it.
    assert group.wait(5) == -signal.SIGTERM


@pytest.mark.integration
async def test_a_killed_guardian_is_replaced_though_nothing_happens() -> None:
    group = subprocess.Popen(("sleep", "300"), start_new_session=True)  # noqa: ASYNC220 - nothing else runs yet
    with Guardian() as guardian:
        guardian.watch(group.pid)
        staying = asyncio.create_task(guardian.stay())
        first = guardian.pid
        os.kill(first, signal.SIGKILL)

        await until(lambda: guardian.pid != first)

        staying.cancel()
    assert group.wait(5) == -signal.SIGTERM


def test_a_dismissed_guardian_touches_nothing() -> None:
    group = subprocess.Popen(("sleep", "300"), start_new_session=True)
    with Guardian() as guardian:
        guardian.watch(group.pid)
        guardian.forget(group.pid)

    assert group.poll() is None
    group.kill()
    group.wait()


def test_programs_start_with_ordinary_signal_handling() -> None:
    shown = subprocess.run(
        (sys.executable, "-I", "-S", LAUNCHER, str(os.getpid()), "sh", "-c", "kill -PIPE $$"),
        capture_output=True,
        check=False,
    )

    assert shown.returncode == -signal.SIGPIPE
