"""A small chain for the fake node: tokens, pools and wallets whose calls are answered with hand-encoded words."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from tests.fake_rpc import Node, word

WETH = "0x4200000000000000000000000000000000000006"
USDC = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
WALLET = "0x" + "aa" * 20
V2_A, V2_B, V3, SLIPSTREAM, STABLE, VOLATILE = (f"0x{i:02x}" + "bb" * 19 for i in range(1, 7))
NOBODY = "0x" + "00" * 19 + "ff"
FACTORY = "0x420dd381b31aef6683db6b902084cb0ffece40da"
REVERT = {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}


def text(symbol: str) -> str:
    """A string as the ABI encodes it."""
    raw = symbol.encode()
    return word(32, len(raw)) + raw.hex().ljust((len(raw) + 31) // 32 * 64, "0")


class Contracts:
    """Answers `eth_call` by contract and selector; whatever is not there reverts, and nobody answers nothing."""

    def __init__(self) -> None:
        weth, usdc = int(WETH, 16), int(USDC, 16)
        sides = {"0x0dfe1681": word(weth), "0xd21220a7": word(usdc)}
        slot0 = (2**96, 5, 0, 1, 1, 0, 1)
        self.code: dict[str, dict[str, str]] = {
            WETH: {"0x313ce567": word(18), "0x95d89b41": text("WETH")},
            USDC: {"0x313ce567": word(6), "0x95d89b41": "0x" + b"USDC".hex().ljust(64, "0")},
            V2_A: {**sides, "0x0902f1ac": word(100 * 10**18, 300_000 * 10**6, 7)},
            V2_B: {**sides, "0x0902f1ac": word(100 * 10**18, 303_000 * 10**6, 7)},
            V3: {**sides, "0x3850c7bd": word(*slot0), "0xddca3f43": word(500), "0xd0c93a7c": word(10)},
            SLIPSTREAM: {**sides, "0x3850c7bd": word(*slot0[:6]), "0xddca3f43": word(400), "0xd0c93a7c": word(100)},
            STABLE: {**sides, "0x0902f1ac": word(1, 2, 3), "0x22be3de1": word(1), "0xc45a0155": word(int(FACTORY, 16))},
            VOLATILE: {
                **sides,
                "0x0902f1ac": word(1, 2, 3),
                "0x22be3de1": word(0),
                "0xc45a0155": word(int(FACTORY, 16)),
            },
            FACTORY: {"0xcc56b2c5": word(30)},
        }
        self.balances = {(WETH, WALLET): 5 * 10**17, (USDC, WALLET): 1_500_250_000}

    def call(self, request: dict[str, str], block: str) -> Any:
        """The answer to one read."""
        to, data = request["to"].lower(), request["data"]
        if to not in self.code:
            return "0x"
        if data.startswith("0x70a08231"):
            return word(self.balances.get((to, "0x" + data[-40:]), 0))
        return self.code[to].get(data[:10], REVERT)


def block(number: int, fork: str = "", forked: int = 0, interval: int = 2) -> dict[str, str]:
    """A header as nodes write it: block 100 is of time 1,750,000,000; a fork differs from block `forked` on."""

    def name(height: int) -> str:
        return "0x" + sha256(f"{height} {fork if height >= forked else ''}".encode()).hexdigest()

    return {
        "number": hex(number), "hash": name(number), "parentHash": name(number - 1),
        "timestamp": hex(1_750_000_000 + round((number - 100) * interval)),
        "baseFeePerGas": "0x64", "gasUsed": "0x10", "gasLimit": "0x20",
    }  # fmt: skip


def serve(node: Node) -> Contracts:
    """Let a node answer for these contracts."""
    contracts = Contracts()
    node.answers |= {
        "eth_call": contracts.call,
        "eth_getBalance": hex(125 * 10**16),
        "eth_getTransactionCount": lambda address, tag: hex(42 if tag == "latest" else 43),
        "eth_getCode": "0x",
        "eth_feeHistory": {"baseFeePerGas": ["0x64", "0xc8"], "gasUsedRatio": [0.25],
                           "reward": [["0x1", "0x2", "0x3"]]},
        "eth_getBlockByNumber": lambda tag, full: block(
            {"latest": 100, "finalized": 90, "safe": 90}[tag] if tag.isalpha() else int(tag, 16)),
    }  # fmt: skip
    return contracts
