"""How many series a configuration asks for: once all of it works, and at the very most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exporter.config import Chain, Settings


@dataclass(frozen=True, slots=True)
class Part:
    """Series of one thing that is configured: those that are there once it works, and about as many as it may get."""

    least: int
    most: int


ALWAYS: Final = Part(130, 480)
BANK: Final = Part(22, 220)
LOG: Final = Part(9, 41)
STORE: Final = Part(6, 9)
CHAIN: Final = Part(30, 110)
ENDPOINT: Final = Part(19, 50)
WALLET: Final = Part(15, 40)
CONTRACT: Final = Part(10, 32)
BALANCE: Final = Part(1, 1)
POOL: Final = Part(7, 12)


def least(settings: Settings) -> int:
    """Series that are there once all that is configured works, whatever names the bot thinks of."""
    return sum(part.least * count for part, count in _parts(settings))


def most(settings: Settings) -> int:
    """About as many as there may ever be of what is configured: those of names that the bot thinks of come on top."""
    return sum(part.most * count for part, count in _parts(settings))


def _parts(settings: Settings) -> list[tuple[Part, int]]:
    bot, chain = settings.bot, settings.chain
    found = [(ALWAYS, 1), (BANK, bot.memory_bank is not None), (LOG, len(bot.logs)), (STORE, len(settings.storage))]
    return found if chain is None else [*found, *_of(chain)]


def _of(chain: Chain) -> list[tuple[Part, int]]:
    wallets, contracts, pools = len(chain.wallets), len(chain.contracts), len(chain.pools)
    watched = [(WALLET, wallets), (CONTRACT, contracts), (BALANCE, wallets * len(chain.tokens)), (POOL, pools)]
    return [(CHAIN, 1), (ENDPOINT, len(chain.endpoints)), *watched]
