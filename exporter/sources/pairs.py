"""One name for a pair whatever order and spelling a source uses: `BASE/QUOTE`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exporter.metrics import OTHER, UNKNOWN

# Tokens of Base by symbol, for sources that know symbols only; the chain itself is asked for configured pools.
ADDRESSES: Final[Mapping[str, str]] = MappingProxyType({
    "WETH": "0x4200000000000000000000000000000000000006",
    "USDC": "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913",
    "USDbC": "0xd9aaec86b65d86f6a7b5b1b0c42ffa531710b6ca",
    "DAI": "0x50c5725949a6f0c72e6c4a641f24049a917db0cb",
    "USDT": "0xfde4c96c8593536e31f229ea8f37b2ada2699bb2",
    "cbETH": "0x2ae3f1ec7f1f5012cfeab0185bfc7aa3cf0dec22",
    "wstETH": "0xc1cba3fcea344f92d9239c08c0568f6f2f0ee452",
    "rETH": "0xb6fe221fe9eef5aba221c348ba20a1bf5e73624c",
    "cbBTC": "0xcbb7c0000ab88b473b1f5afd9ef808440eed33bf",
    "AERO": "0x940181a94a35a4569e4529a3cdfb74e38fd98631",
    "EURC": "0x60a3e35cc302bfa44cb288bc5a4f316fdb1adb42",
    "ETH": "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",  # has no contract: what bots and aggregators write instead
})  # fmt: skip
SYMBOLS: Final = {address: symbol for symbol, address in ADDRESSES.items()}
STABLE: Final = frozenset(
    ("USDC", "USDBC", "USDT", "DAI", "USDC.E", "USDT0", "USDS", "USDE", "FRAX", "LUSD", "GHO", "PYUSD", "FDUSD",
     "TUSD", "BUSD", "CRVUSD", "USD+", "DOLA", "MIM", "AXLUSDC", "AXLUSDT", "EURC")
)  # fmt: skip
_TOKEN: Final = re.compile(r"[A-Za-z0-9.+₮]{1,24}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_SEPARATOR: Final = re.compile(r"\s*[-/_]\s*")


def pair_of_symbols(text: object) -> str:
    """The pair a bot names, such as `USDC-WETH`; `unknown` if it names none, `other` for tokens we cannot name."""
    tokens = _tokens(text)
    if OTHER in tokens:
        return OTHER
    if UNKNOWN in tokens:
        return UNKNOWN
    base, quote = _ordered(tokens[0], tokens[1])
    return f"{base}/{quote}"


def turned(text: object) -> bool:
    """Whether the pair that is made of a text names its tokens the other way round."""
    tokens = _tokens(text)
    return not {OTHER, UNKNOWN} & set(tokens) and _ordered(tokens[0], tokens[1])[0] != tokens[0]


def _tokens(text: object) -> list[str]:
    parts = _SEPARATOR.split(text.strip()) if isinstance(text, str) else []
    return [_symbol(part) for part in parts] if len(parts) == 2 else [UNKNOWN]


def _symbol(part: str) -> str:
    if _ADDRESS.fullmatch(part):
        return SYMBOLS.get(part.lower(), OTHER)
    return part if _TOKEN.fullmatch(part) else UNKNOWN


def _ordered(one: str, other: str) -> tuple[str, str]:
    """Base before quote; two tokens of the same rank whose addresses are unknown stay as they were reported."""
    if _rank(one) != _rank(other):
        return (one, other) if _rank(one) < _rank(other) else (other, one)
    addresses = ADDRESSES.get(one), ADDRESSES.get(other)
    if addresses[0] is None or addresses[1] is None:
        return one, other
    return (one, other) if addresses[0] < addresses[1] else (other, one)


def _rank(symbol: str) -> int:
    """How much a token wants to be the quote."""
    if symbol.upper() in STABLE:
        return 2
    return 1 if symbol.upper() == "WETH" else 0


def pair_of_tokens(token0: tuple[str, str], token1: tuple[str, str]) -> tuple[str, bool]:
    """The pair of a pool's tokens, each given as (symbol, address), and whether token0 is the quote."""
    ranks = _rank(token0[0]), _rank(token1[0])
    inverted = (ranks[0], int(token0[1], 16)) > (ranks[1], int(token1[1], 16))
    base, quote = (token1, token0) if inverted else (token0, token1)
    return f"{base[0]}/{quote[0]}", inverted
