"""Where in a TOML text each key and list entry stands.

`tomllib` checks the text and gives the values, without their places; this walks a text that is known to be valid and
only notes places. It understands just enough TOML for that: headers, keys, and where each kind of value ends.
"""

import bisect
import re

from shipway.spec.wording import Location

Positions = dict[Location, tuple[int, int]]
"""1-based line and column by location."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Three quotes end a multi-line string, and up to two more may belong to its text.
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:[^"\\]|\\.)*"' + r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def positions(text: str) -> Positions:
    """Places of all keys and list entries of *text*, which must be valid TOML."""
    walk = _Walk(text)
    walk.document()
    return walk.found


class _Walk:
    """One pass over the text; `_at` is the offset of what comes next."""

    def __init__(self, text: str) -> None:
        self.found: Positions = {}
        self._text = text
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._entries: dict[Location, int] = {}

    def document(self) -> None:
        table: Location = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Location:
        is_list = self._text.startswith("[[", self._at)
        start = self._at
        self._at += 2 if is_list else 1
        *parents, last = self._key()
        self._at += 2 if is_list else 1
        table = self._below(parents, start)
        if is_list:
            index = self._entries[(*table, last)] = self._entries.get((*table, last), -1) + 1
            self._note((*table, last), start)
            table = (*table, last, index)
        else:
            table = (*table, last)
        self._note(table, start)
        return table

    def _below(self, keys: list[str], start: int) -> Location:
        """The location that *keys*, in a header at *start*, lead to; for a list of tables to its newest entry."""
        table: Location = ()
        for key in keys:
            table = (*table, key)
            self._note(table, start)
            if table in self._entries:
                table = (*table, self._entries[table])
        return table

    def _pair(self, table: Location) -> None:
        start = self._at
        keys = self._key()
        for length in range(1, len(keys) + 1):
            self._note((*table, *keys[:length]), start)
        self._at += 1  # the "="
        self._value((*table, *keys))

    def _key(self) -> list[str]:
        """A dotted key, and the space behind it."""
        parts = []
        while True:
            self._skip(_BLANK)
            match = _STRING.match(self._text, self._at) or _BARE_KEY.match(self._text, self._at)
            assert match is not None, "the text was said to be valid"  # noqa: S101
            self._at = match.end()
            parts.append(_plain(match[0]))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, location: Location) -> None:
        self._skip(_BLANK)
        opening = self._text[self._at]
        if opening == "[":
            self._list(location)
        elif opening == "{":
            self._inline_table(location)
        else:
            self._skip(_STRING if opening in "\"'" else _SCALAR)

    def _list(self, location: Location) -> None:
        index = 0
        while not self._closes("]"):
            self._note((*location, index), self._at)
            self._value((*location, index))
            index += 1

    def _inline_table(self, location: Location) -> None:
        while not self._closes("}"):
            self._pair(location)

    def _closes(self, bracket: str) -> bool:
        """Step over an opening bracket or a comma; whether *bracket* follows (then over that too)."""
        self._skip(_BLANK)
        if self._text[self._at] in "[{,":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _note(self, location: Location, offset: int) -> None:
        line = bisect.bisect_right(self._line_starts, offset)
        self.found.setdefault(location, (line, offset - self._line_starts[line - 1] + 1))

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at


def _plain(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1]) or (chr(int(m[1][1:], 16)) if len(m[1]) > 1 else m[1]), key[1:-1])
