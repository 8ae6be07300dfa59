"""The reference pages that follow from the code: commands with their options, and the codes of errors.

`python -m shipway.cli.reference docs` writes them; tests/test_docs.py fails when they are stale.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

import shipway.errors
from shipway.cli import build_app
from shipway.errors import ShipwayError, UsageError

_NOTICE = (
    "<!-- Generated from the code by `python -m shipway.cli.reference docs` (scripts/fix does that); edit there. -->"
)


def pages() -> dict[str, str]:
    """The text of each page, by its path in the documentation's folder."""
    return {"reference/commands.md": commands_markdown(), "reference/errors.md": errors_markdown()}


def commands_markdown() -> str:
    """Every command with its arguments and options, from the program itself."""
    program = typer.main.get_command(build_app())
    context = typer.Context(program, info_name="shipway", **program.context_settings)
    sections = [_command_section(context)]
    for name, command in getattr(program, "commands", {}).items():
        sections.append(_command_section(typer.Context(command, info_name=name, parent=context)))
    exits = (
        "Exit codes: 0 what was asked is true now; 1 it failed; 2 it was asked in a way that cannot be done;\n"
        "3 `plan --detailed-exitcode` found changes; 130 and 143 it was interrupted. Errors go to stderr as `error: …` and\n"
        '`hint: …`; with `--json` they are one object `{"error": {"code", "message", "hint"}}` on stdout, with the codes of\n'
        "[errors](errors.md).\n"
    )
    return f"# Commands\n\n{_NOTICE}\n\n{exits}\n" + "\n".join(sections)


def errors_markdown() -> str:
    """Every code with what it means, from the docstrings in errors.py."""
    lines = [
        "# Error codes",
        "",
        _NOTICE,
        "",
        "What `code` is in the output of `--json`. Codes stay as they are; messages and hints may improve.",
        "",
        "| code | exit | meaning |",
        "|---|---|---|",
    ]
    for error in _tree(ShipwayError):
        meaning = " ".join((inspect.getdoc(error) or "").split())
        lines.append(f"| `{error.code}` | {2 if issubclass(error, UsageError) else 1} | {meaning} |")
    return "\n".join(lines) + "\n"


def _tree(error: type[ShipwayError]) -> Iterator[type[ShipwayError]]:
    """*error* and all below it that errors.py defines."""
    yield error
    for below in error.__subclasses__():
        if below.__module__ == shipway.errors.__name__:
            yield from _tree(below)


def _command_section(context: typer.Context) -> str:
    title = "##" if context.parent is None else "###"
    help_text = inspect.cleandoc(context.command.help or "")
    rows = [
        record
        for parameter in context.command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    usage = " ".join(context.command.collect_usage_pieces(context))
    lines = [f"{title} {context.command_path}", "", help_text, "", f"```text\n{context.command_path} {usage}\n```", ""]
    if rows:
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{_cell(names)}` | {_cell(text).replace('<', '&lt;')} |" for names, text in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(folder: Path) -> None:
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
