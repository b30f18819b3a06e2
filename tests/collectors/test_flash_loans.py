from pathlib import Path

from exporter.collectors import flash_loans
from exporter.config import Bot
from tests.bot_events import event, told
from tests.sources_for_tests import settings, shown, sources


async def test_loans_by_provider_with_fees_and_the_largest(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        assert shown(flash_loans.COLLECTOR, await flash_loans.read(s)) == {}
        await told(
            s.ledger, made,
            event("flash_loan", "1", amount="12.5", fee_eth="0.5"),
            event("flash_loan", "2", amount="10", fee_eth="0.25"),
            event("flash_loan", "3", amount="99", outcome="failed"),
            event("flash_loan", "4", provider="aave", token="0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", amount=1e6),
        )  # fmt: skip
        await told(s.ledger, made, event("flash_loan", "5", amount="11"))
        found = shown(flash_loans.COLLECTOR, await flash_loans.read(s))
    assert found == {
        'arb_bot_flash_loans_total{bot="b",provider="balancer",outcome="success"}': 3,
        'arb_bot_flash_loans_total{bot="b",provider="balancer",outcome="failed"}': 1,
        'arb_bot_flash_loans_total{bot="b",provider="aave",outcome="success"}': 1,
        'arb_bot_flash_loans_total{bot="b",provider="aave",outcome="failed"}': 0,
        'arb_bot_flash_loan_fee_ether_total{bot="b",provider="balancer"}': 0.75,
        'arb_bot_flash_loan_largest_amount{bot="b",provider="balancer",token="WETH"}': 12.5,
        'arb_bot_flash_loan_largest_amount{bot="b",provider="aave",token="USDC"}': 1e6,
    }


async def test_ten_providers_have_a_name_and_of_the_rest_no_token_is_told_apart(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        loans = (event("flash_loan", str(i), provider=f"p{i % 12}", token=f"T{i}") for i in range(48))
        await told(s.ledger, made, *loans)
        found = shown(flash_loans.COLLECTOR, await flash_loans.read(s))
    successes = {name: value for name, value in found.items() if 'outcome="success"' in name}
    named = 'arb_bot_flash_loans_total{{bot="b",provider="{}",outcome="success"}}'
    assert successes == {named.format(f"p{i}"): 4 for i in range(10)} | {named.format("other"): 8}
    assert len([name for name in found if "largest" in name]) == 20
