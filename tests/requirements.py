"""The table of docs/requirements.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "requirements.md"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row: what was asked, the metric or rule that answers, a query, and who must say it."""

    section: str
    asked: str
    name: str
    query: str
    said_by: str


def table(text: str) -> list[Requirement]:
    """All rows, in order."""
    rows, section = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if line.startswith("|") and not line.startswith(("|---", "| asked |")):
            asked, name, query, said_by = (c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1])
            rows.append(Requirement(section, asked, name.strip("`"), query.strip("`").replace("\\|", "|"), said_by))
    return rows


EVERY: Final = table(DOCUMENT.read_text())
