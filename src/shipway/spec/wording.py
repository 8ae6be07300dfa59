"""How messages name what was found, what is known, and where."""

import difflib
import json
from collections.abc import Iterable

MAX_QUOTED_CHARS = 60

Location = tuple[str | int, ...]
"""A place in the file: keys and 0-based list indexes from the top."""


def quoted(text: str) -> str:
    """*text* in double quotes, shortened, with anything that a terminal might act on escaped."""
    shown = text if len(text) <= MAX_QUOTED_CHARS else text[: MAX_QUOTED_CHARS - 1] + "…"
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in shown) + '"'


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the known name nearest to *name*, or nothing when none is near."""
    # A long name is no typing mistake, and the comparison is quadratic.
    by_fold = {} if len(name) > MAX_QUOTED_CHARS else {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return f" (did you mean {quoted(by_fold[near[0]])}?)" if near else ""


def listed(names: Iterable[str], last: str = "or") -> str:
    """`"a", "b" or "c"`."""
    items = [quoted(name) for name in names]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def path_text(location: Location) -> str:
    """`models.chat.upstreams[2]`; a key that TOML would want quoted is quoted."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
        text += ("." if text else "") + (part if bare and len(part) <= MAX_QUOTED_CHARS else quoted(part))
    return text


def kind_of(value: object) -> str:
    """What TOML calls *value*: "a string", "a table"…; never the value itself."""
    names: tuple[tuple[type, str], ...] = (
        (bool, "a boolean"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a string"),
        (dict, "a table"),
        (list, "a list"),
    )
    return next((name for known, name in names if isinstance(value, known)), "a date or time")


def found(value: object) -> str:
    """*value* as a message may show it: short values themselves, others by their kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value) if value else "an empty string"
    if isinstance(value, int):
        # Python refuses to print integers of more than 4,300 digits, and nobody would read them.
        return str(value) if abs(value) < 10**18 else "a huge number"
    if isinstance(value, float):
        return repr(value)
    return kind_of(value)
