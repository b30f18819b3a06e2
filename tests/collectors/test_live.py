"""The live feed's figures as the page shows them."""

from pathlib import Path

from exporter.collector import Poll
from exporter.collectors import live
from exporter.live import topics
from exporter.live.figures import Figures, Left, Turned
from tests.sources_for_tests import settings, shown, sources


async def test_the_figures_are_read_as_they_stand(tmp_path: Path) -> None:
    figures = Figures()
    async with sources(settings(tmp_path), live=lambda: figures.snapshot(3)) as found:
        opened = live.COLLECTOR.open(found)
        assert isinstance(opened, Poll)
        first = await opened.read()
        figures.messages["prices"] += 5
        figures.latency.observe(0.004)
        second = await opened.read()
    assert (first.messages["prices"], sum(first.latency.counts)) == (0, 0)
    assert (second.messages["prices"], sum(second.latency.counts)) == (5, 1)


def test_every_topic_and_reason_exists_from_the_start() -> None:
    page = shown(live.COLLECTOR, Figures().snapshot(0))
    assert page["arb_live_clients"] == 0
    assert {name for name in page if name.startswith("arb_live_messages_total")} == {
        f'arb_live_messages_total{{topic="{topic}"}}' for topic in topics.NAMES
    }
    assert {name for name in page if name.startswith("arb_live_disconnects_total")} == {
        f'arb_live_disconnects_total{{reason="{reason}"}}' for reason in Left
    }
    assert {name for name in page if name.startswith("arb_live_refused_total")} == {
        f'arb_live_refused_total{{reason="{reason}"}}' for reason in Turned
    }


def test_latency_is_a_histogram_from_a_tenth_of_a_millisecond_to_a_second() -> None:
    figures = Figures()
    for seconds in (0.00009, 0.009, 0.011, 5.0):
        figures.latency.observe(seconds)
    page = shown(live.COLLECTOR, figures.snapshot(0))
    name = "arb_live_publish_latency_seconds"
    assert page[f'{name}_bucket{{le="0.0001"}}'] == 1
    assert page[f'{name}_bucket{{le="0.01"}}'] == 2
    assert page[f'{name}_bucket{{le="1.0"}}'] == 3
    assert page[f'{name}_bucket{{le="+Inf"}}'] == 4
    assert page[f"{name}_sum"] == 5.02009
    assert len([key for key in page if "_bucket" in key]) <= 12


def test_what_is_pushed_to_grafana_is_told_once_it_is_configured() -> None:
    figures = Figures()
    assert not [name for name in shown(live.COLLECTOR, figures.snapshot(0)) if "grafana" in name]
    figures.push = live.Push(up=False, messages={("post", "success"): 3, ("post", "failed"): 0})
    page = shown(live.COLLECTOR, figures.snapshot(0))
    assert {name: value for name, value in page.items() if "grafana" in name} == {
        "arb_live_grafana_up": 0,
        'arb_live_grafana_messages_total{transport="post",outcome="success"}': 3,
        'arb_live_grafana_messages_total{transport="post",outcome="failed"}': 0,
    }
