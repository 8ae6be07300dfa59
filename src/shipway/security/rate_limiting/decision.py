"""What a limit says of one request. It is apart from `gcra` because a compiled module can hold no structs."""

from __future__ import annotations

import msgspec


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Whether a request is admitted, and what the key has left.

    Attributes:
        limit: The burst: what `remaining` counts down from.
        remaining: Whole requests that would be admitted now, after this one.
        reset_s: Seconds until the key has all of its burst again.
        retry_after_s: Seconds until the refused cost would be admitted; 0.0 when it was.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    retry_after_s: float
