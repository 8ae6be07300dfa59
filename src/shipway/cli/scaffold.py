"""Writes the shortest app file for what was found in a folder. Pure: text out, nothing on disk."""

import json
import re

from shipway.cli.asgi_apps import Candidate

MAX_NAME_CHARS = 63
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def app_name(folder_name: str) -> str:
    """A valid app name for a folder: lower case, other characters become hyphens, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "-", folder_name.lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"app-{name}"
    return name[:MAX_NAME_CHARS].strip("-")


def app_file(name: str, candidate: Candidate, model_names: tuple[str, ...] = ()) -> str:
    """The text of shipway.toml: only what differs from the defaults. *model_names* must satisfy `is_model_name`."""
    lines = [f'name = "{name}"', "", "[services.api]", f"app = {_quoted(candidate.target)}"]
    if candidate.is_factory:
        lines.append("factory = true")
    if candidate.cwd != ".":
        lines.append(f"cwd = {_quoted(candidate.cwd)}")
    for model_name in model_names:
        key = model_name if _BARE_KEY.fullmatch(model_name) else _quoted(model_name)
        lines += ["", f"[models.{key}]", f"upstreams = [{_quoted(f'openai/{model_name}')}]"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """*text* as a TOML string; what JSON escapes, TOML escapes in the same way."""
    return json.dumps(text, ensure_ascii=False)
