"""The JSON Schema of events, made of the declarations by which they are parsed."""

from __future__ import annotations

from typing import Any, Final

from exporter.sources.event_records import RULES, TYPES, Event, Rule

TITLE: Final = "An event that a bot reports to arb-exporter"
_TEXT: Final = {"type": "string"}
_NULL: Final = {"type": "null"}


def document() -> dict[str, Any]:
    """The schema of one event, in JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "description": "Fields that are not named here are passed over. An optional field may be null.",
        **event(),
    }


def event() -> dict[str, Any]:
    """An event of any type."""
    return {"type": "object", "oneOf": [_of(kind, declared) for kind, declared in TYPES.items()]}


def _of(kind: str, declared: type[Event]) -> dict[str, Any]:
    texts = {name: field.metadata["text"] for name, field in declared.__dataclass_fields__.items() if field.metadata}
    rules = RULES[kind]
    made: dict[str, Any] = {
        "title": kind,
        "description": declared.text,
        "type": "object",
        "required": ["type", *(said for _, said, _, optional in rules if not optional)],
        "properties": {"type": {"const": kind}} | {rule[1]: _field(rule, texts[rule[0]]) for rule in rules},
    }
    return made | _ONE_OF_TWO if kind == "allocation" else made


def _field(rule: Rule, text: str) -> dict[str, Any]:
    _, _, kind, optional = rule
    schema = dict(kind.schema)
    if optional:
        schema = {"anyOf": [*schema.get("anyOf", [schema]), _NULL]}
    return {"description": text, **schema}


_ONE_OF_TWO: Final = {
    "oneOf": [
        {"required": ["dex"], "properties": {"dex": _TEXT, "pair": _NULL}},
        {"required": ["pair"], "properties": {"pair": _TEXT, "dex": _NULL}},
    ]
}
