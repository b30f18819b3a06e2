"""The files the bot writes from time to time: what it sees, how it is, and its own totals."""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psutil
from web3 import Web3

from demo.arbitrage import BOT_TIP_WEI, Opportunity
from demo.bank import STRATEGY, Books, Document, MemoryBank, Tally, ether
from demo.chain import WETH, Description
from demo.market import Market, Volume, pool_document

EXPECTED_GAS = 190_000
MARKET_STATE_SECONDS = 60
OPPORTUNITIES_SECONDS = 10
STATUS_SECONDS = 5
BACKUP_SECONDS = 90
DAY_SECONDS = 86_400


class Reports:
    """Writes each report when it is due; the first ones at once."""

    def __init__(self, w3: Web3, world: Description, bank: MemoryBank, books: Books) -> None:
        self._w3 = w3
        self._world = world
        self._bank = bank
        self._books = books
        self._wallet = Web3.to_checksum_address(world.wallets["bot"])
        self._first_block = w3.eth.block_number
        self._volume = Volume(w3, world.pools, self._first_block)
        self._process = psutil.Process()
        self._started = time.time()
        self._schedule: list[tuple[Callable[[Market], None], float]] = [
            (self._write_opportunities, OPPORTUNITIES_SECONDS),
            (self._write_pools, OPPORTUNITIES_SECONDS),
            (self._write_market_state, MARKET_STATE_SECONDS),
            (self._write_state, STATUS_SECONDS),
            (self._write_system_state, STATUS_SECONDS),
            (self._write_executions, STATUS_SECONDS),
            (self._write_metrics, STATUS_SECONDS),
            (self._write_performance, STATUS_SECONDS),
            (self._back_up, BACKUP_SECONDS),
        ]
        self._due = [time.monotonic() for _ in self._schedule]
        self._due[-1] += BACKUP_SECONDS / 3  # there is nothing to back up at the start

    def write_due(self, market: Market) -> None:
        """Write all reports whose time has come, from what the market is now."""
        for index, (write, seconds) in enumerate(self._schedule):
            if time.monotonic() >= self._due[index]:
                self._due[index] = time.monotonic() + seconds
                write(market)

    def _write_opportunities(self, market: Market) -> None:
        now = datetime.now(UTC)
        self._bank.write(
            "state/opportunities.json",
            {
                "opportunities": [self._opportunity(found, market, now) for found in market.opportunities],
                "market_condition": {
                    "timestamp": self._bank.local(now),
                    "analysis": {"is_valid": True, "validation": [True, None, market.agreement()]},
                    "prices": market.usd_by_dex(),
                    "liquidity": market.liquidity_by_dex(),
                },
                "timestamp": now.isoformat(),
            },
        )

    def _opportunity(self, found: Opportunity, market: Market, now: datetime) -> Document:
        pair, venues = token_pair(found), found.venues
        return {
            "id": f"{market.block}-{pair}-{venues[0]}-{venues[1]}",
            "token_pair": pair,
            "dex_1": venues[0],
            "dex_2": venues[1],
            "expected_profit_wei": str(found.profit - expected_gas_cost(market)),
            "confidence_score": self._books.confidence(pair, *venues),
            "timestamp": now.isoformat(),
        }

    def _write_pools(self, market: Market) -> None:
        volume, now = self._volume.read(market.block), datetime.now(UTC).isoformat()
        self._bank.write(
            "state/pool_metrics.json",
            {
                f"{pool.dex}_{pool.base}-{pool.quote}": pool_document(pool, market, volume[pool], now)
                for pool in market.reserves
            },
        )

    def _write_market_state(self, market: Market) -> None:
        self._bank.write(
            "state/market_state.json",
            {
                "gas_price": gwei(market.base_fee),
                "network_status": "connected",
                "price_validation": [True, None, market.agreement()],
                "timestamp": datetime.now(UTC).isoformat(),
            },
        )

    def _write_state(self, market: Market) -> None:
        self._bank.write(
            "state/state.json",
            {
                "bot_status": "running",
                "web3_connected": True,
                "current_block": market.block,
                "last_update": self._bank.false_utc(datetime.now(UTC)),
                "wallet_balance": ether(self._w3.eth.get_balance(self._wallet)),
                "pending_transactions": 0,
                "active_strategies": [STRATEGY],
                "system_resources": {
                    "cpu_usage": psutil.cpu_percent(),
                    "memory_usage": psutil.virtual_memory().percent,
                    "disk_usage": self._disk_percent(),
                },
            },
        )

    def _write_system_state(self, market: Market) -> None:
        now = self._bank.local(datetime.now(UTC))
        self._bank.write(
            "state/system_state.json",
            {
                "timestamp": now,
                "status": "running",
                "uptime": int(time.time() - self._started),
                "version": "1.0.0",
                "network": {
                    "chain_id": self._world.chain_id,
                    "gas_price": gwei(market.base_fee),
                    "block_number": market.block,
                    "connected": True,
                },
                "performance": {
                    "cpu_usage": self._process.cpu_percent(),
                    "memory_usage": self._process.memory_info().rss / 2**20,  # MB, unlike in state.json
                    "disk_usage": self._disk_percent(),
                },
                "components": {
                    "arbitrage_bot": {"status": "running", "last_update": now},
                    "memory_bank": {"status": "healthy", "last_update": now},
                },
            },
        )

    def _write_executions(self, market: Market) -> None:
        now = datetime.now(UTC).isoformat()
        self._bank.write(
            "state/executions.json",
            {
                "last_execution": {
                    "timestamp": now,
                    "status": "ready",
                    "gas_used": self._books.last_gas_used,
                    "blocks_processed": market.block - self._first_block,
                    "opportunities_found": self._books.found,
                    "trades_executed": self._books.total.trades,
                },
                "execution_history": [],
                "timestamp": now,
            },
        )

    def _write_metrics(self, market: Market) -> None:
        total = self._books.total
        self._bank.replace(
            "metrics/metrics.json",
            {
                "gas_price": gwei(market.base_fee),
                "network_status": "connected",
                "uptime": int(time.time() - self._started),
                "wallet_balance": ether(self._w3.eth.get_balance(self._wallet)),
                "system_status": {
                    "cpu_usage": psutil.cpu_percent(),
                    "memory_usage": psutil.virtual_memory().percent,
                    "disk_usage": self._disk_percent(),
                    "last_block": market.block,
                },
                "performance": {
                    "total_profit": ether(total.profit),
                    "success_rate": total.success_rate,
                    "average_profit": total.mean(ether(total.profit)),
                    "total_trades": total.trades,
                    "successful_trades": total.successes,
                    "failed_trades": total.trades - total.successes,
                    "average_gas_cost": total.mean(ether(total.gas)),
                    "profit_trend": list(self._books.trend),
                },
                "market_data": {"tokens": {WETH.symbol: {"price": market.usd()}}},
            },
        )

    def _write_performance(self, market: Market) -> None:
        total, day = self._books.total, self._books.since(time.time() - DAY_SECONDS)
        self._bank.replace(
            "metrics/performance.json",
            {
                "timestamp": self._bank.local(datetime.now(UTC)),
                "success_rate": total.success_rate,
                "total_profit_usd": total.profit_usd,
                "total_gas_cost_eth": ether(total.gas),
                "avg_execution_time": total.mean(total.milliseconds / 1000),
                "total_trades": total.trades,
                "failed_trades": total.trades - total.successes,
                "trades_24h": day.trades,
                "profit_24h": day.profit_usd,
                "active_opportunities": len(market.opportunities),
                "rejected_opportunities": self._books.rejected,
            },
        )
        self._bank.replace("metrics/dex_performance.json", _documents(self._books.by_dex))
        self._bank.replace("metrics/token_metrics.json", _documents(self._books.by_pair))

    def _back_up(self, _: Market) -> None:
        self._bank.back_up()

    def _disk_percent(self) -> float:
        disk = shutil.disk_usage(self._bank.root)
        return 100 * disk.used / disk.total


def token_pair(found: Opportunity) -> str:
    """The pair as the bot writes it: WETH first."""
    return f"{WETH.symbol}-{found.sell_at.other.symbol}"


def expected_gas_cost(market: Market) -> int:
    """Wei an arbitrage will cost, by the block's base fee."""
    return EXPECTED_GAS * (market.base_fee + BOT_TIP_WEI)


def gwei(wei: int) -> float:
    return wei / 10**9


def _documents(tallies: dict[str, Tally]) -> Document:
    return {name: tally.document() for name, tally in tallies.items()}
