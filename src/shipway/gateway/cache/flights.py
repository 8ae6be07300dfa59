"""Single flight: of identical requests under way at once, one asks and the others wait for its answer.

Where the one that asks fails, or its client leaves, the others do not all ask at once: one does, then two, then four. So each
waits for few failures, and a model that is ill is not met by a crowd. Where the one that asks takes long, such as for a
client that reads slowly, some of the others go on beside it. Whoever waits may leave at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from shipway.gateway.cache.entry import Found
from shipway.gateway.http1.running import Waiter

MAX_IMPATIENT = 4
"""How many may ask at once for one answer while none of them has failed."""


class Flight:
    """All requests under way that want one answer."""

    __slots__ = ("_asking", "_over", "_round", "_seats")

    def __init__(self, over: Callable[[Flight], None]) -> None:
        """*over* is called when nobody can join any more, more than once where several asked."""
        self._over = over
        self._asking = 1
        self._round = 0
        self._seats: dict[Waiter[Found | None], None] = {}

    @property
    def waiting(self) -> int:
        return len(self._seats)

    def take_seat(self) -> Waiter[Found | None]:
        """For one that waits: settled with the answer, or with None when it is to ask itself."""
        seat: Waiter[Found | None] = Waiter()
        self._seats[seat] = None
        return seat

    def leave(self, seat: Waiter[Found | None]) -> None:
        """It waits no longer, whatever the reason."""
        self._seats.pop(seat, None)

    def lost_patience(self, seat: Waiter[Found | None]) -> None:
        """It has waited long enough to ask beside the others, if they are not too many."""
        if self._asking < MAX_IMPATIENT:
            self._let_ask(seat)

    def landed(self, found: Found) -> None:
        """One that asked has the answer: so have all."""
        self._asking -= 1
        self._over(self)
        seats, self._seats = self._seats, {}
        for seat in seats:
            seat.set(found)

    def failed(self) -> None:
        """One that asked has no answer to share. Once no other asks any more, more may than before."""
        self._asking -= 1
        if self._asking:
            return
        if not self._seats:
            self._over(self)
            return
        released = tuple(islice(self._seats, 2**self._round))
        self._round += 1
        # All at once they count as asking, before the first of them can fail.
        self._asking = len(released)
        for seat in released:
            del self._seats[seat]
        for seat in released:
            seat.set(None)

    def _let_ask(self, seat: Waiter[Found | None]) -> None:
        self._asking += 1
        del self._seats[seat]
        seat.set(None)


class Flights:
    """The flights of one model, as many as there are different requests under way."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: bytes) -> tuple[Flight, bool]:
        """The flight for *key*, and whether whoever joins is the one that asks."""
        flight = self._flights.get(key)
        if flight is not None:
            return flight, False

        def over(ended: Flight) -> None:
            if self._flights.get(key) is ended:
                del self._flights[key]

        flight = self._flights[key] = Flight(over)
        return flight, True
