"""Which files of a project stay out of its images: patterns in the manner of `.dockerignore`. Pure.

Source of the rules: the documentation of `.dockerignore`, and moby's patternmatcher.
"""

import re
from collections.abc import Iterable, Sequence

NEVER = (
    "**/.git",
    "**/.gitignore",
    "**/.venv",
    "**/venv",
    "**/__pycache__",
    "**/*.pyc",
    "**/.*_cache",
    "**/.hypothesis",
    "**/node_modules",
    "**/.DS_Store",
    "**/.idea",
    "**/.vscode",
    ".shipway",
    "dist",
    "build",
    "Dockerfile*",
    "docker-compose*.yml",
    ".dockerignore",
)
"""What no image needs; used when the project has no `.dockerignore` of its own."""

SECRETS = ("**/.env", "**/.env.*", "**/*.pem", "**/*.key", "**/id_rsa*", "**/id_ed25519*", "**/.netrc", "**/.pypirc")
"""What must not get into an image by accident; a line with `!` in the project's own `.dockerignore` lets one in."""


def patterns_of(own: str | None, exclude: Iterable[str], secret_files: Iterable[str]) -> tuple[str, ...]:
    """The patterns that hold, in order; the last that matches decides.

    Args:
        own: The project's `.dockerignore`.
        exclude: `build.exclude`.
        secret_files: Files that the app file refers to as secrets, from the project's folder; nothing lets these in.
    """
    lines = [line.strip() for line in (own or "").splitlines()]
    base = NEVER if own is None else ()
    own_lines = tuple(line for line in lines if line and not line.startswith("#"))
    return (*SECRETS, *base, *own_lines, *exclude, *sorted(set(secret_files)))


class Ignored:
    """Says for a path whether it stays out."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._rules = [(_expression(one.removeprefix("!")), not one.startswith("!")) for one in patterns]
        self._has_exceptions = any(one.startswith("!") for one in patterns)

    def __call__(self, path: str) -> bool:
        """Whether the file at *path*, relative with slashes, stays out."""
        ignored = False
        for expression, verdict in self._rules:
            if verdict != ignored and expression.fullmatch(path):
                ignored = verdict
        return ignored

    def skips_folder(self, path: str) -> bool:
        """Whether nothing below the folder *path* can be let in."""
        return not self._has_exceptions and self(path)


def _expression(pattern: str) -> re.Pattern[str]:
    """Matches what *pattern* names and all below it."""
    text = ""
    rest = pattern.strip().strip("/").removeprefix("./")
    while rest:
        if rest.startswith("**/"):
            text, rest = text + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            text, rest = text + ".*", rest[2:]
        elif rest[0] == "*":
            text, rest = text + "[^/]*", rest[1:]
        elif rest[0] == "?":
            text, rest = text + "[^/]", rest[1:]
        elif rest[0] == "[" and "]" in rest:
            end = rest.index("]") + 1
            text, rest = text + rest[:end].replace("[!", "[^"), rest[end:]
        else:
            text, rest = text + re.escape(rest[0]), rest[1:]
    return re.compile(f"{text}(?:/.*)?", re.DOTALL)
