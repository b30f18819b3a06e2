from pathlib import Path

from exporter.collectors import strategies
from exporter.config import Bot
from tests.bot_events import event, told
from tests.sources_for_tests import settings, shown, sources


async def test_trades_by_strategy_with_every_sum(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        assert shown(strategies.COLLECTOR, await strategies.read(s)) == {}
        await told(
            s.ledger, made,
            event("trade", "1", strategy="triangular", amount_eth="2", gas_used=200_000),
            event("trade", "2", strategy="triangular", outcome="failed", net_profit_eth="-0.0625"),
            event("trade", "3"),
        )  # fmt: skip
        found = shown(strategies.COLLECTOR, await strategies.read(s))
    assert found == {
        'arb_bot_strategy_trades_total{bot="b",strategy="triangular",outcome="success"}': 1,
        'arb_bot_strategy_trades_total{bot="b",strategy="triangular",outcome="failed"}': 1,
        'arb_bot_strategy_trades_total{bot="b",strategy="unknown",outcome="success"}': 1,
        'arb_bot_strategy_trades_total{bot="b",strategy="unknown",outcome="failed"}': 0,
        'arb_bot_strategy_net_profit_ether{bot="b",strategy="triangular"}': 0.1875,
        'arb_bot_strategy_net_profit_ether{bot="b",strategy="unknown"}': 0.25,
        'arb_bot_strategy_gain_ether_total{bot="b",strategy="triangular"}': 0.25,
        'arb_bot_strategy_gain_ether_total{bot="b",strategy="unknown"}': 0.25,
        'arb_bot_strategy_loss_ether_total{bot="b",strategy="triangular"}': 0.0625,
        'arb_bot_strategy_loss_ether_total{bot="b",strategy="unknown"}': 0,
        'arb_bot_strategy_gas_cost_ether_total{bot="b",strategy="triangular"}': 0.125,
        'arb_bot_strategy_gas_cost_ether_total{bot="b",strategy="unknown"}': 0.0625,
        'arb_bot_strategy_amount_ether_total{bot="b",strategy="triangular"}': 2,
        'arb_bot_strategy_gas_used_total{bot="b",strategy="triangular"}': 200_000,
    }


async def test_twenty_strategies_have_a_name_and_keep_it(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        for start in (0, 100):
            trades = (event("trade", str(start + i), strategy=f"s{i % 25}") for i in range(50))
            await told(s.ledger, made, *trades)
        found = shown(strategies.COLLECTOR, await strategies.read(s))
    counts = {name: value for name, value in found.items() if "trades_total" in name and "success" in name}
    named = 'arb_bot_strategy_trades_total{{bot="b",strategy="{}",outcome="success"}}'
    assert counts == {named.format(f"s{i}"): 4 for i in range(20)} | {named.format("other"): 20}
