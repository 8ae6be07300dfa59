"""Shipway takes a Python AI application to production and keeps it there.

This package's root holds the version and the name of the embedded gateway, which is imported when it is first asked for, so
that importing the root costs nothing. It comes before every other module of the package, so the compiled build, where there
is one, is found from here.
"""

import os
from typing import Any

__version__ = "0.1.0.dev0"

if os.path.isdir(os.path.join(__path__[0], "_compiled")):
    from shipway import compiled

    compiled.install()


def __getattr__(name: str) -> Any:
    if name == "Gateway":
        from shipway.gateway.middleware import Gateway

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
