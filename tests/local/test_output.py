"""Where all lines come together."""

import asyncio
import errno
import io
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from shipway.local.output import Entry, JsonRenderer, Output, OutputConsole, TextRenderer
from shipway.local.reports import Event, Line
from tests.waiting import until

NOW = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)


def _text(entries: Sequence[Entry], *, terminal: bool = False, no_color: bool = False) -> str:
    out = io.StringIO()
    console = OutputConsole(
        file=out,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        no_color=no_color,
        width=40,
        highlight=False,
        markup=False,
        emoji=False,
    )
    renderer = TextRenderer(console, ["api", "gateway"])
    renderer.show(entries)
    renderer.close()
    return out.getvalue()


def test_names_are_padded_and_lines_are_not_folded() -> None:
    shown = _text([Line("api", "stdout", "hello [bold]x[/] " + "y" * 60), Line("gateway", "stderr", "")])

    assert shown == f"api     │ hello [bold]x[/] {'y' * 60}\ngateway │ \n"


def test_a_terminal_gets_coloured_names_and_keeps_the_lines_own_colours() -> None:
    shown = _text([Line("api", "stdout", "\x1b[31mred\x1b[0m \x1b[2Jcleared")], terminal=True)

    assert shown == "\x1b[36mapi     │ \x1b[0m\x1b[31mred\x1b[0m cleared\n"


def test_no_color_is_respected() -> None:
    assert "\x1b[3" not in _text([Line("api", "stdout", "\x1b[31mred\x1b[0m")], terminal=True, no_color=True)


def test_what_is_waited_for_is_a_plain_line_without_a_terminal() -> None:
    shown = _text([Event("waiting", "waiting for the models: tiny"), Event("failed", "one\ntwo", "error")])

    assert shown == "shipway │ waiting for the models: tiny\nshipway │ one\nshipway │ two\n"


def test_lines_to_paste_have_nothing_in_front() -> None:
    assert _text([Event("ready", "up at http://h\n\n# ask\ncurl http://h")]) == (
        "\nup at http://h\n\n# ask\ncurl http://h\n\n"
    )


def test_json_has_one_object_a_line() -> None:
    out = io.StringIO()
    renderer = JsonRenderer(out, now=lambda: NOW)

    renderer.show([Line("api", "stderr", "\x1b[31mé\x1b[0m"), Event("ready", "up", "good", {"address": "http://h"})])

    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"time": "2026-11-22T12:00:00.123Z", "source": "api", "stream": "stderr", "line": "é"},
        {
            "time": "2026-11-22T12:00:00.123Z",
            "source": "shipway",
            "event": "ready",
            "severity": "good",
            "message": "up",
            "address": "http://h",
        },
    ]


class _Recording:
    """A renderer that can be held up, or that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.shown: list[Entry] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self._error = error

    def show(self, entries: Sequence[Entry]) -> None:
        self.go_on.wait(20)
        if self._error is not None:
            raise self._error
        self.shown += entries

    def close(self) -> None: ...


async def test_entries_are_shown_in_the_order_they_came() -> None:
    renderer = _Recording()
    output = Output(renderer)
    entries: list[Entry] = [Line("a", "stdout", "1"), Event("x", "2"), Line("b", "stdout", "3")]

    for entry in entries:
        if isinstance(entry, Line):
            await output.line(entry.source, entry.stream, entry.text)
        else:
            output.event(entry)
    output.close()

    assert renderer.shown == entries


async def test_lines_wait_when_nobody_reads_but_events_do_not() -> None:
    renderer = _Recording()
    renderer.go_on.clear()
    output = Output(renderer)
    written = 0

    async def flood() -> None:
        nonlocal written
        for number in range(100_000):
            await output.line("a", "stdout", str(number))
            written = number

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.2)
    stuck_at = written
    output.event(Event("stopping", ""))
    await asyncio.sleep(0.05)

    assert 1000 < stuck_at == written < 5000
    renderer.go_on.set()
    await until(lambda: written > stuck_at)
    flooding.cancel()
    output.close()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("a bug")])
async def test_lines_are_still_taken_when_they_cannot_be_shown(error: Exception) -> None:
    lost = threading.Event()
    output = Output(_Recording(error), on_lost=lost.set)

    for number in range(10_000):
        await output.line("a", "stdout", str(number))
    output.close()

    assert lost.is_set()
    assert output.error is None


async def test_a_full_disk_is_remembered_as_the_reason_why_nothing_is_printed() -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    output = Output(_Recording(error))

    output.event(Event("ready", ""))
    output.close()

    assert output.error is error
