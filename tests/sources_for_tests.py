"""What a collector gets to read from, with a real ledger and real threads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.backlog import Backlog
from exporter.collector import Sources
from exporter.config import Settings
from exporter.event_intake import Intake
from exporter.ledger import Ledger
from exporter.metrics import Family, gate
from exporter.sources.costs import Costs
from exporter.worker import Workers


@asynccontextmanager
async def sources(settings: Settings, **parts: Any) -> AsyncIterator[Sources]:
    """Sources over the settings' own state directory; `parts` are the fields of `Sources`."""
    workers = Workers()
    progress: dict[str, list[tuple[int, int]]] = parts.pop("progress", {})

    def tell(name: str):
        return lambda done, total: progress.setdefault(name, []).append((done, total))

    async with Ledger(settings.state) as ledger:
        try:
            costs = parts.get("costs") or Costs()
            yield Sources(
                settings, ledger, parts.get("rpc"), parts.get("contracts"), workers, tell, parts.get("live"),
                costs=costs, heads=parts.get("heads"), bus=parts.get("bus"),
                backlog=parts.get("backlog") or Backlog(),
                intake=parts.get("intake") or Intake(ledger, lambda: settings),
            )  # fmt: skip
        finally:
            workers.close()


def settings(folder: Path, **sections: Any) -> Settings:
    """Settings with a state directory of their own."""
    return Settings(state=folder / "state", **sections)


def shown(collector: Any, snapshot: Any) -> dict[str, float]:
    """What a snapshot looks like on the page: `name{label="value",…}` in the order of the labels, and the value."""
    return lines(gate(collector.render(snapshot), collector.metrics).families)


def lines(families: tuple[Family, ...]) -> dict[str, float]:
    """Families as readable samples."""
    found = {}
    for family in families:
        for suffix, labels, value in family.samples:
            names = family.metric.label_names(suffix)
            inner = ",".join(f'{n}="{v}"' for n, v in zip(names, labels, strict=True))
            found[f"{family.metric.name}{suffix}{{{inner}}}" if inner else family.metric.name + suffix] = value
    return found
