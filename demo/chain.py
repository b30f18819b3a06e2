"""The world description: what is deployed where, and where the bot keeps its books."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

ETHER = 10**18
BOT_TIMEZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class Token:
    symbol: str
    name: str
    address: str
    decimals: int


# The addresses these tokens have on Base.
WETH = Token("WETH", "Wrapped Ether", "0x4200000000000000000000000000000000000006", 18)
USDC = Token("USDC", "USD Coin", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", 6)
DAI = Token("DAI", "Dai Stablecoin", "0x50c5725949A6F0c72E6C4a641F24049A917DB0Cb", 18)
CBETH = Token("cbETH", "Coinbase Wrapped Staked ETH", "0x2Ae3F1Ec7F1F5012CFEab0185bfc7aa3cf0DEc22", 18)
TOKENS = {token.symbol: token for token in (WETH, USDC, DAI, CBETH)}


@dataclass(frozen=True, slots=True)
class Pool:
    """A Uniswap V2 pair of WETH and another token."""

    dex: str
    base: str  # symbols; the pool's price is what one base costs in quote
    quote: str
    address: str

    @property
    def pair(self) -> str:
        return f"{self.base}/{self.quote}"

    @property
    def other(self) -> Token:
        """The token that is not WETH."""
        return TOKENS[self.quote if self.base == WETH.symbol else self.base]

    @property
    def weth_first(self) -> bool:
        """Whether WETH is the pair's token0: the token with the lower address is."""
        return int(WETH.address, 16) < int(self.other.address, 16)


@dataclass(frozen=True, slots=True)
class Description:
    """Everything a program needs to know to take part in the world or to check it."""

    chain_id: int
    rpc_url: str
    ws_url: str
    block_time: float  # seconds
    tokens: list[Token]
    pools: list[Pool]
    factories: dict[str, str]  # by dex
    routers: dict[str, str]  # by dex
    wallets: dict[str, str]  # deployer, bot, rival, trader-1 …; the node holds their keys
    contracts: dict[str, str]  # the Arbitrageur of bot and of rival
    memory_bank: str
    log: str
    pidfile: str
    events: str  # where the bot leaves what it cannot send
    exporter_url: str  # where it reports its events; empty if nobody listens
    timezone: str  # of the bot's local timestamps

    def pool(self, dex: str, pair: str) -> Pool:
        """The pool of that exchange and pair; raises KeyError if there is none."""
        for pool in self.pools:
            if (pool.dex, pool.pair) == (dex, pair):
                return pool
        raise KeyError(f"no pool {pair} on {dex}")

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fields["tokens"] = [Token(**token) for token in fields["tokens"]]
        fields["pools"] = [Pool(**pool) for pool in fields["pools"]]
        return cls(**fields)
