"""The main job: a real chain, a real bot, the exporter and a real Prometheus; every figure is compared with web3's."""

import asyncio
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from web3 import Web3

from demo import observers
from demo.world import World
from tests.running import Running, Samples, eventually, free_port

PAIR_ABI = [
    {"name": "getReserves", "type": "function", "stateMutability": "view", "inputs": [],
     "outputs": [{"type": "uint112"}, {"type": "uint112"}, {"type": "uint32"}]},
    {"name": "token0", "type": "function", "stateMutability": "view", "inputs": [], "outputs": [{"type": "address"}]},
    {"name": "token1", "type": "function", "stateMutability": "view", "inputs": [], "outputs": [{"type": "address"}]},
]  # fmt: skip
TOKEN_ABI = [
    {"name": "balanceOf", "type": "function", "stateMutability": "view", "inputs": [{"type": "address", "name": "a"}],
     "outputs": [{"type": "uint256"}]},
    {"name": "symbol", "type": "function", "stateMutability": "view", "inputs": [], "outputs": [{"type": "string"}]},
    {"name": "decimals", "type": "function", "stateMutability": "view", "inputs": [], "outputs": [{"type": "uint8"}]},
]  # fmt: skip


def sample(samples: Samples, name: str, **labels: str) -> float:
    """The one sample with at least these labels."""
    found = [v for (n, ls), v in samples.items() if n == name and set(labels.items()) <= ls]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def summed(samples: Samples, name: str, **labels: str) -> float:
    return sum(v for (n, ls), v in samples.items() if n == name and set(labels.items()) <= ls)


async def ask(prometheus: str, query: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{prometheus}/api/v1/query", params={"query": query}) as response:
            return list((await response.json())["data"]["result"])


async def start_prometheus(world: World, port: int) -> str:
    """A real Prometheus that scrapes every second, with the shipped configuration otherwise."""
    shipped = yaml.safe_load((Path(__file__).parents[2] / "prometheus.yml").read_text())
    job = shipped["scrape_configs"][0] | {
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        "scrape_interval": "1s",
    }
    job.pop("scrape_timeout", None)
    file = world.directory / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job | {"scrape_timeout": "1s"}]}))
    own = free_port()
    program = shutil.which("prometheus")
    assert program, "prometheus is Debian's package of that name; `make test` installs it when root"
    await world.children.start(
        "prometheus", program, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{own}",
        f"--storage.tsdb.path={world.directory / 'tsdb'}",
    )  # fmt: skip
    return f"http://127.0.0.1:{own}"


@pytest.fixture
async def world(tmp_path: Path):
    async with World(tmp_path / "world", block_time=0.5) as made:
        yield made


async def test_the_main_job(world: World, tmp_path: Path) -> None:
    settings = yaml.safe_load(observers.exporter_settings(world))
    await world.start_bot()
    await world.start_traders()
    await world.move_price("sushiswap", "WETH/USDC", 1.02)
    exporter = Running(settings, tmp_path)
    try:
        await asyncio.to_thread(exporter.until_up)  # in a thread: blocks go on being made on the loop
        prometheus = await start_prometheus(world, exporter.port)
        await traded(world, least=3)
        await world.stop("traders")
        await world.stop("bot")
        await asyncio.sleep(1.5)
        world.producing.clear()
        await asyncio.sleep(1)  # a block may be in the making
        await asyncio.to_thread(mine_until_final, world.web3())
        samples = await settled(world, exporter)
        w3 = world.web3()
        check_trades(world, w3, samples)
        check_earnings(world, w3, samples)
        check_chain(w3, samples)
        check_wallets(world, w3, samples)
        check_pools(world, w3, samples)
        check_logs(world, samples)
        await check_prometheus(prometheus, samples)
        check_text(exporter)
        assert json.loads(exporter.get("/readyz"))["ready"] is True
    finally:
        ended = exporter.stop() if exporter.process.poll() is None else None
    assert ended == 0
    log = exporter.stderr.read_text()
    assert "Traceback" not in log
    assert world.rpc_url not in log


async def traded(world: World, least: int) -> None:
    """Wait until the bot has won and lost."""

    def enough() -> bool:
        counts = observers.written_counts(world.bank)
        return counts.success >= least

    await eventually(enough, 120)


