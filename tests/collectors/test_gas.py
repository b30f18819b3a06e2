from pathlib import Path
from typing import Any

import pytest

from exporter.collectors import gas
from exporter.collectors.gas import Fees, Trades
from exporter.sources import fee_window, l1_fees
from exporter.sources.jsonrpc import Malformed, RpcError
from exporter.sources.rpc import Rpc, Unreachable
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, status, word
from tests.sources_for_tests import settings, shown, sources
from tests.wallet_rows import hash_of, put, row


@pytest.fixture
async def own():
    async with node() as made:
        model.serve(made)
        yield made


async def test_fees_of_a_chain_without_an_oracle(own: Node) -> None:
    async with Rpc(chain(own)) as reader:
        found = shown(gas.COLLECTOR, await Fees(reader).read())
    assert found == {
        "arb_gas_base_fee_wei": 100,
        "arb_gas_next_base_fee_wei": 200,
        "arb_gas_block_used_ratio": 0.25,
        'arb_gas_priority_fee_wei{percentile="10"}': 1,
        'arb_gas_priority_fee_wei{percentile="50"}': 2,
        'arb_gas_priority_fee_wei{percentile="90"}': 3,
    }


async def test_fees_of_l1_where_there_is_an_oracle_which_is_asked_for_once(own: Node) -> None:
    own.answers["eth_getCode"] = "0x6000"
    own.answers["eth_call"] = lambda call, _: word(3 * 10**9) if call["data"] == l1_fees.L1_BASE_FEE else model.REVERT
    async with Rpc(chain(own)) as reader:
        fees = Fees(reader)
        for _ in range(3):
            snapshot = await fees.read()
    assert (snapshot.l1_base_fee_wei, snapshot.l1_blob_base_fee_wei) == (3 * 10**9, None)
    assert sum(method == "eth_getCode" for method, _ in own.calls) <= 2


@pytest.mark.parametrize("answer", [None, {"error": {"code": -32601}}])
async def test_a_node_that_does_not_tell_code_costs_the_fees_of_l1_until_it_does(own: Node, answer: Any) -> None:
    own.answers["eth_getCode"] = answer
    own.answers["eth_call"] = word(3)
    async with Rpc(chain(own)) as reader:
        fees = Fees(reader)
        blind = await fees.read()
        own.answers["eth_getCode"] = "0x6000"
        seen = await fees.read()
    assert (blind.base_fee_wei, blind.l1_base_fee_wei, seen.l1_base_fee_wei) == (100, None, 3)


