"""What contracts of the model answer to calls: tokens, pairs, and the oracle of an OP-stack chain's fees."""

from __future__ import annotations

from eth_abi import decode, encode

from tests.model.deeds import TOKENS, Reverted, words
from tests.model.orders import ORACLE, l1_base_fee
from tests.model.world import Block, World

MULTICALL = "0xca11bde05977b3631167028862be2a173976ca11"
FACTORY = "0x" + "fa" * 20


def is_there(world: World, who: str) -> bool:
    """Whether an address has code."""
    if who == ORACLE:
        return world.rules.l1 != "none"
    if who == MULTICALL:
        return world.multicall
    return who in TOKENS or any(pool.address == who for pool in world.pools)


def call(world: World, block: Block, to: str, data: str) -> str:
    """What a contract returns after a block.

    Raises:
        Reverted: it does not know the call.
    """
    if not is_there(world, to):
        return "0x"
    if to == ORACLE:
        return _oracle(world, block, data)
    return _token(block, to, data) if to in TOKENS else _pool(world, block, to, data)


def _oracle(world: World, block: Block, data: str) -> str:
    match data[:10]:
        case "0x49948e0e":
            (raw,) = decode(["bytes"], bytes.fromhex(data[10:]))
            return words(world.rules.l1_fee_of(len(raw), block.number))
        case "0xf1c7a58b":
            return words(world.rules.l1_fee_of(int(data[10:], 16) + 68, block.number))
        case "0x519b4bd3":
            return words(l1_base_fee(block.number))
        case "0xf8206140":
            return words(1)
        case "0xc5985918":
            return words(2269)
        case "0x68d5dca6":
            return words(1_055_762)
        case "0x275aedd2" if world.rules.operator_by_oracle:
            return words(world.rules.operator_fee(int(data[10:], 16)))
    raise Reverted()


def _token(block: Block, token: str, data: str) -> str:
    symbol, decimals = TOKENS[token]
    match data[:10]:
        case "0x70a08231":
            return words(block.state["token", token, "0x" + data[-40:]])
        case "0x313ce567":
            return words(decimals)
        case "0x95d89b41" | "0x06fdde03":
            return "0x" + encode(["string"], [symbol]).hex()
        case "0x18160ddd":
            return words(10**30)
    raise Reverted()


def _pool(world: World, block: Block, to: str, data: str) -> str:
    pool = next(pool for pool in world.pools if pool.address == to)
    reserves = [block.state["reserve", to, token] for token in (pool.token0, pool.token1)]
    match data[:10]:
        case "0x0902f1ac":
            return words(*reserves, block.timestamp % 2**32)
        case "0x0dfe1681":
            return words(int(pool.token0, 16))
        case "0xd21220a7":
            return words(int(pool.token1, 16))
        case "0xc45a0155":
            return words(int(FACTORY, 16))
    raise Reverted()