async def settled(world: World, exporter: Running) -> Samples:
    """Figures after the exporter has seen the last block and the last file."""
    head = await asyncio.to_thread(lambda: world.web3().eth.block_number)
    final = await asyncio.to_thread(lambda: world.web3().eth.get_block("finalized")["number"])
    written = observers.written_counts(world.bank)
    last: list[list[float]] = [[], []]

    def done() -> bool:
        now = exporter.samples()
        outcomes = "arb_bot_trades_by_outcome_total"
        found = [summed(now, outcomes, source="memory_bank", outcome=o) for o in ("success", "failed")]
        found += [summed(now, "arb_chain_head_block"), summed(now, "arb_wallet_transactions_final_block")]
        found.append(summed(now, "arb_reconcile_trades", status="confirmed"))
        claimed = ("arb_reconcile_claimed_profit_ether", ("source", "memory_bank"))  # known a little after the status
        if not any(name == claimed[0] and claimed[1] in labels for name, labels in now):
            return False
        claims = 2 * (written.success + written.failed)  # in a file, and in an event
        last[:] = [found, [written.success, written.failed, head, final, claims]]
        return last[0] == last[1]

    try:
        await eventually(done, 60)
    except AssertionError:
        raise AssertionError(f"shown {last[0]}, expected {last[1]}: {exporter.stderr.read_text()[-1000:]}") from None
    await asyncio.sleep(3)
    return exporter.samples()


def mine_until_final(w3: Web3) -> None:
    """So many blocks that everything that happened is final."""
    for _ in range(12):
        w3.provider.make_request("evm_mine", [])


def check_earnings(world: World, w3: Web3, samples: Samples) -> None:
    """What the exporter counted is what every block up to the final one says, and what the bot's balances gained."""
    bot = Web3.to_checksum_address(world.description.wallets["bot"])
    executor = Web3.to_checksum_address(world.description.contracts["arbitrageur"])
    final = w3.eth.get_block("finalized")["number"]
    blocks = [w3.eth.get_block(number, full_transactions=True) for number in range(1, final + 1)]
    sent = [t for block in blocks for t in block["transactions"] if t["from"] == bot]
    receipts = [w3.eth.get_transaction_receipt(t["hash"]) for t in sent]
    fees = {status: sum(r["gasUsed"] * r["effectiveGasPrice"] for r in receipts if r["status"] == status)
            for status in (0, 1)}  # fmt: skip
    for status, outcome in ((1, "success"), (0, "reverted")):
        labels = {"wallet": "trader", "outcome": outcome}
        counted = sample(samples, "arb_wallet_transactions_total", **labels)
        assert counted == sum(r["status"] == status for r in receipts)
        paid = sample(samples, "arb_wallet_fees_ether_total", kind="l2_execution", **labels)
        assert paid == pytest.approx(fees[status] / 1e18, rel=1e-12)
    trades = [r for r in receipts if r["to"] == executor]
    for status, outcome in ((1, "success"), (0, "failed")):
        counted = sample(samples, "arb_bot_trades_by_outcome_total", source="chain", outcome=outcome)
        assert counted == sum(r["status"] == status for r in trades)
    weth = w3.eth.contract(address=world.description.tokens[0].address, abi=TOKEN_ABI)
    assert weth.functions.symbol().call() == "WETH"
    paid_for_trades = sum(r["gasUsed"] * r["effectiveGasPrice"] for r in trades)
    earned = (weth.functions.balanceOf(bot).call() - paid_for_trades) / 1e18
    assert summed(samples, "arb_bot_net_profit_ether", source="chain") == pytest.approx(earned, rel=1e-9)
    assert sample(samples, "arb_bot_data_provenance", source="memory_bank", provenance="real") == 1
    assert sample(samples, "arb_bot_data_provenance", source="recent", provenance="real") == 0
    claimed = sample(samples, "arb_reconcile_claimed_profit_ether", source="memory_bank")
    realised = sample(samples, "arb_reconcile_realised_profit_ether", source="memory_bank")
    assert claimed == pytest.approx(realised, rel=1e-9)


def check_trades(world: World, w3: Web3, samples: Samples) -> None:
    """Each trade file's transaction is on the chain, and the exporter's sums are those of the files and receipts."""
    net = gas = Fraction(0)
    for file in (world.bank / "trades").glob("trade_*.json"):
        trade = json.loads(file.read_text())
        receipt = w3.eth.get_transaction_receipt(trade["tx_hash"])
        assert (receipt["status"] == 1) is trade["success"]
        paid = Fraction(receipt["gasUsed"] * receipt["effectiveGasPrice"], 10**18)
        assert abs(paid - Fraction(str(trade["gas_cost"]))) < Fraction(1, 10**12)
        net, gas = net + Fraction(str(trade["net_profit"])), gas + paid
    assert summed(samples, "arb_bot_net_profit_ether", source="memory_bank") == pytest.approx(float(net), abs=1e-9)
    assert summed(samples, "arb_bot_gas_cost_ether_total", source="memory_bank") == pytest.approx(float(gas), abs=1e-9)
    rows = json.loads((world.bank / "trades" / "recent_trades.json").read_bytes().rstrip(b"\0"))["trades"]
    assert summed(samples, "arb_bot_trades_by_outcome_total", source="recent") >= len(rows)
    assert sample(samples, "arb_memory_bank_up") == 1
    assert sample(samples, "arb_bot_process_up") == 0  # it has been ended


