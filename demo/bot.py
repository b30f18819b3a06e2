"""A small real arbitrage bot: it reads the pools, sends flash swaps, writes its books and reports from the receipts."""

import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from zoneinfo import ZoneInfo

import requests
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception
from web3.types import TxParams, TxReceipt

from demo import arbitrage
from demo.arbitrage import BOT_TIP_WEI, Opportunity
from demo.bank import STRATEGY, Books, MemoryBank, Trade, ether
from demo.chain import WETH, Description
from demo.funnel import Funnel, rejection
from demo.market import Market
from demo.reports import Reports, expected_gas_cost, token_pair
from demo.reserves import Known
from demo.voice import Attempt, Voice
from exporter.client import Client

LOOK_SECONDS = 0.05
RECEIPT_SECONDS = 60
TRANSFER_TOPIC = Web3.keccak(text="Transfer(address,address,uint256)")
NO_PROFIT = Web3.keccak(text="NoProfit(uint256,uint256)")[:4].to_0x_hex()
LOG_BYTES, LOG_FILES = 10 * 2**20, 5
LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

log = logging.getLogger("arbitrage_bot")


class TransactionReverted(Exception):
    """The chain undid our transaction; the text is what the trade's file says."""


class LocalFormatter(logging.Formatter):
    """Writes the time of the bot's own zone, whatever the machine's is."""

    def __init__(self, timezone: str) -> None:
        super().__init__(LOG_FORMAT)
        self._zone = ZoneInfo(timezone)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's
        moment = datetime.fromtimestamp(record.created, self._zone)
        return f"{moment:%Y-%m-%d %H:%M:%S},{int(record.msecs):03d}"


class Bot:
    """Everything the bot knows; `step` is one look at one block."""

    def __init__(self, world: Description) -> None:
        self.w3 = Web3(HTTPProvider(world.rpc_url, cache_allowed_requests=True))
        self.bank = MemoryBank(Path(world.memory_bank), world.timezone)
        self.books = Books()
        self.client = Client(world.exporter_url, file=world.events, strategy=STRATEGY)
        self.known = Known(self.w3, world.pools)
        self.voice = Voice(self.client, self.w3, world, self.bank, self.books)
        self.funnel = Funnel(self.client, self.w3, self.books, world.contracts["arbitrageur"])
        self._world = world
        self._wallet = Web3.to_checksum_address(world.wallets["bot"])

    def look(self) -> Market:
        """The pools at the newest block."""
        block = self.w3.eth.get_block("latest")
        reserves = self.known.at(block["number"])
        found = arbitrage.opportunities(reserves)
        return Market(block["number"], block["timestamp"], block["baseFeePerGas"], reserves, found)

    def step(self, market: Market) -> None:
        """Take the best opportunity of the block, if it is worth more than its gas."""
        self.funnel.look(market)
        if not market.opportunities:
            return
        best = market.opportunities[0]
        expected = best.profit - expected_gas_cost(market)
        if rejection(best, market) is not None:
            self.books.rejected += 1
            return
        self.books.found += 1
        log.info(
            "Opportunity %s: buy on %s, sell on %s, expected profit %.6f ETH at block %d",
            *(token_pair(best), *best.venues, ether(expected), market.block),
        )
        path = self.bank.record(self.take(best, market))
        log.info("Trade written to %s", path.name)

    def take(self, best: Opportunity, market: Market) -> Trade:
        """Send the arbitrage and say what the chain made of it."""
        started, sighting = time.monotonic(), self.funnel.see(best, market)
        call = arbitrage.call(
            self.w3, self._wallet, self._world.contracts["arbitrageur"], best, expected_gas_cost(market)
        )
        sent = self.w3.eth.send_transaction({**call, **arbitrage.fees(self.w3, BOT_TIP_WEI)})
        submitted_at = time.time()
        receipt = self.w3.eth.wait_for_transaction_receipt(sent, timeout=RECEIPT_SECONDS, poll_latency=0.1)
        attempt = Attempt(best, sighting, submitted_at, time.time(), receipt)
        gas_cost = receipt["gasUsed"] * receipt["effectiveGasPrice"]
        net_profit = weth_gained(receipt, self._wallet) - gas_cost
        self.books.last_gas_used = receipt["gasUsed"]
        trade = Trade(
            token_pair=token_pair(best),
            dex_buy=best.venues[0],
            dex_sell=best.venues[1],
            expected_profit=best.profit - expected_gas_cost(market),
            confidence=self.books.confidence(token_pair(best), *best.venues),
            success=receipt["status"] == 1,
            net_profit=net_profit,
            gas_cost=gas_cost,
            tx_hash=sent.to_0x_hex(),
            error=self._failure(call, receipt),
            amount=best.owed,
            block_number=receipt["blockNumber"],
            execution_ms=round((time.monotonic() - started) * 1000),
            usd_per_ether=market.usd(),
        )
        self.books.add(trade, self.bank.false_utc(datetime.now(UTC)))
        self.funnel.ended(sighting, market, receipt["blockNumber"], trade.success)
        self.voice.trade(trade, attempt)
        return trade

    def close(self) -> None:
        """Say what is left to say."""
        self.known.close()
        self.client.close()

    def _failure(self, call: TxParams, receipt: TxReceipt) -> str | None:
        """Log how the transaction ended; the reason if it was reverted."""
        name = receipt["transactionHash"].to_0x_hex()
        try:
            self._confirm(call, receipt)
        except TransactionReverted as error:
            log.exception("Trade failed: %s in block %d", name, receipt["blockNumber"])
            return str(error)
        log.info("Trade executed: %s in block %d", name, receipt["blockNumber"])
        return None

    def _confirm(self, call: TxParams, receipt: TxReceipt) -> None:
        """Raise TransactionReverted, with the contract's reason, if the receipt says so."""
        if receipt["status"] == 1:
            return
        try:
            self.w3.eth.call(call, receipt["blockNumber"])
        except ContractCustomError as error:
            raise TransactionReverted(no_profit(str(error.data))) from error
        except ContractLogicError as error:
            raise TransactionReverted(f"Execution reverted: {error.message}") from error
        raise TransactionReverted("Slippage exceeded: the prices moved within the block")


