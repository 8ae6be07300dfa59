"""Arguments that several commands share, declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

AppPath = Annotated[
    Path, typer.Argument(metavar="PATH", help="The app file, or its folder.", exists=True, show_default=False)
]
Port = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, metavar="PORT", help="Listen here instead of gateway.port.")
]
AdminPort = Annotated[
    int | None,
    typer.Option("--admin-port", min=1, max=65535, metavar="PORT", help="Listen here instead of gateway.admin_port."),
]
LogFormat = Annotated[Literal["text", "json"], typer.Option("--log-format", help="Lines for people or for machines.")]
Environment = Annotated[str, typer.Argument(metavar="ENV", help="The environment.", show_default=False)]
AppOption = Annotated[
    Path, typer.Option("--app", metavar="PATH", help="The app file, or its folder.", exists=True, show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to stderr.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Also when somebody else holds the environment; that is noted.")
]
