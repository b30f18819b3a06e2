import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.collectors import wallet
from exporter.collectors.wallet import Wallets
from exporter.config import Chain, Named
from exporter.sources.contracts import Contracts, Known, Token
from exporter.sources.rpc import Rpc, Unreachable
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, status
from tests.sources_for_tests import settings, shown, sources
from tests.wallet_rows import put, row

TOKENS = {model.WETH: Token(model.WETH, "WETH", 18), model.USDC: Token(model.USDC, "USDC", 6)}
WALLETS = (Named("trader", model.WALLET), Named("spare", "0x" + "cc" * 20))


class Told:
    """Contracts that are known already."""

    async def known(self) -> Known:
        return Known({}, TOKENS, pending=False)


TOLD = Told()


@pytest.fixture
async def own():
    async with node() as made:
        model.serve(made)
        yield made


@asynccontextmanager
async def opened(made: Chain, folder: Path, contracts: Any = TOLD) -> AsyncIterator[Wallets]:
    """The wallets' reader over a real ledger and a real connection."""
    async with Rpc(made) as reader, sources(settings(folder, chain=made), rpc=reader) as s:
        yield Wallets(s, reader, contracts, made)


async def test_every_figure_of_two_wallets(own: Node, tmp_path: Path) -> None:
    made = chain(own, wallets=WALLETS, tokens=(model.WETH, model.USDC, model.NOBODY))
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
        began = time.time()
        found = shown(wallet.COLLECTOR, await wallet.COLLECTOR.open(s).read())  # type: ignore[union-attr]
        for name in ("trader", "spare"):
            assert began <= found.pop(f'arb_wallet_oldest_pending_timestamp_seconds{{wallet="{name}"}}') <= time.time()
        assert own.requests == 3  # the chain id, everything, and the pool that this node does not show
    assert found == {
        'arb_wallet_balance_ether{wallet="trader"}': 1.25,
        'arb_wallet_balance_ether{wallet="spare"}': 1.25,
        'arb_wallet_token_balance{wallet="trader",token="WETH"}': 0.5,
        'arb_wallet_token_balance{wallet="trader",token="USDC"}': 1500.25,
        'arb_wallet_token_balance{wallet="spare",token="WETH"}': 0,
        'arb_wallet_token_balance{wallet="spare",token="USDC"}': 0,
        'arb_wallet_pending_transactions{wallet="trader"}': 1,
        'arb_wallet_pending_transactions{wallet="spare"}': 1,
        'arb_wallet_stuck_transactions{wallet="trader"}': 0,
        'arb_wallet_stuck_transactions{wallet="spare"}': 0,
        'arb_wallet_nonce{wallet="trader"}': 42,
        'arb_wallet_nonce{wallet="spare"}': 42,
    }


async def test_a_bad_answer_costs_only_its_own_figure(own: Node, tmp_path: Path) -> None:
    own.answers["eth_getBalance"] = "lots"
    own.answers["eth_call"] = lambda call, _: "0x" if call["to"] == model.USDC else model.REVERT
    made = chain(own, wallets=WALLETS[:1], tokens=(model.WETH, model.USDC))
    async with opened(made, tmp_path) as wallets:
        found = shown(wallet.COLLECTOR, await wallets.read())
    del found['arb_wallet_oldest_pending_timestamp_seconds{wallet="trader"}']
    assert found == {
        'arb_wallet_pending_transactions{wallet="trader"}': 1,
        'arb_wallet_stuck_transactions{wallet="trader"}': 0,
        'arb_wallet_nonce{wallet="trader"}': 42,
    }


