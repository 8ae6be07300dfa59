"""What is not to be read as JSON."""

from __future__ import annotations

from typing import Final

import msgspec

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoders raise: for what is no JSON or not of the type asked for, what is no UTF-8, and what is nested too deeply."""
