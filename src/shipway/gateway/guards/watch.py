"""One call as its model's guards watch it: what it asks, its whole answer, its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from shipway.gateway.dialects.forms import FormRequest
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.guards.answers import answers_of
from shipway.gateway.guards.check import GUARD_UNREADABLE, Check, Outcome, Piece, When
from shipway.gateway.guards.gate import Gate
from shipway.gateway.guards.guard import Guard, ModelGuards
from shipway.gateway.guards.texts import conversation_pieces, document_pieces, form_pieces
from shipway.gateway.guards.windows import Windows
from shipway.gateway.refusals import Refusal, Refused
from shipway.monitoring.log_members import GuardNote

if TYPE_CHECKING:
    from shipway.gateway.attempt import Attempt
    from shipway.gateway.call import Call
    from shipway.gateway.dialects.model_request import ModelRequest
    from shipway.gateway.model_api import ModelPath
    from shipway.gateway.telemetry import Telemetry

_SAYS_NOTHING = frozenset({"embeddings", "count_tokens", "rerank"})
"""Operations whose answers hold numbers only, so there is nothing to check in them."""


_ONE_ANSWER = frozenset((b"1", b"null"))
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _wants_several(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a request wants more than one answer: by number, or to more than one of completions' prompts."""
    if bytes(fields.get("n", b"1")) not in _ONE_ANSWER:
        return True
    prompt = bytes(fields.get("prompt", b"")).lstrip()
    if not prompt.startswith(b"["):
        return False
    items = _items(prompt)
    return len(items) > 1 and any(
        bytes(item).lstrip().startswith((b'"', b"[")) for item in items
    )  # else they are tokens


class Watch:
    """One call.

    Attributes:
        after: Whether its answer is to be checked: then nothing of it may pass in another way.
        passed_unchecked: Whether something passed although a guard gave no verdict; such an answer is not kept for others.
    """

    __slots__ = ("_answers", "_call", "_dialect", "_guards", "_loop", "_telemetry", "after", "passed_unchecked")

    def __init__(self, guards: ModelGuards, call: Call, path: ModelPath, telemetry: Telemetry) -> None:
        """Raises: Refused, where the answer would have to be checked and nobody can read what *path* answers."""
        self._guards = guards
        self._call = call
        self._telemetry = telemetry
        self.passed_unchecked = False
        self._loop = call.exchange.connection.server.loop
        self._dialect = open_dialect(path.conversation) if path.conversation in DIALECTS else None
        self.after = bool(guards.after) and path.operation not in _SAYS_NOTHING
        self._answers = answers_of(path) if self.after else None
        if self.after and self._answers is None:
            self._unreadable("after")
            self.after = False  # all that would check it let it pass

    async def before(self, request: ModelRequest) -> None:
        """Have what is asked checked. Raises: Refused."""
        if self.after and _wants_several(request.fields):
            self._unreadable("after")  # several in one stream; said before a model has worked for nothing
        guards = self._guards.before
        pieces = self._asked(request) if guards else None
        if pieces is not None:
            await self._answered(self._ask_all("before", guards, pieces, streamed=False))

    async def answer(self, body: bytes) -> None:
        """Have a whole answer checked, as the client would get it. Raises: Refused."""
        if not self.after or self._answers is None:
            return
        try:
            pieces = self._answers.whole(body)
        except ValueError:
            self._unreadable("after")
            return
        await self._answered(self._ask_all("after", self._guards.after, pieces, streamed=False))

    def gate(self, attempt: Attempt) -> Gate | None:
        """What one stream has to go through; None where its text is not checked."""
        if not self.after or self._answers is None:
            return None
        windows = Windows(self._guards.window)
        return Gate(self._call, attempt, self, self._answers.stream(), windows, self._guards.hold_s)

    async def part(self, pieces: tuple[Piece, ...]) -> Refusal | None:
        """Have a part of a stream checked; gives why it must not pass."""
        return await self._ask_all("after", self._guards.after, pieces, streamed=True)

    def unreadable_part(self) -> Refusal | None:
        """A stream went on in a way that cannot be read; gives why it must not pass."""
        try:
            self._unreadable("after")
        except Refused as refused:
            return refused.refusal
        return None

    def _asked(self, request: ModelRequest) -> tuple[Piece, ...] | None:
        """The texts of a request; None where they cannot be read and each guard would have it pass. Raises: Refused."""
        try:
            if isinstance(request, FormRequest):
                return form_pieces(request)
            if self._dialect is None:
                return document_pieces(request.body)
            return conversation_pieces(self._dialect, request.body)
        except Refused:  # with the field that cannot be read, which says more than we could
            if not all(guard.terms.passes_on_failure for guard in self._guards.before):
                raise
            self._unreadable("before")
            return None

    def _unreadable(self, when: When) -> None:
        """Raises: Refused, unless each guard would have it pass."""
        outcomes = [guard.unreadable(when) for guard in getattr(self._guards, when)]
        for outcome in outcomes:
            self._note(outcome)
        if not all(outcome.passes for outcome in outcomes):
            raise Refused(GUARD_UNREADABLE)

    async def _answered(self, checking: Coroutine[object, object, Refusal | None]) -> None:
        """Wait for a check in a task of its own, as deadlines need one. Raises: Refused."""
        began_s = perf_counter()
        task = self._loop.create_task(checking)
        try:
            refusal = await task
        finally:  # also of a client that left meanwhile
            task.cancel()
            self._call.waited_s += perf_counter() - began_s
        if refusal is not None:
            raise Refused(refusal)

    async def _ask_all(
        self, when: When, guards: tuple[Guard, ...], pieces: tuple[Piece, ...], *, streamed: bool
    ) -> Refusal | None:
        """Ask *guards* at once; the first that does not let it pass decides, and the others are not waited for."""
        call = self._call
        principal = call.caller.id if call.caller is not None else ""

        async def ask(guard: Guard) -> Outcome:
            request_id = call.request_id.decode("ascii")
            return await guard.check(Check(guard.name, when, call.model or "", request_id, principal, streamed, pieces))

        if len(guards) == 1:
            outcome = await ask(guards[0])
            self._note(outcome)
            return None if outcome.passes else outcome.refusal()
        tasks = [asyncio.ensure_future(ask(guard)) for guard in guards]
        try:
            for ended in asyncio.as_completed(tasks):
                outcome = await ended
                self._note(outcome)
                if not outcome.passes:
                    return outcome.refusal()
        finally:
            for task in tasks:
                task.cancel()
        return None

    def _note(self, outcome: Outcome) -> None:
        if outcome.passes and outcome.kind != "allowed":
            self.passed_unchecked = True
        self._telemetry.guard(outcome.guard, outcome.when, outcome.kind, outcome.reason, outcome.duration_s)
        notes = self._call.guards
        if notes is None:
            notes = self._call.guards = []
        for at, note in enumerate(notes):
            if (note.guard, note.when) == (outcome.guard, outcome.when):
                kind = note.outcome if outcome.kind == "allowed" else outcome.kind
                reason = outcome.reason or note.reason
                duration_s = round(note.duration_s + outcome.duration_s, 6)
                notes[at] = GuardNote(note.guard, note.when, kind, note.checks + 1, duration_s, reason)
                return
        notes.append(
            GuardNote(outcome.guard, outcome.when, outcome.kind, 1, round(outcome.duration_s, 6), outcome.reason)
        )
