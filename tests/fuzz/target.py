"""What a target of fuzzing is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, and texts that are right or nearly so."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def text_of(data: bytes) -> str:
    """Any text there is."""
    return data.decode("utf-8", "replace")


def as_json(*values: object) -> tuple[bytes, ...]:
    """Seeds of documents."""
    return tuple(json.dumps(value).encode() for value in values)


def in_a_loop[T](call: Coroutine[Any, Any, T]) -> T:
    """What something that needs a loop, and waits for nothing, gives."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(call)
    finally:
        loop.close()
