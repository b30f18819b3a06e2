"""Attempts that hang, fail and answer, one beside the other."""

from __future__ import annotations

import asyncio

import pytest

from exporter.sources import impatience
from exporter.sources.impatience import first_of


class Attempts:
    """Each attempt does what it is told to: answer a number, raise an error, or hang."""

    def __init__(self, *deeds: int | Exception | None) -> None:
        self.deeds, self.begun, self.ended = list(deeds), 0, 0

    async def __call__(self) -> int:
        deed = self.deeds[self.begun] if self.begun < len(self.deeds) else None
        self.begun += 1
        try:
            if deed is None:
                await asyncio.Event().wait()
            if isinstance(deed, Exception):
                raise deed
            assert deed is not None
            return deed
        finally:
            self.ended += 1


async def test_one_that_answers_is_enough() -> None:
    own = Attempts(1, 2)
    assert await first_of(own, 60) == 1
    assert own.begun == 1


async def test_one_that_hangs_gets_company_and_is_ended() -> None:
    own = Attempts(None, None, 3)
    assert await first_of(own, 0.001) == 3
    assert own.begun == own.ended == 3


async def test_a_failure_is_told_unless_another_still_runs() -> None:
    with pytest.raises(ValueError, match="bad"):
        await first_of(Attempts(ValueError("bad")), 60)
    assert await first_of(Attempts(None, ValueError("bad"), 3), 0.001) == 3


async def test_there_are_never_too_many_and_none_is_left() -> None:
    own = Attempts()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await first_of(own, 0.001)
    assert own.begun == own.ended == impatience.MOST
