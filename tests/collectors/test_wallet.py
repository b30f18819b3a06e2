from pathlib import Path

import pytest

from exporter.collectors import wallet
from exporter.config import Named
from exporter.sources.contracts import Contracts, Known, Token
from exporter.sources.rpc import Rpc, Unreachable
from tests import chain_model as model
from tests.fake_rpc import Node, chain, node, status
from tests.sources_for_tests import settings, shown, sources

TOKENS = {model.WETH: Token(model.WETH, "WETH", 18), model.USDC: Token(model.USDC, "USDC", 6)}
WALLETS = (Named("trader", model.WALLET), Named("spare", "0x" + "cc" * 20))


class Told:
    """Contracts that are known already."""

    async def known(self) -> Known:
        return Known({}, TOKENS, pending=False)


@pytest.fixture
async def own():
    async with node() as made:
        model.serve(made)
        yield made


async def test_every_figure_of_two_wallets(own: Node, tmp_path: Path) -> None:
    made = chain(own, wallets=WALLETS, tokens=(model.WETH, model.USDC, model.NOBODY))
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
        found = shown(wallet.COLLECTOR, await wallet.COLLECTOR.open(s).read())  # type: ignore[union-attr]
        assert own.requests == 2
    assert found == {
        'arb_wallet_balance_ether{wallet="trader"}': 1.25,
        'arb_wallet_balance_ether{wallet="spare"}': 1.25,
        'arb_wallet_token_balance{wallet="trader",token="WETH"}': 0.5,
        'arb_wallet_token_balance{wallet="trader",token="USDC"}': 1500.25,
        'arb_wallet_token_balance{wallet="spare",token="WETH"}': 0,
        'arb_wallet_token_balance{wallet="spare",token="USDC"}': 0,
        'arb_wallet_pending_transactions{wallet="trader"}': 1,
        'arb_wallet_pending_transactions{wallet="spare"}': 1,
        'arb_wallet_nonce{wallet="trader"}': 42,
        'arb_wallet_nonce{wallet="spare"}': 42,
    }


async def test_a_bad_answer_costs_only_its_own_figure(own: Node) -> None:
    own.answers["eth_getBalance"] = "lots"
    own.answers["eth_call"] = lambda call, _: "0x" if call["to"] == model.USDC else model.REVERT
    made = chain(own, wallets=WALLETS[:1], tokens=(model.WETH, model.USDC))
    async with Rpc(made) as reader:
        found = shown(wallet.COLLECTOR, await wallet.read(reader, Told(), made))  # type: ignore[arg-type]
    assert found == {'arb_wallet_pending_transactions{wallet="trader"}': 1, 'arb_wallet_nonce{wallet="trader"}': 42}


async def test_two_tokens_of_one_symbol_are_told_apart(own: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOKENS, model.USDC, Token(model.USDC, "WETH", 6))
    made = chain(own, wallets=WALLETS[:1], tokens=(model.WETH, model.USDC))
    async with Rpc(made) as reader:
        state = (await wallet.read(reader, Told(), made)).wallets[0]  # type: ignore[arg-type]
    assert state.tokens == (("WETH", 0.5), ("WETH-2", 1500.25))


async def test_while_no_node_answers_nobody_looks_up_contracts(own: Node) -> None:
    own.fault = status(500)
    made = chain(own, wallets=WALLETS)
    async with Rpc(made) as reader:
        with pytest.raises(Unreachable):
            await wallet.read(reader, None, made)  # type: ignore[arg-type]


async def test_nodes_that_disagree_never_make_pending_negative(own: Node) -> None:
    own.answers["eth_getTransactionCount"] = lambda address, tag: "0x9" if tag == "latest" else "0x8"
    made = chain(own, wallets=WALLETS[:1])
    async with Rpc(made) as reader:
        state = (await wallet.read(reader, Told(), made)).wallets[0]  # type: ignore[arg-type]
        own.answers["eth_getTransactionCount"] = lambda address, tag: None if tag == "latest" else "0x8"
        blind = (await wallet.read(reader, Told(), made)).wallets[0]  # type: ignore[arg-type]
    assert (state.pending_transactions, blind.pending_transactions) == (0, None)


async def test_without_wallets_there_is_nothing(own: Node, tmp_path: Path) -> None:
    made = chain(own)
    async with Rpc(made) as reader, sources(settings(tmp_path, chain=made), rpc=reader, contracts=Told()) as s:
        assert wallet.COLLECTOR.open(s) is None
        assert Contracts
