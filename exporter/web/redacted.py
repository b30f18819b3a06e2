"""The settings as everybody with the role `read` may see them: no secret, and of an endpoint its name only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exporter.config import Endpoint, Settings
from exporter.log import scrub
from exporter.settings import Secret


def redacted(settings: Settings) -> dict[str, Any]:
    """The settings as JSON; secrets and URLs are replaced, whatever they stand in."""
    shown = _shown(settings)
    assert isinstance(shown, dict)  # noqa: S101  as every record
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, Endpoint):
        return {"name": value.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, Secret):
        return {f.name: _shown(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {scrub(str(key)): _shown(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_shown(part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Texts, paths and zones; whatever else there may be one day is shown by its class."""
    if isinstance(value, ZoneInfo):
        return str(value.key)
    return scrub(str(value)) if isinstance(value, str | Path | Secret) else type(value).__name__
