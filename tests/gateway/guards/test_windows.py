"""Windows over the texts of a stream: pure, for any cut of any texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.guards.check import Piece
from shipway.gateway.guards.windows import Key, Said, Windows

TEXT: Key = ("text", 0)
CALL: Key = ("tool_call", 0)


def test_what_was_allowed_is_shown_again_up_to_a_window() -> None:
    windows = Windows(4)
    windows.add(b"1", [(TEXT, "", "abc")])
    assert windows.ask() == (Piece("assistant", "text", "abc"),)
    windows.allow()
    assert windows.free() == b"1"
    windows.add(b"2", [(TEXT, "", "de")])
    assert windows.ask() == (Piece("assistant", "text", "abcde", checked=3),)
    windows.allow()
    windows.add(b"3", [(TEXT, "", "f")])
    assert windows.ask() == (Piece("assistant", "text", "bcdef", checked=4),)


def test_a_large_piece_comes_in_several_checks_and_goes_after_the_last() -> None:
    windows = Windows(3)
    windows.add(b"all", [(TEXT, "", "abcdefg")])
    shown = []
    while windows.unchecked:
        shown.append(windows.ask()[0].text)
        assert windows.free() == b""
        windows.allow()
    assert shown == ["abc", "abcdef", "defg"]
    assert windows.free() == b"all"


def test_what_comes_during_a_check_waits_for_the_next() -> None:
    windows = Windows(10)
    windows.add(b"1", [(TEXT, "", "a")])
    windows.ask()
    windows.add(b"2", [(TEXT, "", "b")])
    assert windows.unchecked == 1
    windows.allow()
    assert windows.free() == b"1"
    assert windows.ask() == (Piece("assistant", "text", "ab", checked=1),)


def test_the_name_of_a_tool_waits_too_although_it_has_no_text() -> None:
    windows = Windows(10)
    windows.add(b"call", [(CALL, "delete_all", "")])
    assert (windows.unchecked, windows.free()) == (1, b"")
    assert windows.ask() == (Piece("assistant", "tool_call", "", "delete_all"),)
    assert windows.unchecked == 0
    windows.allow()
    assert windows.free() == b"call"


def test_nothing_overtakes() -> None:
    windows = Windows(10)
    windows.add(b"text", [(TEXT, "", "a")])
    windows.add(b"bare", [])
    assert windows.free() == b""
    windows.ask()
    windows.allow()
    windows.add(b"more", [(TEXT, "", "b")])
    assert windows.free() == b"textbare"
    assert windows.held_bytes == 4


keys = st.sampled_from([TEXT, CALL, ("reasoning", 0)])
says: st.SearchStrategy[Said] = st.tuples(keys, st.just(""), st.text("abc", max_size=9))
events = st.lists(st.tuples(st.lists(says, max_size=3), st.integers(0, 2)), max_size=20)


@given(window=st.integers(1, 12), events=events)
def test_all_that_goes_was_shown_and_each_stretch_of_a_window_was_shown_in_one_piece(
    window: int, events: list[tuple[list[Said], int]]
) -> None:
    windows = Windows(window)
    whole: dict[Key, str] = {}
    shown: dict[Key, list[str]] = {}
    ends: list[dict[Key, int]] = []
    gone = 0

    def check() -> None:
        nonlocal gone
        for piece in windows.ask():
            key = next(key for key in whole if key[0] == piece.kind)
            assert len(piece.text) - piece.checked <= window >= piece.checked
            shown.setdefault(key, []).append(piece.text[piece.checked :])
            stretches[key].add(piece.text)
        windows.allow()
        gone += len(windows.free())
        for end in ends[:gone]:
            assert all(len("".join(shown[key])) >= length for key, length in end.items())

    stretches: dict[Key, set[str]] = {}
    for said, checks in events:
        for key, _, text in said:
            whole[key] = whole.get(key, "") + text
            stretches.setdefault(key, set())
        ends.append({key: len(whole[key]) for key, _, _ in said})
        windows.add(b".", said)
        for _ in range(checks):
            check()
    while windows.unchecked:
        check()
    gone += len(windows.free())
    assert gone == len(events)
    assert {key: "".join(pieces) for key, pieces in shown.items()} == whole
    for key, text in whole.items():
        for at in range(max(0, len(text) - window + 1)):
            assert any(text[at : at + window] in piece for piece in stretches[key])
