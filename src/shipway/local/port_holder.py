"""Which process listens on a port: from /proc on Linux, from `lsof` elsewhere, as far as the system lets us see."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # the kernel's TCP_LISTEN, as /proc/net/tcp writes it
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens. Of another user's process only the user may be known."""

    pid: int | None
    command: str | None
    user: str | None = None

    def __str__(self) -> str:
        if self.pid is not None:
            return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"
        return f"a process of user {self.user}" if self.user else "another process"


def port_holder(port: int) -> Holder:
    """Who listens on *port*; a Holder that knows nothing when that cannot be found out."""
    if (_PROC / "net/tcp").exists():
        return _from_proc(port)
    return _from_lsof(port)


def listening_inodes(table: str, port: int) -> dict[int, int]:
    """Socket inode → user id for each listener on *port* in the text of /proc/net/tcp or tcp6."""
    found = {}
    for row in table.splitlines()[1:]:
        fields = row.split()
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            found[int(fields[9])] = int(fields[7])
    return found


def _from_proc(port: int) -> Holder:
    owners: dict[int, int] = {}
    for name in ("net/tcp", "net/tcp6"):
        try:
            owners |= listening_inodes((_PROC / name).read_text(), port)
        except OSError:  # no IPv6
            continue
    wanted = {f"socket:[{inode}]" for inode in owners}
    for pid in _pids():
        if wanted & set(_open_files(pid)):
            return Holder(pid, _command(pid))
    return Holder(None, None, next(map(_user, owners.values()), None))


def _pids() -> Iterator[int]:
    # Highest first: a forked server's workers hold the socket too, but their parent has the lower number and is found
    # in vain by who kills it; lowest first names the parent.
    yield from sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _open_files(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:  # ended, or another user's
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue


def _command(pid: int) -> str | None:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return _shortened(b" ".join(words).decode("utf-8", "replace").strip())


def _shortened(command: str, limit: int = 100) -> str:
    visible = "".join(character if character.isprintable() else " " for character in command)
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def _user(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def _from_lsof(port: int) -> Holder:
    program = shutil.which("lsof")
    if program is None:
        return Holder(None, None)
    try:
        found = subprocess.run(
            (program, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"), capture_output=True, text=True, timeout=5
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return Holder(None, None)
    values = {line[0]: line[1:] for line in reversed(found.splitlines()) if line}
    return Holder(int(values["p"]), _shortened(values.get("c", ""))) if "p" in values else Holder(None, None)
