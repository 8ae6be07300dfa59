"""One run a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shipway.errors import AlreadyRunningError
from shipway.local.run_lock import RunLock, is_alive


def test_the_second_is_told_who_runs(tmp_path: Path) -> None:
    with RunLock(tmp_path / "lock"), pytest.raises(AlreadyRunningError) as caught, RunLock(tmp_path / "lock"):
        pass

    assert caught.value.message == f"`shipway up` runs here already: process {os.getpid()}"
    assert caught.value.hint == f"stop it first: kill {os.getpid()}"


def test_a_lock_is_free_again_after_its_owner(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLock(tmp_path / "lock"):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_run_waits_for_the_guardian_of_a_killed_one(tmp_path: Path) -> None:
    with RunLock(tmp_path / "lock") as lock:
        guardian = subprocess.Popen(("sleep", "0.4"), pass_fds=(lock.fd,))
        dead = subprocess.Popen((sys.executable, "-I", "-S", "-c", ""))
        dead.wait()
        (tmp_path / "lock").write_text(f"{dead.pid}\n")

    with RunLock(tmp_path / "lock"):
        assert guardian.poll() is not None


def test_zombies_are_not_alive() -> None:
    child = subprocess.Popen(("true",))
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert is_alive(os.getpid())
    assert not is_alive(child.pid)
    child.wait()
