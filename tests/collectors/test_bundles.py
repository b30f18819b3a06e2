from pathlib import Path

from exporter.collectors import bundles
from exporter.config import Bot
from tests.bot_events import event, told
from tests.sources_for_tests import settings, shown, sources


async def test_every_outcome_of_a_relay(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        assert shown(bundles.COLLECTOR, await bundles.read(s)) == {}
        outcomes = ("submitted", "submitted", "included", "sandwiched")
        await told(s.ledger, made, *(event("bundle", str(i), outcome=o) for i, o in enumerate(outcomes)))
        found = shown(bundles.COLLECTOR, await bundles.read(s))
    counts = {"submitted": 2, "included": 1, "dropped": 0, "front_run": 0, "sandwiched": 1}
    assert found == {
        f'arb_bot_bundles_total{{bot="b",relay="flashbots",outcome="{outcome}"}}': n for outcome, n in counts.items()
    }


async def test_twenty_relays_have_a_name(tmp_path: Path) -> None:
    made = settings(tmp_path, bot=Bot(name="b"))
    async with sources(made) as s:
        await told(s.ledger, made, *(event("bundle", str(i), relay=f"r{i}") for i in range(30)))
        found = shown(bundles.COLLECTOR, await bundles.read(s))
    assert len(found) == 21 * 5
    assert found['arb_bot_bundles_total{bot="b",relay="other",outcome="submitted"}'] == 10
