"""Who may come in to the live feed, and how many: origins, limits per address and in all, and single-use tickets."""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from exporter.config import Live
from exporter.live.pace import Allowance
from exporter.log import Plain
from exporter.web.access import Identity
from exporter.web.limits import network as one_network

TICKET_LIFE: Final = 15.0
"""Seconds."""
TICKETS: Final = 1_000
"""Tickets at the same time; of more, the oldest are void."""
ADDRESSES: Final = 10_000
"""Addresses whose handshakes are remembered."""


class Full(Plain):
    """Nobody else may come in now; `status` is 429 (from this address) or 503. `retry_after` is in seconds."""

    def __init__(self, status: int, words: str, retry_after: float) -> None:
        super().__init__(words)
        self.status, self.retry_after = status, retry_after


@dataclass(slots=True)
class Doors:
    """Counts who is in and who knocks; `limits` and `room` may be replaced at any time."""

    limits: Live = field(default_factory=Live)
    clock: Callable[[], float] = monotonic
    room: int = 100_000
    """Listeners that there are descriptors for."""
    _inside: Counter[str] = field(default_factory=Counter)
    _all: int = 0
    _knocks: OrderedDict[str, tuple[int, Allowance]] = field(default_factory=OrderedDict)
    _tickets: OrderedDict[str, tuple[Identity, float]] = field(default_factory=OrderedDict)

    def admits(self, origin: str, own: str) -> bool:
        """Whether a page of this origin may listen; `own` is the origin that the request was sent to."""
        return _plain(origin) == _plain(own) or origin in self.limits.allowed_origins

    def enter(self, address: str) -> str:
        """Let somebody in; the network that counts as one address, for `leave`.

        Raises:
            Full: not now.
        """
        network = one_network(address)
        if self._all >= min(self.limits.max_clients, self.room):
            raise Full(503, "as many clients as may be are connected", 5)
        if self._inside[network] >= (self.limits.max_clients_per_address or self.limits.max_clients):
            raise Full(429, "as many clients as may be are connected from this address", 5)
        wait = self._knock(network)
        if wait:
            raise Full(429, "too many handshakes from this address", wait)
        self._inside[network] += 1
        self._all += 1
        return network

    def leave(self, network: str) -> None:
        """Somebody left."""
        self._inside[network] -= 1
        self._all -= 1
        if not self._inside[network]:
            del self._inside[network]

    def _knock(self, network: str) -> float:
        rate = self.limits.handshakes_per_second or self.limits.max_clients
        known, knocks = self._knocks.get(network, (rate, None))
        if knocks is None or known != rate:
            knocks = Allowance(2 * rate, rate)
        self._knocks[network] = rate, knocks
        self._knocks.move_to_end(network)
        if len(self._knocks) > ADDRESSES:
            self._knocks.popitem(last=False)
        return knocks.take(self.clock())

    def ticket(self, who: Identity) -> str:
        """A ticket that lets its bearer in once, within `TICKET_LIFE` seconds."""
        made = secrets.token_urlsafe(24)
        self._tickets[made] = who, self.clock() + TICKET_LIFE
        if len(self._tickets) > TICKETS:
            self._tickets.popitem(last=False)
        return made

    def redeem(self, ticket: str) -> Identity | None:
        """Whose ticket this is; it is void from now on."""
        who, until = self._tickets.pop(ticket, (None, 0.0))
        return who if self.clock() <= until else None


def _plain(origin: str) -> str:
    """An origin in lower case and without the port that its scheme has anyway."""
    scheme, _, host = origin.lower().partition("://")
    return f"{scheme}://{host.removesuffix(':443' if scheme == 'https' else ':80')}"
