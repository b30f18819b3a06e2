"""Writes the rules with every `for` and window divided by one factor, so that an incident can be watched in seconds.

python -m tools.scaled_rules --to=DIRECTORY [--factor=60] [--threshold=NAME=VALUE …]

With the factor 60 a minute becomes a second: scrape and evaluate every second then. Thresholds are no durations of the
rules and stay as they are, but for those that are given; ages among them (`…_seconds`) want other values.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parent.parent / "alerting" / "rules"
FACTOR = 60.0
MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = r"(\d+)(ms|s|m|h|d)"
PREFIX = "arb:threshold:"


def scaled(duration: str, factor: float) -> str:
    """The duration divided by the factor, in milliseconds.

    Raises:
        ValueError: it is none, or not of one unit.
    """
    found = re.fullmatch(DURATION, duration)
    if found is None:
        raise ValueError(f"not a duration of one unit: {duration}")
    return f"{round(int(found[1]) * MILLISECONDS[found[2]] / factor)}ms"


def expression(text: str, factor: float) -> str:
    """The query with its windows and offsets divided by the factor."""
    text = re.sub(rf"\[({DURATION})(?=[\]:])", lambda found: f"[{scaled(found[1], factor)}", text)
    text = re.sub(rf"(?<=:)({DURATION})(?=\])", lambda found: scaled(found[1], factor), text)
    return re.sub(rf"\boffset ({DURATION})", lambda found: f"offset {scaled(found[1], factor)}", text)


def rule(body: Mapping[str, Any], factor: float, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """One rule with its durations divided, and its value replaced if it is a threshold that is given."""
    made = dict(body) | {"expr": expression(str(body["expr"]), factor)}
    made |= {key: scaled(body[key], factor) for key in ("for", "keep_firing_for") if key in body}
    name = str(body.get("record", "")).removeprefix(PREFIX)
    return made | ({"expr": f"vector({thresholds[name]})"} if name in thresholds else {})


def write(target: Path, factor: float = FACTOR, thresholds: Mapping[str, float] | None = None) -> None:
    """Write all rules to that directory.

    Raises:
        KeyError: a threshold is given that there is not.
    """
    wanted = dict(thresholds or {})
    target.mkdir(parents=True, exist_ok=True)
    documents = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(RULES.glob("*.yml"))}
    rules = [body for document in documents.values() for group in document["groups"] for body in group["rules"]]
    known = {str(body.get("record", "")).removeprefix(PREFIX) for body in rules}
    if unknown := set(wanted) - known:
        raise KeyError(f"no such threshold: {', '.join(sorted(unknown))}")
    for name, document in documents.items():
        for group in document["groups"]:
            if "interval" in group:
                group["interval"] = scaled(group["interval"], factor)
            group["rules"] = [rule(body, factor, wanted) for body in group["rules"]]
        (target / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def main() -> None:
    """Read the command line, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--factor", type=float, default=FACTOR)
    parser.add_argument("--threshold", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    pairs = (text.partition("=") for text in options.threshold)
    write(options.to, options.factor, {name: float(value) for name, _, value in pairs})


if __name__ == "__main__":
    main()
