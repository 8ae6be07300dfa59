"""A child's output, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.local.lines import LineSplitter, printable


def _all_lines(splitter: LineSplitter, chunks: list[bytes]) -> list[str]:
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()


@given(st.lists(st.binary(max_size=40)))
def test_lines_do_not_depend_on_how_the_stream_was_cut(chunks: list[bytes]) -> None:
    assert _all_lines(LineSplitter(), chunks) == _all_lines(LineSplitter(), [b"".join(chunks)])


def test_a_character_cut_in_the_middle_arrives_whole() -> None:
    assert _all_lines(LineSplitter(), ["grün".encode()[:3], "grün".encode()[3:] + b"\n"]) == ["grün"]


def test_a_partial_last_line_is_flushed() -> None:
    splitter = LineSplitter()

    assert splitter.feed(b"one\ntwo") == ["one"]
    assert splitter.has_partial
    assert splitter.flush() == ["two"]
    assert splitter.flush() == []


def test_the_rest_of_an_endless_line_is_counted_and_not_kept() -> None:
    splitter = LineSplitter(limit_bytes=10)

    for _ in range(1000):
        assert splitter.feed(b"x" * 10) == []
    assert splitter.feed(b"\nnext\n") == ["xxxxxxxxxx … (9,990 more bytes)", "next"]


def test_empty_lines_stay() -> None:
    assert LineSplitter().feed(b"a\n\nb\r\n") == ["a", "", "b"]


@pytest.mark.parametrize(
    ("line", "plain", "coloured"),
    [
        ("\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J\x1b[Hcleared", "cleared", "cleared"),
        ("\x1b]0;title\x07text", "text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", "link"),
        ("10%\r50%\r100%", "100%", "100%"),
        ("bell\x07 back\x08space \x9b31m tab\t", "bell backspace 31m tab\t", "bell backspace 31m tab\t"),
        ("cut off \x1b[", "cut off ", "cut off "),
    ],
)
def test_only_colours_reach_the_terminal(line: str, plain: str, coloured: str) -> None:
    assert printable(line, colour=False) == plain
    assert printable(line, colour=True) == coloured


@given(st.text(alphabet=st.characters(max_codepoint=0xFF), max_size=60))
def test_no_escape_is_left_without_colours(line: str) -> None:
    assert "\x1b" not in printable(line, colour=False)
