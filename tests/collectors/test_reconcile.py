import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.books import Writer
from exporter.collector import Sources
from exporter.collectors import reconcile
from exporter.collectors.reconcile import Reconciliation
from exporter.config import Named
from exporter.ledger import Ledger
from exporter.sources.claims import MOST
from exporter.sources.jsonrpc import RpcError
from exporter.sources.memory_bank import Batch
from exporter.sources.records import Trade
from exporter.sources.rpc import Rpc, Unreachable
from tests.claimed_chain import EXECUTOR, GAS, LATER, PRICE, THEIRS, ClaimedChain, hash_of
from tests.fake_rpc import Node, chain, node, status
from tests.sources_for_tests import settings, shown, sources
from tests.wallet_rows import put, row

ETHER = 10**18
OLD = 1.7e9


@pytest.fixture
async def own():
    async with node() as made:
        yield made


def trade(number: int, **changes: Any) -> Trade:
    """A success of the bot that is long past and says nothing of amounts."""
    fields = {
        "key": b"t%d" % number, "digest": b"d", "time": OLD, "pair": "WETH/USDC", "dex_buy": "a", "dex_sell": "b",
        "outcome": "success", "reason": None, "net_wei": None, "gas_wei": None, "expected_wei": None,
        "tx_hash": hash_of(number),
    } | changes  # fmt: skip
    return Trade(**fields)  # type: ignore[arg-type]


async def tell(ledger: Ledger, *trades: Trade, source: str = "memory_bank") -> None:
    """As the bot's files do."""
    batch = Batch(source, trades=list(trades), complete=True)
    await ledger.write(lambda db: Writer(db, "default", source, 100, time.time()).put(batch, []))


@asynccontextmanager
async def opened(
    own: Node, folder: Path, clock: Callable[[], float] = time.time, **more: Any
) -> AsyncIterator[tuple[Sources, Reconciliation]]:
    """Reconciliation over a real ledger and a real connection; its own clock tells when it looks again."""
    made = chain(own, **more)
    async with Rpc(made) as reader, sources(settings(folder, chain=made), rpc=reader) as s:
        yield s, Reconciliation(s, reader, made, clock, lambda: clock() - OLD)


async def test_before_anything_was_looked_up_nothing_is_said_of_it(own: Node, tmp_path: Path) -> None:
    ClaimedChain(own)
    async with opened(own, tmp_path) as (s, reconciliation):
        assert shown(reconcile.COLLECTOR, await reconciliation.step()) == {
            'arb_reconcile_pending_trades{bot="default"}': 0
        }
        await tell(s.ledger, trade(1, tx_hash=None))
        assert (await reconciliation.step()).sums.last_look is None
    assert not own.requests or not [m for m, _ in own.calls if m.startswith("eth_getTransaction")]


async def test_every_status_and_what_was_claimed_and_realised(own: Node, tmp_path: Path) -> None:
    truth = ClaimedChain(own)
    truth.add(1)
    truth.add(3, succeeded=False)
    truth.add(4)
    truth.add(5, sender=THEIRS)
    truth.known[hash_of(5)]["to"] = THEIRS
    truth.add(6, block=95)
    truth.add(7)
    trades = [
        trade(1, net_wei=ETHER), trade(2), trade(3), trade(4, outcome="failed", reason="other"), trade(5), trade(6),
        trade(7, gas_wei=2 * GAS * PRICE),
    ]  # fmt: skip
    own_contract = (Named("executor", EXECUTOR),)
    async with opened(own, tmp_path, contracts=own_contract) as (s, reconciliation):
        await tell(s.ledger, *trades)
        await s.ledger.write(lambda db: put(db, row(1, net_wei=str(ETHER - 5))))
        began = time.time()
        found = shown(reconcile.COLLECTOR, await reconciliation.step())
    assert began <= found.pop('arb_reconcile_last_check_timestamp_seconds{bot="default"}') <= time.time()
    assert found == {
        'arb_reconcile_trades{bot="default",status="confirmed"}': 1,
        'arb_reconcile_trades{bot="default",status="missing"}': 1,
        'arb_reconcile_trades{bot="default",status="reverted"}': 1,
        'arb_reconcile_trades{bot="default",status="mismatch"}': 3,
        'arb_reconcile_pending_trades{bot="default"}': 1,
        'arb_reconcile_mismatches{bot="default",reason="stranger"}': 1,
        'arb_reconcile_mismatches{bot="default",reason="outcome"}': 1,
        'arb_reconcile_mismatches{bot="default",reason="gas_cost"}': 1,
        'arb_reconcile_mismatches{bot="default",reason="net_profit"}': 0,
        'arb_reconcile_claimed_profit_ether{bot="default",source="memory_bank"}': 1.0,
        'arb_reconcile_realised_profit_ether{bot="default",source="memory_bank"}': (ETHER - 5) / ETHER,
    }


async def test_a_bank_of_generated_trades_is_plainly_missing_a_batch_at_a_time(own: Node, tmp_path: Path) -> None:
    ClaimedChain(own)
    many = 3 * MOST - 5
    async with opened(own, tmp_path) as (s, reconciliation):
        await tell(s.ledger, *map(trade, range(many)))
        done = []
        for _ in range(4):
            sums = (await reconciliation.step()).sums
            done.append((sums.statuses.get("missing", 0), sums.statuses.get("pending", 0)))
        asked = [params[0] for method, params in own.calls if method == "eth_getTransactionByHash"]
    assert done[0] == (MOST, many - MOST)
    assert done[-1] == (many, 0)
    assert sorted(asked) == sorted(map(hash_of, range(many)))


