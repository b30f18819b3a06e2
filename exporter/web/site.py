"""What every route needs: the site it belongs to, and the one shape of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiohttp import hdrs, web
from multidict import MultiMapping

from exporter import log
from exporter.board import Board
from exporter.collectors.bus import Figures
from exporter.config import Settings
from exporter.event_intake import Intake
from exporter.ledger import Ledger
from exporter.live.alerts import Alerts
from exporter.live.hub import Hub
from exporter.web.access import Access, WebConfig
from exporter.web.crowd import Crowd
from exporter.web.desk import Desk
from exporter.web.doors import Doors
from exporter.web.event_door import EventDoor
from exporter.web.gate import Gate
from exporter.web.limits import Limits
from exporter.worker import Worker


class Asked(Protocol):
    """What the doors look at of a request."""

    @property
    def headers(self) -> MultiMapping[str]: ...
    @property
    def query(self) -> Mapping[str, str]: ...
    @property
    def host(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def remote(self) -> str | None: ...
    @property
    def body_exists(self) -> bool: ...


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
    crowd: Crowd = field(default_factory=Crowd)
    limits: Limits = field(default_factory=Limits)
    gate: Gate | None = None
    web_config: WebConfig = field(default_factory=WebConfig)
    bus: Figures = field(default_factory=Figures)
    event_door: EventDoor | None = None

    def keep(self, ledger: Ledger) -> None:
        """Show what is in this ledger as well."""
        self.ledger, self.desk = ledger, Desk(ledger)

    def report_to(self, intake: Intake, worker: Worker) -> None:
        """Let events in; their bodies are parsed in this thread."""
        self.event_door = EventDoor(intake, worker)

    def guess(self, request: Asked) -> None:
        """Let nobody keep our processor busy with passwords.

        Raises:
            TooMany: this address has tried too many.
        """
        given = request.headers.get(hdrs.AUTHORIZATION)
        if given is not None and not self.access.knows(given):
            self.limits.guess(request.remote or "")


def host(request: Asked) -> str:
    """The host that was asked, without its port; nothing if none was, or more than one."""
    names = request.headers.getall(hdrs.HOST, [])
    name = names[0] if len(names) == 1 else ""
    return name.partition("]")[0] + "]" if name.startswith("[") else name.rpartition(":")[0] or name


SITE: Final = web.AppKey("site", Site)


def problem(status: int, code: str, message: str, **more: Any) -> web.Response:
    """An error in the API's one shape."""
    return web.json_response({"error": {"code": code, "message": log.scrub(message), **more}}, status=status)
