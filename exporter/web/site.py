"""What every route needs: the site it belongs to, and the one shape of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from exporter import log
from exporter.board import Board
from exporter.config import Settings
from exporter.event_intake import Intake
from exporter.ledger import Ledger
from exporter.live.alerts import Alerts
from exporter.live.hub import Hub
from exporter.web.access import Access
from exporter.web.desk import Desk
from exporter.web.doors import Doors
from exporter.web.event_door import EventDoor
from exporter.worker import Worker


@dataclass(slots=True)
class Site:
    """What the routes show; `unset` says per collector what is not configured."""

    board: Board
    access: Access
    loopback_only: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    unset: dict[str, str] = field(default_factory=dict)
    hub: Hub = field(default_factory=Hub)
    doors: Doors = field(default_factory=Doors)
    settings: Settings = field(default_factory=Settings)
    ledger: Ledger | None = None
    desk: Desk | None = None
    alerts: Alerts = field(default_factory=Alerts)
    event_door: EventDoor | None = None

    def keep(self, ledger: Ledger) -> None:
        """Show what is in this ledger as well."""
        self.ledger, self.desk = ledger, Desk(ledger)

    def report_to(self, intake: Intake, worker: Worker) -> None:
        """Let events in; their bodies are parsed in this thread."""
        self.event_door = EventDoor(intake, worker)


SITE: Final = web.AppKey("site", Site)


def problem(status: int, code: str, message: str, **more: Any) -> web.Response:
    """An error in the API's one shape."""
    return web.json_response({"error": {"code": code, "message": log.scrub(message), **more}}, status=status)
