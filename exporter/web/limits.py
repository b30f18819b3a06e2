"""How often an address may ask, and guess a password, before it has to wait."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from exporter.live.pace import Allowance
from exporter.log import Plain

ADDRESSES: Final = 10_000
"""Addresses that are remembered at the same time."""
AT_ONCE: Final = 10
"""Seconds' worth of requests that may come all at once."""
GUESSES: Final = 20
GUESSES_PER_SECOND: Final = 1.0
"""New credentials that an address may try, each of which costs a bcrypt; those that were right once cost nothing."""


class TooMany(Plain):
    """Too many requests; `retry_after` is in seconds."""

    def __init__(self, words: str, retry_after: float) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class Rates:
    """An allowance for each address; of too many addresses those not heard of for longest are forgotten."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._known: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """0.0, or how many seconds too early it is."""
        known = self._known.setdefault(address, Allowance(self._burst, self._per_second))
        self._known.move_to_end(address)
        if len(self._known) > ADDRESSES:
            self._known.popitem(last=False)
        return known.take(now)


@dataclass(slots=True)
class Limits:
    """The rates of requests and of guesses, by address."""

    per_second: int = 100
    clock: Callable[[], float] = monotonic
    _requests: Rates = field(init=False)
    _guesses: Rates = field(default_factory=lambda: Rates(GUESSES, GUESSES_PER_SECOND))

    def __post_init__(self) -> None:
        self._requests = Rates(self.per_second * AT_ONCE, self.per_second)

    def change(self, per_second: int) -> None:
        """Another rate from now on."""
        if per_second != self.per_second:
            self.per_second = per_second
            self._requests = Rates(per_second * AT_ONCE, per_second)

    def ask(self, address: str) -> None:
        """One request.

        Raises:
            TooMany: not so soon.
        """
        self._take(self._requests, address, "too many requests from this address")

    def guess(self, address: str) -> None:
        """Credentials that have not been seen before.

        Raises:
            TooMany: not so soon.
        """
        self._take(self._guesses, address, "too many credentials tried from this address")

    def _take(self, rates: Rates, address: str, words: str) -> None:
        wait = rates.take(network(address), self.clock())
        if wait:
            raise TooMany(words, wait)


def network(address: str) -> str:
    """What counts as one address: an IPv6 client has a whole /64 to itself."""
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address.partition("%")[0])
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False))
