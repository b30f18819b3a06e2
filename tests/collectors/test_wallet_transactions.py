"""What the page shows of the wallets' books."""

from pathlib import Path

from exporter.collectors import wallet_transactions
from exporter.collectors.wallet_transactions import Snapshot
from exporter.config import Named
from exporter.wallet_books import FeeTotal, WalletBooks
from exporter.wallet_reading import State
from tests.fake_rpc import chain, node
from tests.sources_for_tests import settings, shown, sources

ME, EXECUTOR, GONE = ("0x" + digit * 40 for digit in "abc")
NAMES = {EXECUTOR: "executor", ME: "trader"}
BOOKS = WalletBooks(
    totals={
        ME: {
            ("success", ""): FeeTotal(3, 3 * 10**15, 2 * 10**15, 10**15),
            ("failed", "slippage"): FeeTotal(2, 10**16, 10**15, 0),
            ("failed", "unprofitable"): FeeTotal(1, 10**16, 0, 0),
        },
        GONE: {("success", ""): FeeTotal(9, 9, 9, 9)},
    },
    removed={ME: 4, GONE: 1},
    provisional={EXECUTOR: 2},
    orphaned=1,
    unvalued=5,
    flows={"WETH": 0.25, "USDC": -3.5},
)


def state(**changes: object) -> State:
    facts = {"books": BOOKS, "scanned": 120, "final": 100, "first_read": True, "frozen": False, "goal": 100}
    return State(**(facts | changes))  # type: ignore[arg-type]


def test_all_of_it() -> None:
    found = shown(wallet_transactions.COLLECTOR, Snapshot(NAMES, state()))
    assert found == {
        "arb_wallet_transactions_scanned_block": 120,
        "arb_wallet_transactions_final_block": 100,
        "arb_wallet_transactions_frozen": 0,
        "arb_wallet_transactions_orphaned": 1,
        "arb_wallet_transactions_unvalued": 5,
        'arb_wallet_trade_flow_tokens{token="WETH"}': 0.25,
        'arb_wallet_trade_flow_tokens{token="USDC"}': -3.5,
        'arb_wallet_transactions_total{wallet="executor",outcome="success"}': 0,
        'arb_wallet_transactions_total{wallet="executor",outcome="reverted"}': 0,
        'arb_wallet_transactions_total{wallet="trader",outcome="success"}': 3,
        'arb_wallet_transactions_total{wallet="trader",outcome="reverted"}': 3,
        'arb_wallet_transactions_reverted_by_reorg_total{wallet="executor"}': 0,
        'arb_wallet_transactions_reverted_by_reorg_total{wallet="trader"}': 4,
        'arb_wallet_transactions_provisional{wallet="executor"}': 2,
        'arb_wallet_transactions_provisional{wallet="trader"}': 0,
        'arb_wallet_reverts_total{wallet="trader",reason="slippage"}': 2,
        'arb_wallet_reverts_total{wallet="trader",reason="unprofitable"}': 1,
        'arb_wallet_reverts_fees_ether_total{wallet="trader",reason="slippage"}': 0.011,
        'arb_wallet_reverts_fees_ether_total{wallet="trader",reason="unprofitable"}': 0.01,
        **{
            f'arb_wallet_fees_ether_total{{wallet="{wallet}",outcome="{outcome}",kind="{kind}"}}': value
            for wallet, outcome, kinds in (
                ("executor", "success", (0, 0, 0)),
                ("executor", "reverted", (0, 0, 0)),
                ("trader", "success", (0.003, 0.002, 0.001)),
                ("trader", "reverted", (0.02, 0.001, 0)),
            )
            for kind, value in zip(("l2_execution", "l1_data", "operator"), kinds, strict=True)
        },
    }


def test_counters_wait_for_the_first_complete_read() -> None:
    found = shown(wallet_transactions.COLLECTOR, Snapshot(NAMES, state(first_read=False, frozen=True)))
    assert found == {
        "arb_wallet_transactions_scanned_block": 120,
        "arb_wallet_transactions_final_block": 100,
        "arb_wallet_transactions_frozen": 1,
    }


def test_a_name_of_both_kinds_is_one_series() -> None:
    found = shown(wallet_transactions.COLLECTOR, Snapshot({ME: "bot", EXECUTOR: "bot"}, state()))
    assert found['arb_wallet_transactions_total{wallet="bot",outcome="success"}'] == 3
    assert found['arb_wallet_transactions_provisional{wallet="bot"}'] == 2


async def test_it_needs_an_address_to_look_for(tmp_path: Path) -> None:
    async with node() as own:
        for parts, wanted in (({}, False), ({"contracts": (Named("executor", EXECUTOR),)}, True)):
            made = chain(own, **parts)
            async with sources(settings(tmp_path, chain=made), rpc=object(), contracts=object()) as given:
                assert (wallet_transactions.COLLECTOR.open(given) is not None) is wanted
    assert wallet_transactions.names_of(made) == {EXECUTOR: "executor"}


def test_progress_is_told_until_the_first_read_is_over() -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    begun = None
    for scanned, first_read in ((0, False), (60, False), (120, False), (130, True), (140, True)):
        begun = wallet_transactions._tell(tell, begun, state(scanned=scanned, first_read=first_read))
    assert told == [(0, 100), (60, 100), (120, 121), (1, 1)]