def check_chain(w3: Web3, samples: Samples) -> None:
    head = w3.eth.get_block("latest")
    assert sample(samples, "arb_chain_head_block") == head["number"]
    assert sample(samples, "arb_chain_head_timestamp_seconds") == head["timestamp"]
    assert sample(samples, "arb_chain_finalized_block") == w3.eth.get_block("finalized")["number"]
    assert sample(samples, "arb_gas_base_fee_wei") == head["baseFeePerGas"]
    history = w3.eth.fee_history(1, "latest", [10, 50, 90])
    assert sample(samples, "arb_gas_next_base_fee_wei") == history["baseFeePerGas"][-1]
    assert sample(samples, "arb_gas_block_used_ratio") == pytest.approx(head["gasUsed"] / head["gasLimit"])
    assert sample(samples, "arb_rpc_up", endpoint="anvil") == 1


def check_wallets(world: World, w3: Web3, samples: Samples) -> None:
    bot = Web3.to_checksum_address(world.description.wallets["bot"])
    balance = w3.eth.get_balance(bot)
    assert sample(samples, "arb_wallet_balance_ether", wallet="trader") == pytest.approx(balance / 1e18, rel=1e-12)
    assert sample(samples, "arb_wallet_pending_transactions", wallet="trader") == 0
    for token in world.description.tokens:
        contract = w3.eth.contract(address=Web3.to_checksum_address(token.address), abi=TOKEN_ABI)
        symbol, decimals = contract.functions.symbol().call(), contract.functions.decimals().call()
        held = contract.functions.balanceOf(bot).call() / 10**decimals
        shown = sample(samples, "arb_wallet_token_balance", wallet="trader", token=symbol)
        assert shown == pytest.approx(held, rel=1e-12)


def check_pools(world: World, w3: Web3, samples: Samples) -> None:
    prices: dict[str, list[float]] = {}
    decimals = {token.address.lower(): token.decimals for token in world.description.tokens}
    symbols = {token.address.lower(): token.symbol for token in world.description.tokens}
    for pool in world.description.pools:
        contract = w3.eth.contract(address=Web3.to_checksum_address(pool.address), abi=PAIR_ABI)
        raw = contract.functions.getReserves().call()
        tokens = [contract.functions.token0().call().lower(), contract.functions.token1().call().lower()]
        reserves = {symbols[t]: Fraction(raw[i], 10 ** decimals[t]) for i, t in enumerate(tokens)}
        base, quote = pool.pair.split("/")
        labels = {"dex": pool.dex, "pair": pool.pair}
        expected = float(reserves[quote] / reserves[base])
        assert sample(samples, "arb_price_quote_per_base", **labels) == pytest.approx(expected, rel=1e-12)
        prices.setdefault(pool.pair, []).append(expected)
        for symbol, reserve in reserves.items():
            shown = sample(samples, "arb_pool_reserve_tokens", token=symbol, **labels)
            assert shown == pytest.approx(float(reserve), rel=1e-12)
    for pair, found in prices.items():
        spread = max(found) / min(found) - 1
        assert sample(samples, "arb_price_spread_ratio", pair=pair) == pytest.approx(spread, rel=1e-9, abs=1e-12)


def check_logs(world: World, samples: Samples) -> None:
    lines = world.log.read_text().splitlines()
    for level in ("info", "error"):
        written = sum(f" - {level.upper()} - " in line for line in lines)
        assert sample(samples, "arb_bot_log_messages_total", log="arbitrage", level=level) == written


async def check_prometheus(prometheus: str, samples: Samples) -> None:
    """What a real Prometheus stored is what the page says, and no scrape of it ever failed."""
    deadline = asyncio.get_running_loop().time() + 20
    expected = {o: summed(samples, "arb_bot_trades_by_outcome_total", source="memory_bank", outcome=o)
                for o in ("success", "failed")}  # fmt: skip
    while True:
        found = await ask(prometheus, 'arb_bot_trades_by_outcome_total{source="memory_bank"}')
        stored = {row["metric"]["outcome"]: float(row["value"][1]) for row in found}
        if stored == expected or asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.5)
    assert stored == expected
    assert [row["value"][1] for row in await ask(prometheus, "min_over_time(up[5m])")] == ["1"]


def check_text(exporter: Running) -> None:
    promtool = shutil.which("promtool")
    assert promtool
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exporter.get("/metrics"), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
