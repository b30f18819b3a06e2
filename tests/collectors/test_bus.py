"""The figures of the bus: there only where one is configured."""

from pathlib import Path

from exporter.collector import Poll
from exporter.collectors import bus
from exporter.config import Live
from exporter.settings import Secret
from tests.sources_for_tests import settings, shown, sources

BUS = Live(bus=Secret("nats://localhost"))


async def test_it_is_shown_only_where_a_bus_is_configured(tmp_path: Path) -> None:
    figures = bus.Figures()
    async with sources(settings(tmp_path), bus=figures) as found:
        assert bus.COLLECTOR.open(found) is None
    async with sources(settings(tmp_path, live=BUS), bus=figures) as found:
        opened = bus.COLLECTOR.open(found)
        assert isinstance(opened, Poll)
        first = await opened.read()
        figures.up, figures.messages["published"] = True, 4
        assert (first.up, first.messages["published"]) == (False, 0)
        assert (await opened.read()).messages == {"published": 4, "received": 0}


def test_when_the_exporter_was_heard_is_a_gateways_alone() -> None:
    name = "arb_bus_exporter_heard_timestamp_seconds"
    assert name not in shown(bus.COLLECTOR, bus.Figures().snapshot())
    assert shown(bus.COLLECTOR, bus.Figures(heard=5.0).snapshot())[name] == 5.0
    assert shown(bus.COLLECTOR, bus.Figures().snapshot())['arb_bus_messages_total{direction="received"}'] == 0