async def test_two_tokens_of_one_symbol_are_told_apart(
    own: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(TOKENS, model.USDC, Token(model.USDC, "WETH", 6))
    made = chain(own, wallets=WALLETS[:1], tokens=(model.WETH, model.USDC))
    async with opened(made, tmp_path) as wallets:
        state = (await wallets.read()).wallets[0]
    assert state.tokens == (("WETH", 0.5), ("WETH-2", 1500.25))


async def test_while_no_node_answers_nobody_looks_up_contracts(own: Node, tmp_path: Path) -> None:
    own.fault = status(500)
    made = chain(own, wallets=WALLETS)
    async with opened(made, tmp_path, contracts=None) as wallets:
        with pytest.raises(Unreachable):
            await wallets.read()


async def test_nodes_that_disagree_never_make_pending_negative(own: Node, tmp_path: Path) -> None:
    own.answers["eth_getTransactionCount"] = lambda address, tag: "0x9" if tag == "latest" else "0x8"
    made = chain(own, wallets=WALLETS[:1])
    async with opened(made, tmp_path) as wallets:
        state = (await wallets.read()).wallets[0]
        own.answers["eth_getTransactionCount"] = lambda address, tag: None if tag == "latest" else "0x8"
        blind = (await wallets.read()).wallets[0]
    assert (state.pending_transactions, blind.pending_transactions) == (0, None)


async def test_without_wallets_there_is_nothing(own: Node, tmp_path: Path) -> None:
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
        assert wallet.COLLECTOR.open(s) is None
        assert Contracts


DAY = 86_400.0


async def test_the_runway_is_the_balance_at_the_rate_of_the_last_day(own: Node, tmp_path: Path) -> None:
    made = chain(own, wallets=WALLETS)
    now = time.time()
    rows = [row(1, time=now - 2 * DAY, l2_wei="9" * 20), row(2, time=now - DAY / 2, l2_wei=f"{864 * 10**14 - 11}"),
            row(3, time=now - 60, confirmed=0, l2_wei=f"{864 * 10**14}", l1_wei="10", operator_wei="1")]  # fmt: skip
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader) as s:
        wallets = Wallets(s, reader, TOLD, made)  # type: ignore[arg-type]
        await s.ledger.write(lambda db: put(db, *rows))
        found = shown(wallet.COLLECTOR, await wallets.read())
    assert found['arb_wallet_spend_ether_per_second{wallet="trader"}'] == pytest.approx(2e-6)
    assert found['arb_wallet_runway_seconds{wallet="trader"}'] == pytest.approx(1.25 / 2e-6)
    assert not [name for name in found if "spare" in name and ("runway" in name or "spend" in name)]


async def test_what_is_stuck_on_a_slow_chain_takes_thirty_of_its_blocks(own: Node, tmp_path: Path) -> None:
    made, now = chain(own, wallets=WALLETS[:1]), [0.0]
    heads = SimpleNamespace(interval_seconds=12.0)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader, heads=heads) as s:
        wallets = Wallets(s, reader, TOLD, made, lambda: now[0])  # type: ignore[arg-type]
        stuck = []
        for now[0] in (0.0, 61.0, 360.0, 361.0):
            stuck.append((await wallets.read()).wallets[0].stuck_transactions)
    assert stuck == [0, 0, 0, 1]


async def test_a_nonce_gap_by_the_pool_of_the_node(own: Node, tmp_path: Path) -> None:
    own.answers["txpool_contentFrom"] = lambda address: {"pending": {"42": {}}, "queued": {"45": {}, "46": {}}}
    async with opened(chain(own, wallets=WALLETS[:1]), tmp_path) as wallets:
        found = [shown(wallet.COLLECTOR, await wallets.read()) for _ in range(3)]
    assert [each['arb_wallet_nonce_gap{wallet="trader"}'] for each in found] == [2, 2, 2]
    assert [method for method, _ in own.calls].count("txpool_contentFrom") == 1  # asked seldom


@pytest.mark.parametrize(
    "answer", [None, [], {"pending": {}}, {"pending": {"x": {}}, "queued": {"43": {}}}, {"error": {"code": -32601}},
               {"pending": [], "queued": {"43": {}}}, {"error": {"code": -32000}}],
)  # fmt: skip
async def test_a_node_that_does_not_tell_its_pool_leaves_the_gap_unknown(
    own: Node, answer: Any, tmp_path: Path
) -> None:
    own.answers["txpool_contentFrom"] = answer
    async with opened(chain(own, wallets=WALLETS[:1]), tmp_path) as wallets:
        state = (await wallets.read()).wallets[0]
    assert (state.nonce_gap, state.pending_transactions) == (None, 1)
