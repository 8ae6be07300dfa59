"""Becomes a child's program after tying it to its parent: `launch.py PARENT_PID PROGRAM [ARGUMENT ...]`.

Run as a file by `python -I -S`, so it may import the standard library alone. It exists because the parent-death signal
(Linux) must be asked for by the child itself, between fork and exec. `preexec_fn` would do that in a copy of a process
with threads, where any lock may be held for ever; here it happens in a fresh process, for 20 ms more at each start.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends. Does nothing where there is no prctl.

    The setting survives exec, is not inherited by fork (the guardian covers grandchildren), and is lost at a program
    with set-user-id. SIGKILL, because a signal that can be ignored would be no guarantee.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before prctl was asked
        os._exit(1)


def main(arguments: list[str]) -> None:
    parent_pid, *command = arguments
    die_with_parent(int(parent_pid))
    # Python ignores these two at its own start, and they would stay ignored in every program that it becomes.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - to become that program is what this one is for
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
