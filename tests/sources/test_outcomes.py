"""What became of transactions, from a fake node's words: fees of every kind, flows and their worth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import pytest

from exporter.config import Chain, Named, Pool
from exporter.sources import fee_oracle, flows, outcomes, pools, receipts, states
from exporter.sources.contracts import Known, PoolFacts, Token
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.outcomes import Accountant, Outcome
from exporter.sources.rpc import Rpc
from exporter.sources.transactions import Moved, Sighting
from tests.fake_rpc import Node, chain, node, word

WETH = Token("0x4200000000000000000000000000000000000006", "WETH", 18)
USDC = Token("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USDC", 6)
ODD = Token("0x" + "d" * 40, "ODD", 18)
ME, EXECUTOR, STRANGER = ("0x" + digit * 40 for digit in "abc")
POOL, OTHER_POOL = ("0x" + digit * 40 for digit in "56")
BLOCK, PARENT = "0x" + "1" * 64, "0x" + "2" * 64
NUMBER = 100
KNOWN = Known(
    {address: PoolFacts(address, "uniswap_v2", WETH, USDC, 3000) for address in (POOL, OTHER_POOL)},
    {token.address: token for token in (WETH, USDC)},
    pending=False,
)
POOLS = (Pool("uniswap", "uniswap_v2", POOL), Pool("sushi", "uniswap_v2", OTHER_POOL))
V2_SWAP = next(iter(flows.SWAPS))


def topic(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


class World:
    """A block with transactions, and a node that answers for it."""

    def __init__(self, own: Node) -> None:
        self.node = own
        self.transactions: list[dict[str, Any]] = []
        self.receipts: dict[str, dict[str, Any]] = {}
        self.balances = {hex(NUMBER - 1): 10**18, hex(NUMBER): 10**18}
        self.oracle: dict[str, Any] = {}
        self.replay: Any = {"error": {"code": 3, "message": "execution reverted", "data": "0xe39aafee"}}
        own.answers |= {
            "eth_getTransactionReceipt": lambda sent: self.receipts[sent],
            "eth_getBalance": lambda address, at: hex(self.balances[at]) if address == ME else "0x0",
            "eth_getCode": lambda address, at: "0x60" if self.oracle and address == fee_oracle.ORACLE else "0x",
            "eth_call": self._call,
            "eth_getBlockByNumber": lambda number, full: {"number": number, "hash": BLOCK},
        }

    def _call(self, request: dict[str, str], at: str) -> Any:
        if request["to"] == fee_oracle.ORACLE:
            return self.oracle.get(request["data"][:10], {"error": {"code": 3, "message": "no such function"}})
        if request["to"] in KNOWN.pools:
            assert at == hex(NUMBER)
            return word(100 * 10**18, 300_000 * 10**6, 7) if request["data"] == "0x0902f1ac" else "0x"
        return self.replay if request["to"] == EXECUTOR else "0x"

    def add(self, logs: list[dict[str, Any]] | None = None, **changes: Any) -> str:
        """A transaction with its receipt; returns its hash."""
        place = len(self.transactions)
        sent = "0x" + f"{place + 1:064x}"
        mine = {
            "hash": sent, "blockHash": BLOCK, "transactionIndex": hex(place), "from": ME, "to": EXECUTOR,
            "nonce": hex(place), "value": "0x0", "gas": hex(200_000), "type": "0x2", "maxFeePerGas": hex(100),
            "maxPriorityFeePerGas": "0x1", "input": "0x1234", "chainId": hex(8453),
        }  # fmt: skip
        of_receipt = ("status", "gasUsed", "l1Fee", "operatorFeeScalar", "operatorFeeConstant", "effectiveGasPrice")
        self.transactions.append(mine | {k: v for k, v in changes.items() if k not in of_receipt})
        listed = [
            {"logIndex": hex(i), "transactionHash": sent, "blockHash": BLOCK, "removed": False} | log
            for i, log in enumerate(logs or [])
        ]
        self.receipts[sent] = {
            "transactionHash": sent, "blockHash": BLOCK, "transactionIndex": hex(place), "status": "0x1",
            "gasUsed": hex(100_000), "effectiveGasPrice": hex(20), "logs": listed,
        } | {k: v for k, v in changes.items() if k in of_receipt}  # fmt: skip
        return sent

    async def outcomes(self, known: Known = KNOWN, **settings: Any) -> list[Outcome]:
        parts = {"wallets": (Named("trader", ME),), "contracts": (Named("executor", EXECUTOR),), "pools": POOLS}
        made: Chain = chain(self.node, **(parts | settings))
        async with Rpc(made) as rpc:
            answer = {
                "number": hex(NUMBER), "hash": BLOCK, "parentHash": PARENT, "timestamp": hex(1_750_000_000),
                "baseFeePerGas": hex(10), "gasUsed": "0x1", "transactions": self.transactions,
            }  # fmt: skip
            block = receipts.block(answer, NUMBER, {ME, EXECUTOR})
            ours = tuple(t for t in block.transactions if t.sender == ME or t.to == EXECUTOR)
            return await Accountant(rpc, made).outcomes(Sighting(block, ours), known)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with node() as made:
        yield World(made)


def transfer(token: Token, giver: str, taker: str, amount: int) -> dict[str, Any]:
    topics = [flows.TRANSFER, topic(giver), topic(taker)]
    return {"address": token.address, "topics": topics, "data": word(amount)}


def swap(pool: str, *words: int) -> dict[str, Any]:
    return {"address": pool, "topics": [V2_SWAP, topic(ME), topic(ME)], "data": word(*words)}


SWAPS = [swap(POOL, 0, 5, 7, 0), swap(OTHER_POOL, 7, 0, 0, 5)]


async def test_a_trade_in_ether_and_stablecoins_net_of_all_fees(world: World) -> None:
    logs = [*SWAPS, transfer(WETH, POOL, ME, 10**16), transfer(USDC, POOL, EXECUTOR, 30 * 10**6)]
    world.add(logs, l1Fee=hex(777), operatorFeeScalar="0x0", operatorFeeConstant="0x0")
    world.balances[hex(NUMBER)] -= 100_000 * 20 + 777
    (made,) = await world.outcomes()
    assert (made.l2_wei, made.l1_wei, made.operator_wei) == (2_000_000, 777, 0)
    # 30 USDC at 3,000 USDC per WETH are a hundredth of an ether
    assert made.net_wei == 10**16 + 10**16 - 2_000_777
    assert (made.trade, made.succeeded, made.unvalued, made.reason) == (True, True, 0, None)
    assert made.route == ("WETH/USDC", "uniswap", "sushi")
    assert (made.address, made.sender, made.time) == (ME, ME, 1_750_000_000.0)
    assert made.fees_wei == 2_000_777


async def test_ether_that_moved_inside_is_found_by_the_balances(world: World) -> None:
    world.add([*SWAPS, transfer(WETH, ME, POOL, 10**16)], value=hex(5))
    world.balances[hex(NUMBER)] += 3 * 10**16 - 2_000_000
    (made,) = await world.outcomes()
    assert made.net_wei == -(10**16) + 3 * 10**16 - 2_000_000


async def test_gifts_and_deposits_are_no_profit(world: World) -> None:
    world.add(SWAPS)
    world.add(**{"from": STRANGER, "to": ME, "value": hex(10**17)})
    world.add(**{"from": STRANGER, "to": ME, "value": hex(10**15), "status": "0x0"})
    world.add(to=STRANGER, type="0x7e", mint=hex(10**14), effectiveGasPrice="0x0")
    world.balances[hex(NUMBER)] += 10**17 + 10**14 - 2_000_000
    trade, deposit = await world.outcomes()
    assert trade.net_wei == -2_000_000
    assert (deposit.fees_wei, deposit.net_wei, deposit.trade) == (0, None, False)


async def test_several_trades_of_a_block(world: World) -> None:
    world.add(SWAPS, value=hex(3), to=STRANGER)
    world.add(SWAPS)
    world.add(status="0x0")
    world.balances[hex(NUMBER)] += 1000 - 3 - 3 * 2_000_000
    first, second, third = await world.outcomes()
    assert (first.net_wei, second.net_wei, third.net_wei) == (-3 - 2_000_000, 1000 - 2_000_000, -2_000_000)


async def test_a_token_without_a_price_is_left_out_and_counted(world: World) -> None:
    world.add([*SWAPS, transfer(ODD, POOL, ME, 10**18), transfer(WETH, POOL, ME, 10**16)])
    world.balances[hex(NUMBER)] -= 2_000_000
    (made,) = await world.outcomes()
    assert (made.net_wei, made.unvalued) == (10**16 - 2_000_000, 1)
    assert made.tokens == {ODD.address: 10**18, WETH.address: 10**16}


async def test_a_node_without_old_states_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add([*SWAPS, transfer(WETH, POOL, ME, 10**16), transfer(USDC, POOL, ME, 1)])
    world.node.answers["eth_getBalance"] = {"error": {"code": -32000, "message": "missing trie node"}}
    world.node.answers["eth_call"] = {"error": {"code": -32000, "message": "missing trie node"}}
    with pytest.raises(RpcError):
        await world.outcomes()
    monkeypatch.setattr(states, "PATIENCE", 0.0)
    (made,) = await world.outcomes()
    assert (made.net_wei, made.unvalued) == (10**16 - 2_000_000, 2)


async def test_what_is_wrapped_and_unwrapped_is_no_riddle(world: World) -> None:
    unwrapped = {"address": WETH.address, "topics": [flows.WITHDRAWAL, topic(ME)], "data": word(500)}
    wrapped = {"address": WETH.address, "topics": [flows.DEPOSIT, topic(ME)], "data": word(70)}
    world.add([unwrapped], to=WETH.address)
    world.add(SWAPS)
    world.add([wrapped], to=WETH.address, value=hex(70))
    world.add([*SWAPS, unwrapped])
    world.balances[hex(NUMBER)] += 500 - 70 + 500 - 4 * 2_000_000
    nets = [made.net_wei for made in await world.outcomes()]
    assert nets == [None, -2_000_000, None, -2_000_000]


async def test_balances_of_another_branch_are_refused(world: World) -> None:
    world.add(SWAPS)
    world.node.answers["eth_getBlockByNumber"] = lambda number, full: {"number": number, "hash": PARENT}
    with pytest.raises(Moved):
        await world.outcomes()


async def test_absurd_balances_are_refused(world: World) -> None:
    world.add(SWAPS)
    for absurd in (hex(2**128), "0xzz", hex(2**256 - 1), None):
        world.node.answers["eth_getBalance"] = absurd
        with pytest.raises(Malformed):
            await world.outcomes()


async def test_a_strangers_call_of_our_contract_costs_the_stranger_but_is_ours(world: World) -> None:
    world.add(**{"from": STRANGER, "status": "0x0", "l1Fee": hex(5)})
    (made,) = await world.outcomes()
    assert (made.address, made.sender, made.trade, made.net_wei) == (EXECUTOR, STRANGER, True, -2_000_005)
    assert made.reason == "unprofitable"


async def test_what_is_no_trade_has_no_profit(world: World) -> None:
    world.add(SWAPS[:1])
    world.add(to=STRANGER, status="0x0")
    one_swap, elsewhere = await world.outcomes()
    assert (one_swap.trade, one_swap.net_wei, one_swap.route) == (False, None, ("unknown",) * 3)
    assert (elsewhere.trade, elsewhere.succeeded, elsewhere.reason) == (False, False, "reverted")


async def test_the_oracle_tells_the_l1_fee_where_the_receipt_is_silent(world: World) -> None:
    world.oracle = {fee_oracle.GET_L1_FEE: word(4242)}
    world.add(SWAPS)
    (made,) = await world.outcomes()
    assert made.l1_wei == 4242
    (asked,) = [p[0]["data"] for m, p in world.node.calls if m == "eth_call" and p[0]["to"] == fee_oracle.ORACLE]
    offset, length = int(asked[10:74], 16), int(asked[74:138], 16)
    assert (offset, len(asked[138:]) % 64) == (32, 0)
    assert bytes.fromhex(asked[138 : 138 + 2 * length])[0] == 2


async def test_a_silent_oracle_is_counted(world: World) -> None:
    world.oracle = {"0x12345678": word(1)}
    world.add(SWAPS)
    (made,) = await world.outcomes()
    assert (made.l1_wei, made.unvalued) == (0, 1)


async def test_operator_fees_by_the_oracle_else_by_the_first_formula(world: World) -> None:
    world.add(SWAPS, l1Fee="0x0", operatorFeeScalar=hex(2_000_000), operatorFeeConstant=hex(9))
    assert (await world.outcomes())[0].operator_wei == 100_000 * 2 + 9
    world.oracle = {fee_oracle.GET_OPERATOR_FEE: word(31)}
    assert (await world.outcomes())[0].operator_wei == 31


@pytest.mark.parametrize(
    ("replay", "gas_used", "reason"),
    [
        ("0x", 100_000, "reverted"),  # on that state it would have gone well
        ({"error": {"code": 3, "message": "x", "data": "0x"}}, 199_000, "out_of_gas"),
        ({"error": {"code": 3, "message": "x", "data": "0x4e487b71"}}, 100_000, "panic"),
        ({"error": {"code": -32000, "message": "missing trie node"}}, 100_000, "reverted"),
    ],
)
async def test_reasons_of_reverts(world: World, replay: Any, gas_used: int, reason: str) -> None:
    world.add(status="0x0", gasUsed=hex(gas_used))
    world.replay = replay
    assert (await world.outcomes())[0].reason == reason


async def test_a_late_receipt_is_an_error_and_not_a_nothing(world: World) -> None:
    world.receipts[world.add(SWAPS)] = None  # type: ignore[assignment]
    with pytest.raises(Malformed):
        await world.outcomes()
    world.node.answers["eth_getTransactionReceipt"] = {"error": {"code": -32000, "message": "indexing"}}
    with pytest.raises(RpcError):
        await world.outcomes()


async def test_without_pools_there_are_trades_without_route(world: World) -> None:
    world.add([*SWAPS, transfer(WETH, POOL, ME, 7)])
    world.balances[hex(NUMBER)] -= 2_000_000
    (made,) = await world.outcomes(Known(), pools=())
    assert (made.net_wei, made.route, made.trade) == (7 - 2_000_000, ("unknown",) * 3, True)


@pytest.mark.parametrize("inverted", [False, True])
def test_prices_in_ether_whichever_token_comes_first(inverted: bool) -> None:
    facts = PoolFacts(POOL, "uniswap_v2", *((USDC, WETH) if inverted else (WETH, USDC)), 3000)
    venue = pools.venue(POOLS[0], "uniswap", facts)
    token, price = outcomes._in_ether(venue, Fraction(3000), frozenset({WETH.address}))
    assert (token, price * 3000 * 10**6) == (USDC.address, 10**18)


def test_prices_in_ether_of_a_base_that_is_not_ether() -> None:
    staked = Token("0x" + "9" * 40, "cbETH", 18)
    venue = pools.venue(POOLS[0], "uniswap", PoolFacts(POOL, "uniswap_v2", staked, WETH, 3000))
    assert outcomes._in_ether(venue, Fraction(11, 10), frozenset({WETH.address})) == (staked.address, Fraction(11, 10))
