"""The course of each opportunity as the bot tells it: detected, then rejected, executed or missed, and why."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from web3 import Web3
from web3.types import FilterParams, LogReceipt

from demo.arbitrage import Opportunity
from demo.bank import Books
from demo.chain import ETHER
from demo.market import SWAP_TOPIC, Market, price
from demo.reports import expected_gas_cost, token_pair
from exporter.client import Client, ether

LEAST_PROFIT = ETHER // 5000  # wei, after gas: 0.0002 ether
SWAPS = 2  # of every opportunity here: one pool and back through another

type Route = tuple[str, str]
type Stage = Literal["detected", "executed", "rejected", "missed"]


@dataclass(slots=True)
class Sighting:
    """An opportunity between two pools, from the first block that showed it to the last."""

    id: str  # of the event that told it
    seen_at: float  # epoch seconds
    block: int  # the newest that showed it
    opportunity: Opportunity  # as it was there
    expected: int  # wei of profit after gas there
    wanted_at: float | None = None  # since when it was worth taking, at some block
    rejected: bool = False


class Funnel:
    """Tells each step of each opportunity once, not at every block it lasts."""

    def __init__(self, client: Client, w3: Web3, books: Books, contract: str) -> None:
        self._client, self._w3, self._books = client, w3, books
        self._contract = Web3.to_checksum_address(contract)
        self._open: dict[Route, Sighting] = {}

    def look(self, market: Market) -> None:
        """Compare what the block shows with what was there before."""
        for opportunity in market.opportunities:
            sighting = self.see(opportunity, market)
            reason = rejection(opportunity, market)
            if reason is None:
                sighting.wanted_at = sighting.wanted_at or time.time()
            elif not (sighting.wanted_at or sighting.rejected):
                sighting.rejected = True
                self._tell("rejected", sighting, market, reason)
        gone = self._open.keys() - {_route(opportunity) for opportunity in market.opportunities}
        for route in gone:
            self._lose(self._open.pop(route), market)

    def see(self, opportunity: Opportunity, market: Market) -> Sighting:
        """The sighting that this belongs to; a new one is told."""
        route, expected = _route(opportunity), opportunity.profit - expected_gas_cost(market)
        sighting = self._open.get(route)
        if sighting is None:
            sighting = Sighting("", time.time(), market.block, opportunity, expected)
            sighting.id = self._tell("detected", sighting, market)
            self._open[route] = sighting
        sighting.block, sighting.opportunity, sighting.expected = market.block, opportunity, expected
        return sighting

    def ended(self, sighting: Sighting, market: Market, included: int, success: bool) -> None:
        """We tried to take it, in the block `included`."""
        self._open.pop(_route(sighting.opportunity), None)
        if success:
            self._tell("executed", sighting, market)
        else:
            self._tell("missed", sighting, market, self._loss(sighting, included))

    def _lose(self, sighting: Sighting, market: Market) -> None:
        """It is gone without us: missed if it was worth taking, for there is one transaction at a time."""
        if sighting.wanted_at:
            self._tell("missed", sighting, market, self._loss(sighting, market.block))

    def _loss(self, sighting: Sighting, last: int) -> str:
        """Whether somebody else took it, or the prices just moved, by the swaps since it was seen."""
        pools = [sighting.opportunity.sell_at.address, sighting.opportunity.buy_at.address]
        query: FilterParams = {
            "fromBlock": sighting.block + 1,
            "toBlock": last,
            "address": [Web3.to_checksum_address(address) for address in pools],
            "topics": [SWAP_TOPIC],
        }
        logs = self._w3.eth.get_logs(query) if last > sighting.block else []
        return "competition" if _taken_by_others(logs, self._contract) else "price_moved"

    def _tell(self, stage: Stage, sighting: Sighting, market: Market, reason: str | None = None) -> str:
        found = sighting.opportunity
        dex_buy, dex_sell = found.venues
        return self._client.opportunity(
            pair=found.sell_at.pair,
            dex_buy=dex_buy,
            dex_sell=dex_sell,
            stage=stage,
            reason=reason,
            expected_profit_eth=ether(sighting.expected),
            spread_ratio=spread(found, market),
            confidence=self._books.confidence(token_pair(found), dex_buy, dex_sell),
            path_length=SWAPS,
        )


def rejection(opportunity: Opportunity, market: Market) -> str | None:
    """Why it is not worth taking; `None` if it is."""
    if opportunity.profit - expected_gas_cost(market) >= LEAST_PROFIT:
        return None
    return "gas_too_high" if opportunity.profit >= LEAST_PROFIT else "profit_too_low"


def spread(opportunity: Opportunity, market: Market) -> Decimal:
    """By how much the dearer price is above the cheaper one."""
    prices = [price(pool, market.reserves[pool]) for pool in (opportunity.sell_at, opportunity.buy_at)]
    return Decimal(repr(max(prices) / min(prices) - 1))


def _route(opportunity: Opportunity) -> Route:
    return opportunity.sell_at.address, opportunity.buy_at.address


def _taken_by_others(logs: Iterable[LogReceipt], contract: str) -> bool:
    """Whether one transaction that is not ours swapped at both pools."""
    pools: dict[bytes, set[str]] = {}
    for log in logs:
        if Web3.to_checksum_address(log["topics"][1][-20:]) != contract:  # who asked for the swap
            pools.setdefault(bytes(log["transactionHash"]), set()).add(log["address"])
    return any(len(both) > 1 for both in pools.values())