def weth_gained(receipt: TxReceipt, wallet: str) -> int:
    """Wei of WETH that came to the wallet minus those that left it, by the receipt's Transfer logs."""
    gained = 0
    for entry in receipt["logs"]:
        if entry["address"] == WETH.address and entry["topics"][0] == TRANSFER_TOPIC:
            amount = int.from_bytes(entry["data"])
            source, target = (Web3.to_checksum_address(topic[-20:]) for topic in entry["topics"][1:3])
            gained += amount * ((target == wallet) - (source == wallet))
    return gained


def no_profit(data: str) -> str:
    """The contract's error in words."""
    if not data.startswith(NO_PROFIT):
        return f"Execution reverted: {data[:10]}"
    words = bytes.fromhex(data[10:])
    owed, received = int.from_bytes(words[:32]), int.from_bytes(words[32:64])
    return f"Slippage exceeded: NoProfit(owed={ether(owed):.6f} ETH, received={ether(received):.6f} ETH)"


def run(bot: Bot, reports: Reports, stopped: threading.Event) -> None:
    """Look at every block until stopped; a node that is away is asked again each second."""
    seen = -1
    while not stopped.wait(LOOK_SECONDS):
        try:
            if (head := bot.w3.eth.block_number) == seen:
                continue
            seen = head
            market = bot.look()
            reports.write_due(market)
            bot.voice.status(market, bot.known)
            bot.step(market)
        except (requests.RequestException, Web3Exception):
            log.exception("Error in main loop")
            bot.voice.node_is_away()
            stopped.wait(1)


def open_log(path: Path, timezone: str) -> logging.Handler:
    """Write the bot's log to a file that is rotated as the true bot's is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(LocalFormatter(timezone))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return handler


def main() -> None:
    """Run for the world described in the file that is the only argument, until SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    world = Description.read(Path(sys.argv[1]))
    open_log(Path(world.log), world.timezone)
    bot = Bot(world)
    reports = Reports(bot.w3, world, bot.bank, bot.books)
    pidfile = Path(world.pidfile)
    pidfile.write_text(f"{os.getpid()}\n", encoding="ascii")
    log.info("Starting arbitrage bot on chain %d with %d pools", world.chain_id, len(world.pools))
    try:
        run(bot, reports, stopped)
    finally:
        log.info("Arbitrage bot stopped after %d trades", bot.books.total.trades)
        bot.close()
        pidfile.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
