"""`shipway init`: finds the ASGI app in a folder and writes the shortest app file that runs it."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipway.cli.output import make_console, print_json
from shipway.errors import NoAppFoundError, ShipwayError

if TYPE_CHECKING:
    from shipway.cli.asgi_apps import Candidate

FILE_NAME = "shipway.toml"
MAX_LISTED = 8


def init(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="The folder of your app.", exists=True, file_okay=False, show_default=False
        ),
    ] = Path("."),
    force: Annotated[bool, typer.Option("--force", help="Replace the app file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Find the ASGI app in a folder and write shipway.toml for it.

    The code is read, never run. FastAPI, Starlette, Litestar, Quart and others are known, and plain ASGI functions.

    Example: `shipway init`
    """
    from shipway.cli.asgi_apps import find_apps
    from shipway.cli.scaffold import app_file, app_name
    from shipway.spec.fields import is_model_name

    folder = path.resolve()
    _refuse_to_replace(path, force=force)
    discovery = find_apps(folder)
    if not discovery.candidates:
        raise NoAppFoundError(
            f"no ASGI app found in {folder}", _lines_to_write(app_name(folder.name), discovery.remarks)
        )
    chosen, *others = discovery.candidates
    remarks = list(discovery.remarks)
    models = tuple(name for name in discovery.model_names if is_model_name(name))
    remarks += [
        f'the code asks for the model "{name}": declare it under a name of letters, digits and . _ : / -'
        for name in discovery.model_names
        if name not in models
    ]
    _write(path / FILE_NAME, app_file(app_name(folder.name), chosen, models))
    if as_json:
        print_json(
            {
                "written": str(path / FILE_NAME),
                "chosen": _candidate_fields(chosen),
                "others": [_candidate_fields(other) for other in others],
                "models": list(models),
                "remarks": remarks,
            }
        )
    else:
        _print_result(path / FILE_NAME, chosen, others, models, remarks)
    return 0


def _refuse_to_replace(folder: Path, *, force: bool) -> None:
    from shipway.spec.load import find_app_file

    file = folder / FILE_NAME
    if file.exists():
        existing, hint = file, f"{_command('init', folder)} --force replaces it; {_command('check', folder)} tests it"
    else:
        try:
            existing = find_app_file(folder)
        except ShipwayError:
            return
        # A second app file beside it would be an error, so --force does not write one.
        hint = f"{_command('check', folder)} tests it; without [tool.shipway] init writes {FILE_NAME}"
        force = False
    if not force:
        raise ShipwayError(f"{existing} is there already", hint)


def _command(name: str, folder: Path) -> str:
    """What to type for *folder*, as the user called it."""
    return shlex.join(["shipway", name, *([] if folder == Path(".") else [str(folder)])])


def _write(file: Path, text: str) -> None:
    """Write all of *text* or nothing: a full disk must not leave half an app file."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ShipwayError(f"cannot write {file}: {error.strerror}") from error


def _lines_to_write(name: str, remarks: tuple[str, ...]) -> str:
    lines = [f'name = "{name}"', "[services.api]", 'app = "package.module:app"']
    seen = "".join(f"\n  (seen: {remark})" for remark in remarks)
    return f"write {FILE_NAME} yourself; three lines do:\n" + "\n".join(f"  {line}" for line in lines) + seen


def _candidate_fields(candidate: "Candidate") -> dict[str, Any]:
    return {
        "app": candidate.target,
        "framework": candidate.framework,
        "factory": candidate.is_factory,
        "cwd": candidate.cwd,
        "file": candidate.file.as_posix(),
        "line": candidate.line,
    }


def _print_result(
    file: Path, chosen: "Candidate", others: list["Candidate"], models: tuple[str, ...], remarks: list[str]
) -> None:
    console = make_console()
    console.print(f"wrote {file}", style="bold")
    console.print(f"  app: {_described(chosen)}")
    for name in models:
        console.print(f"  model: {name}, answered by openai/{name} (the code asks for it)")
    if others:
        console.print("also found, not used:")
        for other in others[:MAX_LISTED]:
            console.print(f"  {_described(other)}")
        if len(others) > MAX_LISTED:
            console.print(f"  and {len(others) - MAX_LISTED} more (shipway init --force --json lists all)")
    for remark in remarks:
        console.print("note:", style="cyan", end=" ")
        console.print(remark)
    console.print(f"next: {_command('check', file.parent)}, then {_command('up', file.parent)}")


def _described(candidate: "Candidate") -> str:
    factory = " factory" if candidate.is_factory else ""
    return f"{candidate.target} ({candidate.framework}{factory}, {candidate.file.as_posix()}:{candidate.line})"