@pytest.mark.parametrize(
    "history",
    [None, {}, {"baseFeePerGas": [], "gasUsedRatio": []}, {"baseFeePerGas": ["0x1"], "gasUsedRatio": [0.1]},
     {"baseFeePerGas": ["0x1", "x"], "gasUsedRatio": [0.1]}, {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": ["a"]},
     {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [7]}, {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [True]},
     {"baseFeePerGas": "0x12", "gasUsedRatio": [1]}, {"error": {"code": -32601}}],
)  # fmt: skip
async def test_what_is_no_fee_history(own: Node, history: Any) -> None:
    own.answers["eth_feeHistory"] = history
    async with Rpc(chain(own)) as reader:
        with pytest.raises((Malformed, RpcError)):
            await Fees(reader).read()


@pytest.mark.parametrize("reward", [None, [], [[]], "x"])
async def test_an_empty_block_has_no_priority_fees(own: Node, reward: Any) -> None:
    own.answers["eth_feeHistory"] = {"baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [0], "reward": reward}
    async with Rpc(chain(own)) as reader:
        assert (await Fees(reader).read()).priority_fee_wei == {}


async def test_a_node_that_is_down_is_an_error(own: Node, tmp_path: Path) -> None:
    own.fault = status(500)
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
        with pytest.raises(Unreachable):
            await gas.COLLECTOR.open(s).read()  # type: ignore[union-attr]


async def test_without_a_chain_there_is_nothing(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert gas.COLLECTOR.open(s) is None


# --- the hour, and what a trade costs ------------------------------------------------------------------------------

THEN = {"l1GasPrice": "0x64", "l1BlobBaseFee": "0x0", "l1BaseFeeScalar": "0x1", "l1BlobBaseFeeScalar": "0x0"}


def oracle(own: Node, operator: Any = model.REVERT) -> None:
    """An oracle that says that L1 is twice as dear now as it was `THEN`."""
    own.answers["eth_getCode"] = "0x6000"
    said = {
        l1_fees.L1_BASE_FEE: word(200), l1_fees.BLOB_BASE_FEE: word(0),
        l1_fees.BASE_SCALAR: word(1), l1_fees.BLOB_SCALAR: word(0), l1_fees.OPERATOR_FEE: operator,
    }  # fmt: skip
    own.answers["eth_call"] = lambda call, _: said[call["data"][:10]]


async def learned(own: Node, folder: Path, *rows: dict[str, Any]) -> tuple[dict[str, float], int | None]:
    """What is shown after one read with these transactions in the ledger, and the cost that others are told."""
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(folder, chain=made), rpc=reader) as s:
        await s.ledger.write(lambda db: put(db, *rows))
        snapshot = await gas.COLLECTOR.open(s).read()  # type: ignore[union-attr]
        return shown(gas.COLLECTOR, snapshot), s.costs.trade_cost_wei


async def test_an_arbitrage_costs_the_usual_gas_and_the_usual_size_at_the_fees_of_now(
    own: Node, tmp_path: Path
) -> None:
    oracle(own, operator=word(9 * 10**9))
    paid = {hash_of(n): hex(n * 10**9) for n in (1, 2, 3)}
    own.answers["eth_getTransactionReceipt"] = lambda tx_hash: THEN | {"l1Fee": paid[tx_hash]}
    rows = [row(n, gas_used=100_000 * n, l1_wei=str(n * 10**9)) for n in (1, 2, 3)]
    others = [row(4, trade=0), row(5, confirmed=0), row(6, outcome="failed")]  # none of these is learned from
    found, told = await learned(own, tmp_path, *rows, *others)
    l1 = 2 * 2 * 10**9
    assert found["arb_gas_trade_l1_fee_ether"] == pytest.approx(l1 / 1e18)
    assert told == 200_000 * (200 + 2) + l1 + 9 * 10**9
    assert found["arb_gas_trade_cost_ether"] == pytest.approx(told / 1e18)
    assert found["arb_gas_l1_base_fee_wei"] == 200


async def test_without_l1_fees_in_receipts_what_was_paid_stands_for_what_is_to_be_paid(
    own: Node, tmp_path: Path
) -> None:
    oracle(own)
    own.answers["eth_getTransactionReceipt"] = {"l1Fee": "0x5"}
    found, told = await learned(own, tmp_path, row(1, l1_wei="7000"))
    assert (found["arb_gas_trade_l1_fee_ether"], told) == (7000 / 1e18, 200_000 * 202 + 7000)


async def test_on_a_rollup_nothing_is_said_of_a_cost_whose_data_fee_is_unknown(own: Node, tmp_path: Path) -> None:
    oracle(own)
    found, told = await learned(own, tmp_path, row(1))
    assert told is None
    assert not [name for name in found if "trade" in name]


async def test_without_an_oracle_gas_is_all_that_a_trade_costs(own: Node, tmp_path: Path) -> None:
    found, told = await learned(own, tmp_path, row(1))
    assert (told, found["arb_gas_trade_cost_ether"]) == (200_000 * 202, 200_000 * 202 / 1e18)
    assert "arb_gas_trade_l1_fee_ether" not in found


async def test_before_the_first_trade_no_cost_is_made_up(own: Node, tmp_path: Path) -> None:
    oracle(own)
    found, told = await learned(own, tmp_path, row(5, confirmed=0))
    assert told is None
    assert not [name for name in found if "trade" in name]


async def test_receipts_are_asked_for_once_and_trades_now_and_then(own: Node, tmp_path: Path) -> None:
    oracle(own)
    own.answers["eth_getTransactionReceipt"] = THEN | {"l1Fee": "0x64"}
    made, now = chain(own), [0.0]
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
        trades = Trades(s.ledger, reader, made.chain_id, lambda: now[0])
        for number in (1, 2, 3):
            await s.ledger.write(lambda db, number=number: put(db, row(number, l1_wei="100")))
            await trades.learn()
            await trades.learn()
            now[0] += gas.LEARN_EVERY
        await trades.learn()  # nothing has changed since
    asked = [params[0] for method, params in own.calls if method == "eth_getTransactionReceipt"]
    assert asked == [hash_of(1), hash_of(2), hash_of(3)]
    assert trades.l1_fee_wei(l1_fees.Prices(200, 0, 1, 0)) == 200


async def test_fees_are_shown_also_while_the_ledger_cannot_be_read(own: Node, tmp_path: Path) -> None:
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
        trades = Trades(s.ledger, reader, made.chain_id)
        await s.ledger.write(lambda db: db.execute("ALTER TABLE wallet_transaction RENAME TO elsewhere"))
        assert (await Fees(reader, trades).read()).base_fee_wei == 100


async def test_the_hours_fees_show_once_there_are_enough(own: Node) -> None:
    bases = iter(range(1, 1 + fee_window.LEAST))
    own.answers["eth_feeHistory"] = lambda *_: {"baseFeePerGas": [hex(next(bases)), "0x1"], "gasUsedRatio": [0]}
    async with Rpc(chain(own)) as reader:
        fees = Fees(reader)
        *_, before, after = [await fees.read() for _ in range(fee_window.LEAST)]
    assert (before.window_wei, before.trend_ratio) == ({}, None)
    found = shown(gas.COLLECTOR, after)
    assert [found[f'arb_gas_base_fee_window_wei{{percentile="{p}"}}'] for p in (10, 50, 90)] == [6, 30, 54]
    assert found["arb_gas_base_fee_trend_ratio"] == 1.0
