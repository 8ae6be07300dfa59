"""`shipway schema`: the JSON Schema of the app file, for editors and other programs."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.output import print_json
from shipway.errors import UsageError


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --output: say as JSON what was written.")] = False,
) -> int:
    """Print the JSON Schema of shipway.toml.

    Example: `shipway schema > shipway.schema.json`
    """
    import json

    from shipway.spec.schema import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror}", "shipway schema --output shipway.schema.json"
        ) from error
    print_json({"written": str(output)}) if as_json else typer.echo(f"wrote {output}")
    return 0
