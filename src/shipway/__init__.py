"""Shipway takes a Python AI application to production and keeps it there.

This package's root holds the version and the name of the embedded gateway, which is imported when it is first asked for, so
that importing the root costs nothing.
"""

from typing import Any

__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> Any:
    if name == "Gateway":
        from shipway.gateway.middleware import Gateway

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
