"""`--reload`: which services a change of files concerns, and telling their keepers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shipway.local.keeper import Keeper
from shipway.local.reports import Event, Reporter

SOURCE_SUFFIXES = frozenset(
    {".py", ".pyi", ".toml", ".yaml", ".yml", ".env", ".ini", ".cfg", ".html", ".jinja", ".jinja2", ".j2", ".sql"}
    | {".js", ".mjs", ".ts", ".go", ".rb", ".sh"}
)
"""What people edit. Files that a service writes itself (databases, logs, JSON) must not restart it."""

IGNORED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".shipway", ".venv", "venv", "env", "site-packages", "node_modules", "__pycache__"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "build", "dist"}
)


def is_source(path: Path, root: Path) -> bool:
    """Whether a change of *path*, a file somewhere below *root*, is one of the program."""
    if path.suffix not in SOURCE_SUFFIXES and path.name != ".env":
        return False
    return not IGNORED_FOLDERS.intersection(path.relative_to(root).parts[:-1])


def concerned(changed: Iterable[Path], folders: Mapping[str, Path]) -> list[str]:
    """Which of *folders* (name → folder) have a changed source file in them, by name."""
    files = list(changed)
    return [
        name
        for name, folder in folders.items()
        if any(file.is_relative_to(folder) and is_source(file, folder) for file in files)
    ]


async def reload_on_change(keepers: Sequence[Keeper], app_file: Path, reporter: Reporter) -> None:
    """Replace a service whenever files in its folder change; goes on until cancelled. Paths are to be resolved."""
    from watchfiles import awatch  # of the extra `local`

    folders = {keeper.spec.name: keeper.spec.cwd for keeper in keepers}
    # Not its default filter: which folders count is decided in one place, above.
    async for changes in awatch(*{*folders.values(), app_file.parent}, watch_filter=None, step=100):
        changed = {Path(path) for _, path in changes}
        if app_file in changed:
            message = f"{app_file.name} has changed: restart `shipway up` for it"
            reporter.event(Event("app-file-changed", message, "warning"))
        names = concerned(changed - {app_file}, folders)
        for keeper in keepers:
            if keeper.spec.name in names:
                keeper.replace()