async def test_a_pending_trade_is_decided_when_its_block_is_final(own: Node, tmp_path: Path) -> None:
    truth = ClaimedChain(own)
    now = [OLD]
    async with opened(own, tmp_path, lambda: now[0]) as (s, reconciliation):
        truth.add(1, block=None)
        await tell(s.ledger, trade(1, time=None), trade(2, time=None))
        assert (await reconciliation.step()).sums.statuses == {"pending": 2}
        truth.remove(hash_of(1))
        truth.add(1, block=101)
        truth.head, truth.final = 110, 100
        assert (await reconciliation.step()).sums.statuses == {"pending": 2}  # nothing is due
        now[0] += 60
        assert (await reconciliation.step()).sums.statuses == {"pending": 1, "missing": 1}
        truth.final = 101
        now[0] += 60
        assert (await reconciliation.step()).sums.statuses == {"confirmed": 1, "missing": 1}


async def test_a_missing_trade_that_turns_up_late_is_confirmed(own: Node, tmp_path: Path) -> None:
    truth = ClaimedChain(own)
    now = [OLD]
    async with opened(own, tmp_path, lambda: now[0]) as (s, reconciliation):
        await tell(s.ledger, trade(1))
        assert (await reconciliation.step()).sums.statuses == {"missing": 1}
        truth.add(1)
        now[0] += 60
        assert (await reconciliation.step()).sums.statuses == {"confirmed": 1}


async def test_profit_that_the_wallets_ledger_learns_later_counts_from_then_on(own: Node, tmp_path: Path) -> None:
    ClaimedChain(own).add(1)
    now = [OLD]
    async with opened(own, tmp_path, lambda: now[0]) as (s, reconciliation):
        await tell(s.ledger, trade(1, net_wei=ETHER))
        assert (await reconciliation.step()).sums.profits == {}
        await s.ledger.write(lambda db: put(db, row(1, net_wei=str(-ETHER))))
        now[0] += reconcile.SETTLE_EVERY
        sums = (await reconciliation.step()).sums
    assert sums.profits == {"memory_bank": (ETHER, -ETHER)}
    assert (sums.statuses, sums.reasons) == ({"mismatch": 1}, {"net_profit": 1})


async def test_nothing_is_decided_while_no_node_answers(own: Node, tmp_path: Path) -> None:
    truth = ClaimedChain(own)
    async with opened(own, tmp_path) as (s, reconciliation):
        await tell(s.ledger, trade(1))
        own.fault = status(500)
        with pytest.raises(Unreachable):
            await reconciliation.step()
        own.fault = None
        own.answers["eth_getBlockByNumber"] = LATER
        with pytest.raises((RpcError, Unreachable)):
            while True:  # until the endpoint is asked again
                try:
                    await reconciliation.step()
                except Unreachable:
                    await asyncio.sleep(0.05)
        own.answers["eth_getBlockByNumber"] = truth.block
        assert (await reconciliation.step()).sums.statuses == {"missing": 1}


async def test_what_was_decided_outlives_the_exporter_and_is_not_asked_again(own: Node, tmp_path: Path) -> None:
    truth = ClaimedChain(own)
    truth.add(1)
    for run in range(2):
        async with opened(own, tmp_path) as (s, reconciliation):
            await tell(s.ledger, trade(1), trade(2))
            assert (await reconciliation.step()).sums.statuses == {"confirmed": 1, "missing": 1}
        assert [method for method, _ in own.calls].count("eth_getTransactionByHash") == 2, run


async def test_any_part_of_a_look_that_breaks_off_is_made_up_for(own: Node, tmp_path: Path) -> None:
    """Cancelled anywhere, as a killed exporter is, it goes on where it was and decides each claim as if it had not."""
    truth, rng = ClaimedChain(own), random.Random(7)
    real = {number for number in range(90) if rng.random() < 0.5}
    for number in real:
        truth.add(number)
    statuses: dict[str, int] = {}
    while statuses != {"confirmed": len(real), "missing": 90 - len(real)}:
        async with opened(own, tmp_path) as (s, reconciliation):
            await tell(s.ledger, *map(trade, range(90)))
            try:
                async with asyncio.timeout(rng.random() / 30):
                    while True:
                        statuses = (await reconciliation.step()).sums.statuses
            except TimeoutError:
                pass
            assert statuses.get("confirmed", 0) <= len(real)
            assert statuses.get("missing", 0) <= 90 - len(real)


async def test_the_same_is_shown_by_the_same_snapshot(own: Node, tmp_path: Path) -> None:
    ClaimedChain(own)
    async with opened(own, tmp_path) as (s, reconciliation):
        await tell(s.ledger, trade(1))
        first = await reconciliation.step()
        assert await reconciliation.step() is first
        await tell(s.ledger, trade(2))
        assert await reconciliation.step() is not first


async def test_without_a_chain_there_is_nothing(own: Node, tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert reconcile.COLLECTOR.open(s) is None
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
        opened_ = reconcile.COLLECTOR.open(s)
        assert opened_ is not None
        assert opened_.every == reconcile.EVERY  # type: ignore[union-attr]
