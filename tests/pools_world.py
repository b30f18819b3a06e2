"""A real node with a pool of every kind: the real contracts where npm has them, our own in tests/contracts else."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from demo import anvil, artifacts
from exporter.config import Chain, Endpoint, Pool, Secret
from exporter.sources import multicall, pools
from exporter.sources.contracts import PoolFacts, Token
from exporter.sources.pools import Venue
from tests.running import free_port

HERE = Path(__file__).parent / "contracts"
MODULES = artifacts.MODULES
BUILDS = {
    "UniswapV3Factory": "@uniswap/v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json",
    "UniswapV3Pool": "@uniswap/v3-core/artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json",
    "PancakeV3Pool": "@pancakeswap/v3-core/artifacts/contracts/PancakeV3Pool.sol/PancakeV3Pool.json",
    "UniswapV2Factory": "@uniswap/v2-core/build/UniswapV2Factory.json",
    "UniswapV2Pair": "@uniswap/v2-core/build/UniswapV2Pair.json",
}
CHAIN_ID = 8453
FEES: Any = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**6}
PLENTY = 10**33
RANGE = 200
"""Half the width of the liquidity of V3 pools, in tick spacings."""


@cache
def compiled() -> dict[str, Any]:
    """Our own contracts, compiled once for each state of their sources."""
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in sorted(HERE.iterdir()) if f.is_file())).hexdigest()[:16]
    cached = MODULES / ".cache" / "arb-exporter-tests" / f"{digest}.json"
    if not cached.exists():
        made = subprocess.run(["node", HERE / "compile.cjs"], capture_output=True, text=True, check=True, timeout=120)
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(f".{time.monotonic_ns()}")
        partial.write_text(made.stdout)
        partial.replace(cached)
    found: dict[str, Any] = json.loads(cached.read_text())
    return found


@cache
def artifact(name: str) -> tuple[list[dict[str, Any]], str]:
    """ABI and creation code of a contract."""
    found = json.loads((MODULES / BUILDS[name]).read_text()) if name in BUILDS else compiled()[name]
    return found["abi"], "0x" + found["bytecode"].removeprefix("0x")


def sqrt_price(price: float) -> int:
    """The square root of a raw price as V3 has it."""
    return int(math.sqrt(price) * 2**96)


class World:
    """A node, three tokens, and a contract that trades."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}"
        self.w3 = Web3(HTTPProvider(self.url, cache_allowed_requests=True))
        self.me: Any = None
        self.venues: dict[str, Venue] = {}

    def prepare(self) -> None:
        """Deploy what all pools need."""
        self.me = self.w3.eth.accounts[0]
        self.trader = self.create("Trader")
        self.tokens = {name: self.token(name, decimals) for name, decimals in (("WETH", 18), ("USDC", 6), ("DAI", 18))}

    def request(self, method: str, *params: object) -> Any:
        """Any request; an error fails the test."""
        answer = self.w3.provider.make_request(RPCEndpoint(method), list(params))
        assert "error" not in answer, answer
        return answer["result"]

    def send(self, call: Any) -> Any:
        """One transaction, mined."""
        receipt = self.w3.eth.wait_for_transaction_receipt(call.transact({"from": self.me, **FEES}), 20, 0.005)
        assert receipt["status"] == 1
        return receipt

    def create(self, name: str, *arguments: object) -> Contract:
        """Deploy a contract."""
        abi, code = artifact(name)
        receipt = self.send(self.w3.eth.contract(abi=abi, bytecode=code).constructor(*arguments))
        return self.at(name, receipt["contractAddress"])

    def at(self, name: str, address: Any) -> Contract:
        """A contract that is there already."""
        return self.w3.eth.contract(Web3.to_checksum_address(address), abi=artifact(name)[0])

    def token(self, symbol: str, decimals: int) -> tuple[Token, Contract]:
        """A token that the trader has plenty of."""
        contract = self.create("Token", symbol, decimals)
        self.send(contract.functions.mint(self.trader.address, PLENTY))
        return Token(contract.address.lower(), symbol, decimals), contract

    def plant_multicall(self) -> None:
        """Put the aggregating contract where all chains have it."""
        self.plant("Multicall", multicall.ADDRESS)

    def plant(self, name: str, address: str) -> None:
        """Put a contract's code at an address."""
        self.request("anvil_setCode", address, self.w3.eth.get_code(self.create(name).address).to_0x_hex())

    # --- pools; prices are quote for one base in whole tokens, depths in whole base tokens ---

    def pair(self, dex: str, base: str, quote: str, price: float, depth: float) -> Contract:
        """A real Uniswap V2 pair."""
        factory = self.create("UniswapV2Factory", self.me)
        self.send(factory.functions.createPair(self.tokens[base][1].address, self.tokens[quote][1].address))
        made = self.at("UniswapV2Pair", factory.functions.allPairs(0).call())
        facts = self.facts(made.address, "uniswap_v2", base, quote, 3000)
        self.send(self.trader.functions.fillPair(made.address, *self.amounts(facts, base, price, depth)))
        self.add(dex, facts)
        return made

    def solidly(
        self, dex: str, base: str, quote: str, price: float, depth: float, *, stable: bool, bps: int = 30
    ) -> Contract:
        """A Solidly pool of our own."""
        addresses = self.tokens[base][1].address, self.tokens[quote][1].address
        made = self.create("SolidlyPool", *addresses, stable, bps)
        facts = self.facts(made.address, "solidly", base, quote, bps * 100)
        self.send(self.trader.functions.fill(made.address, *self.amounts(facts, base, price, depth), True))
        self.add(dex, facts)
        return made

    def v3(self, dex: str, base: str, quote: str, price: float, liquidity: int, fee: int = 500) -> Contract:
        """A real Uniswap V3 pool."""
        factory = self.create("UniswapV3Factory")
        tokens = sorted((self.tokens[base][1].address, self.tokens[quote][1].address), key=lambda a: int(a, 16))
        self.send(factory.functions.createPool(*tokens, fee))
        made = self.at("UniswapV3Pool", factory.functions.getPool(*tokens, fee).call())
        return self._start(made, dex, self.facts(made.address, "uniswap_v3", base, quote, fee), base, price, liquidity)

    def pancake(self, dex: str, base: str, quote: str, price: float, liquidity: int, fee: int = 2500) -> Contract:
        """A real Pancake V3 pool, created by a contract of ours."""
        tokens = sorted((self.tokens[base][1].address, self.tokens[quote][1].address), key=lambda a: int(a, 16))
        deployer = self.create("PoolDeployer")
        self.send(deployer.functions.create(*tokens, fee, 50, artifact("PancakeV3Pool")[1]))
        made = self.at("PancakeV3Pool", deployer.functions.pool().call())
        return self._start(made, dex, self.facts(made.address, "uniswap_v3", base, quote, fee), base, price, liquidity)

    def slipstream(self, dex: str, base: str, quote: str, price: float, liquidity: int, fee: int = 400) -> Contract:
        """A Slipstream pool of our own."""
        addresses = self.tokens[base][1].address, self.tokens[quote][1].address
        root = sqrt_price(self._raw(base, quote, price))
        made = self.create("SlipstreamPool", *addresses, root, tick_of(root), liquidity, fee)
        facts = self.facts(made.address, "slipstream", base, quote, fee)
        held = [liquidity * 2**96 // root, liquidity * root // 2**96]
        self.send(self.trader.functions.fill(made.address, *held, False))
        self.add(dex, facts)
        return made

    def _start(self, made: Contract, dex: str, facts: PoolFacts, base: str, price: float, liquidity: int) -> Contract:
        other = facts.token0.symbol if facts.token1.symbol == base else facts.token1.symbol
        self.send(made.functions.initialize(sqrt_price(self._raw(base, other, price))))
        spacing, tick = made.functions.tickSpacing().call(), made.functions.slot0().call()[1]
        lower, upper = ((tick // spacing + side * RANGE) * spacing for side in (-1, 1))
        self.send(self.trader.functions.fillConcentrated(made.address, lower, upper, liquidity))
        self.add(dex, facts)
        return made

    def _raw(self, base: str, quote: str, price: float) -> float:
        """The raw price of token0 in token1."""
        one, other = self.tokens[base][0], self.tokens[quote][0]
        raw = price * 10.0 ** (other.decimals - one.decimals)
        return raw if int(one.address, 16) < int(other.address, 16) else 1 / raw

    def amounts(self, facts: PoolFacts, base: str, price: float, depth: float) -> tuple[int, int]:
        """Raw amounts in the order of the pool's tokens."""
        sides = facts.token0, facts.token1
        one, other = (int((depth if t.symbol == base else depth * price) * 10**t.decimals) for t in sides)
        return one, other

    def facts(self, address: str, kind: str, base: str, quote: str, fee: int) -> PoolFacts:
        """What discovery would find out."""
        one, other = sorted((self.tokens[base][0], self.tokens[quote][0]), key=lambda token: int(token.address, 16))
        return PoolFacts(address.lower(), kind, one, other, fee)

    def add(self, dex: str, facts: PoolFacts) -> None:
        """Make it a venue."""
        self.venues[dex] = pools.venue(Pool(dex, facts.kind, facts.address), f"{dex}-{facts.fee}", facts)

    def chain(self, *dexes: str, websocket: bool = True) -> Chain:
        """Settings with this node and these pools, or all."""
        venues = [self.venues[dex] for dex in dexes or self.venues]
        endpoint = Endpoint("anvil", Secret(self.url), ws=Secret(self.ws) if websocket else None)
        configured = tuple(Pool(v.dex, v.facts.kind, v.facts.address) for v in venues)
        return Chain(chain_id=CHAIN_ID, endpoints=(endpoint,), pools=configured)


def tick_of(sqrt_price_x96: int) -> int:
    """The tick below a price."""
    return math.floor(2 * (math.log2(sqrt_price_x96) - 96) / math.log2(1.0001))


@contextmanager
def world(*arguments: str) -> Iterator[World]:
    """A node of its own that mines each transaction at once."""
    made = World(free_port())
    command = [anvil.binary(), "--quiet", "--host", "127.0.0.1", "--port", str(made.port), "--chain-id", str(CHAIN_ID),
               "--disable-min-priority-fee", *arguments]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not made.w3.is_connected():
            assert process.poll() is None, "anvil has ended"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.01)
        made.prepare()
        yield made
    finally:
        process.kill()
        process.wait()
