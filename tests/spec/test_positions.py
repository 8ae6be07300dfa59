import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.spec.positions import positions
from shipway.spec.wording import Location

DOCUMENT = '''# a comment = "no key"
name = "a"   # = another
[services.api] # header
app = "x:y"
"quoted \\u00e9 key" = 'a # no comment ['
a.b . "c" = 1979-05-27T07:32:00Z
text = """
[not.a.header]
key = 1 \\""" still text
"""""
raw = \'\'\'
it's = ["text"]\'\'\'\'
list = [ 1, # one
  [ "a,]", { b = 2, c = "}" } ],
]
empty = [ ]
inline = {}
[[rows]]
x = 1
[[rows]]
x = 2
[rows.below]
y = 3
[deep.er.table]
'''

EXPECTED: dict[Location, tuple[int, int]] = {
    ("name",): (2, 1),
    ("services",): (3, 1),
    ("services", "api"): (3, 1),
    ("services", "api", "app"): (4, 1),
    ("services", "api", "quoted é key"): (5, 1),
    ("services", "api", "a"): (6, 1),
    ("services", "api", "a", "b"): (6, 1),
    ("services", "api", "a", "b", "c"): (6, 1),
    ("services", "api", "text"): (7, 1),
    ("services", "api", "raw"): (11, 1),
    ("services", "api", "list"): (13, 1),
    ("services", "api", "list", 0): (13, 10),
    ("services", "api", "list", 1): (14, 3),
    ("services", "api", "list", 1, 0): (14, 5),
    ("services", "api", "list", 1, 1): (14, 12),
    ("services", "api", "list", 1, 1, "b"): (14, 14),
    ("services", "api", "list", 1, 1, "c"): (14, 21),
    ("services", "api", "empty"): (16, 1),
    ("services", "api", "inline"): (17, 1),
    ("rows",): (18, 1),
    ("rows", 0): (18, 1),
    ("rows", 0, "x"): (19, 1),
    ("rows", 1): (20, 1),
    ("rows", 1, "x"): (21, 1),
    ("rows", 1, "below"): (22, 1),
    ("rows", 1, "below", "y"): (23, 1),
    ("deep",): (24, 1),
    ("deep", "er"): (24, 1),
    ("deep", "er", "table"): (24, 1),
}


def test_every_key_and_entry_has_its_line_and_column() -> None:
    assert positions(DOCUMENT) == EXPECTED


def test_the_places_are_those_of_the_values() -> None:
    assert set(positions(DOCUMENT)) == set(_locations(tomllib.loads(DOCUMENT)))


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "a = 1", "a = 1 # end", "[a]", "a=[\n]\n", "a = [1,]"])
def test_small_and_unended_documents_are_walked(text: str) -> None:
    assert set(positions(text)) == set(_locations(tomllib.loads(text)))


@given(st.text(alphabet="ab.=[]{}\"'#\\\n, 1", max_size=40))
def test_any_valid_document_is_walked_completely(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(positions(text)) == set(_locations(values))


def _locations(value: Any, above: Location = ()) -> list[Location]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in below for place in ((*above, key), *_locations(item, (*above, key)))]
