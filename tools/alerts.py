"""Writes the table of alerts and that of thresholds into docs/alerts.md, from alerting/rules.

python -m tools.alerts            # write
python -m tools.alerts --check    # exit 1 if the file is not current
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
RULES = ROOT / "alerting" / "rules"
DOCUMENT = ROOT / "docs" / "alerts.md"
SUBJECTS = ("money", "wallet", "bot", "memory-bank", "storage", "chain", "prices", "host", "exporter")


def rules(subject: str) -> Iterator[dict[str, Any]]:
    """The rules of one file, in its order."""
    for group in yaml.safe_load((RULES / f"{subject}.yml").read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def alerts() -> Iterator[str]:
    """One row for each alert, by subject."""
    yield "| alert | severity | after | tells |"
    yield "|---|---|---|---|"
    for subject in SUBJECTS:
        for rule in rules(subject):
            if "alert" in rule:
                name, tells = rule["alert"], rule["annotations"]["summary"]
                link = f"[{name}](runbooks/{name}.md)"
                yield f"| {link} | {rule['labels']['severity']} | {rule['for']} | {tells} |"


def thresholds() -> Iterator[str]:
    """One row for each threshold."""
    yield "| threshold | value |"
    yield "|---|---|"
    for rule in rules("thresholds"):
        yield f"| `{rule['record']}` | {rule['expr'].removeprefix('vector(').removesuffix(')')} |"


def document(text: str) -> str:
    """The text with both tables made anew between their marks."""
    for name, made in (("alerts", alerts()), ("thresholds", thresholds())):
        table = "\n".join(made)
        text = re.sub(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", rf"\g<1>{table}\g<2>", text, flags=re.DOTALL)
    return text


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    found = DOCUMENT.read_text(encoding="utf-8")
    wanted = document(found)
    if options.check or found == wanted:
        return int(found != wanted)
    DOCUMENT.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
