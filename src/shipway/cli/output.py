"""How commands speak: results on stdout; errors, hints and warnings on stderr; JSON where a program reads.

Colours follow the terminal and `NO_COLOR`; lines are never folded, so that a message can be searched for and piped.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from shipway.errors import AppFileError, Problem, ShipwayError

if TYPE_CHECKING:
    from rich.console import Console


def make_console(file: TextIO | None = None) -> "Console":
    """A console on *file* (stdout unless told) that prints text as it is: no markup, no guessed highlights."""
    from rich.console import Console  # 45 ms that `shipway --help` does not need

    return Console(file=file or sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object, the whole output of a command under --json."""
    import json  # 4 ms, likewise

    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_error(error: ShipwayError, *, as_json: bool) -> None:
    """Print *error* as `error: …` and `hint: …` on stderr, or as `{"error": …}` on stdout."""
    if as_json:
        print_json({"error": error_fields(error)})
        return
    console = make_console(sys.stderr)
    problems = error.problems if isinstance(error, AppFileError) else (Problem("", error.message),)
    for problem in problems:
        place = place_of(error.source, problem) + ": " if isinstance(error, AppFileError) else ""
        console.print("error:", style="bold red", end=" ")
        console.print(f"{place}{problem}")
        print_hint(console, problem.hint)
    print_hint(console, error.hint)


def print_warning(console: "Console", message: str, hint: str | None) -> None:
    console.print("warning:", style="bold yellow", end=" ")
    console.print(message)
    print_hint(console, hint)


def print_hint(console: "Console", hint: str | None) -> None:
    if hint is not None:
        console.print("hint:", style="cyan", end=" ")
        console.print(hint)


def error_fields(error: ShipwayError) -> dict[str, Any]:
    """*error* as plain values; the key `problems` is there for app-file errors alone."""
    fields: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, AppFileError):
        fields |= {"source": error.source, "problems": [problem_fields(problem) for problem in error.problems]}
    return fields


def problem_fields(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
        "line": problem.line,
        "column": problem.column,
    }


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row, its cells below each other, however wide that is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def place_of(source: str, problem: Problem) -> str:
    """`shipway.toml`, `shipway.toml:3` or `shipway.toml:3:7`, as editors and terminals make them clickable."""
    known = [str(number) for number in (problem.line, problem.column) if number is not None]
    return ":".join([source, *known])
