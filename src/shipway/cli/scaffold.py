"""Writes the shortest app file for what was found in a folder. Pure: text out, nothing on disk."""

import json
import re

from shipway.cli.asgi_apps import Candidate

MAX_NAME_CHARS = 63
_MODEL_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def app_name(folder_name: str) -> str:
    """A valid app name for a folder: lower case, other characters become hyphens, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "-", folder_name.lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"app-{name}"
    return name[:MAX_NAME_CHARS].strip("-")


def app_file(name: str, candidate: Candidate, model_names: tuple[str, ...] = ()) -> str:
    """The text of shipway.toml: only what differs from the defaults. *model_names* must satisfy `is_declarable`."""
    lines = [f'name = "{name}"', "", "[services.api]", f"app = {_quoted(candidate.target)}"]
    if candidate.is_factory:
        lines.append("factory = true")
    if candidate.cwd != ".":
        lines.append(f"cwd = {_quoted(candidate.cwd)}")
    for model_name in model_names:
        lines += ["", f"[models.{model_name}]", f'upstreams = ["openai/{model_name}"]']
    return "\n".join(lines) + "\n"


def is_declarable(model_name: str) -> bool:
    """Whether a provider's name for a model can be a model's name in the app file as it is (no dots or slashes)."""
    return _MODEL_NAME.fullmatch(model_name) is not None


def _quoted(text: str) -> str:
    """*text* as a TOML string; what JSON escapes, TOML escapes in the same way."""
    return json.dumps(text, ensure_ascii=False)
