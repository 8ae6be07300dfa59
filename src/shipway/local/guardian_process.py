"""The guardian: a small process that ends the children's process groups if `shipway up` ends without doing so itself.

Run as a file by `python -I -S`, so it may import the standard library alone. On stdin come lines from `shipway up`:
`+PGID` (watch over this group), `-PGID` (it is gone) and `bye` (all was ended in order). The end of input without `bye`
means that `shipway up` was killed: each group still known gets SIGTERM and, shortly after, SIGKILL.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

TERMINATE_S = 2.0
"""From SIGTERM to SIGKILL. Short: the program that they belonged to is gone, and its port is wanted again."""
_POLL_S = 0.05


def signal_group(group: int, number: int) -> bool:
    """Send signal *number* (0: only look) to a process group. Returns whether it still has a member."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS answers so for a group of zombies
        return False
    return True


def end_groups(groups: Iterable[int], terminate_s: float = TERMINATE_S) -> None:
    """SIGTERM to all, then SIGKILL to those that are still there after *terminate_s*."""
    left = {group for group in groups if signal_group(group, signal.SIGTERM)}
    deadline_s = time.monotonic() + terminate_s
    while left and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        left = {group for group in left if signal_group(group, 0)}
    for group in left:
        signal_group(group, signal.SIGKILL)


def main() -> None:
    # Ours is to outlive whatever ends the others.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        word = line.strip()
        if word == b"bye":
            return
        if not line.endswith(b"\n"):  # cut off in the middle: a wrong number would hit a stranger
            break
        (groups.add if word.startswith(b"+") else groups.discard)(int(word[1:]))
    end_groups(groups)


if __name__ == "__main__":
    main()
