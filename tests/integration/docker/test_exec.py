"""`shipway exec`: what is typed or piped arrives, what is printed comes back, and a terminal is one."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.integration.docker.conftest import Deployment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


class Terminal:
    """A terminal with a `shipway exec` in it."""

    def __init__(self, deployment: Deployment, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(24, 80)
        self.process = deployment.start("exec", "prod", "api", "--", *command, terminal=theirs)
        self.was_raw = False
        self._theirs = theirs
        self._said = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def expect(self, text: str) -> None:
        """Read until *text* was printed, and forget what came before it."""
        until_s = time.monotonic() + 20
        while text not in self._said:
            ready, _, _ = select.select([self._ours], [], [], 0.1)
            if ready:
                self._said += os.read(self._ours, 65536).decode()
            assert time.monotonic() < until_s, self._said
        self._said = self._said.partition(text)[2]

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self._theirs)[3] & termios.ICANON

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture(scope="module")
def deployed(module_deployment: Deployment) -> Deployment:
    done = module_deployment.deploy()
    assert done.code == 0, done.stderr
    return module_deployment


def test_what_is_piped_in_arrives_to_its_last_byte(deployed: Deployment) -> None:
    data = os.urandom(1_500_000).hex()
    ended = deployed.shipway("exec", "-i", "prod", "api", "--", "cat", stdin=data)
    assert (ended.code, ended.stdout == data, ended.stderr) == (0, True, "")


def test_unless_asked_to_it_reads_nothing_of_what_a_loop_reads(deployed: Deployment) -> None:
    loop = f"while read line; do {sys.executable} -m shipway exec prod api -- sh -c 'cat; echo '$line; done"
    ended = subprocess.run(
        ["sh", "-c", loop],
        cwd=deployed.folder,
        env={**os.environ, "DOCKER_HOST": deployed.engine.docker_host},
        input="one\ntwo\n",
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "one\ntwo\n"


def test_a_command_that_ends_does_not_wait_for_its_input(deployed: Deployment) -> None:
    process = deployed.start("exec", "-i", "prod", "api", "--", "sh", "-c", "exit 7", stdin=subprocess.PIPE)
    assert process.wait(20) == 7
    process.communicate()


def test_a_command_that_is_not_there_is_an_error(deployed: Deployment) -> None:
    ended = deployed.shipway("exec", "prod", "api", "--", "no-such-command", stdin="")
    assert ended.code == 126
    assert "no-such-command" in ended.stdout


def test_a_terminal_that_is_asked_for_but_not_there_is_said(deployed: Deployment) -> None:
    ended = deployed.shipway("exec", "-t", "prod", "api", "--", "sh", stdin="")
    assert (ended.code, "--tty needs a terminal" in ended.stderr) == (2, True)


def test_a_shell_on_a_terminal_is_as_on_ones_own(deployed: Deployment) -> None:
    terminal = Terminal(deployed, "sh")
    try:
        terminal.expect("$ ")
        assert terminal.is_raw
        terminal.type("tty; stty size\r")
        terminal.expect("/dev/pts/")
        terminal.expect("24 80")
        terminal.resize(30, 100)
        terminal.process.send_signal(signal.SIGWINCH)
        time.sleep(0.3)
        terminal.type("stty size\r")
        terminal.expect("30 100")
        terminal.type("sleep 60\r")
        time.sleep(0.3)
        terminal.type("\x03")  # Ctrl-C is for the command, not for us
        terminal.expect("$ ")
        terminal.type("exit 5\r")
        assert terminal.process.wait(20) == 5
        assert not terminal.is_raw
    finally:
        terminal.close()
