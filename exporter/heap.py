"""The C library's heap, kept small: one arena, large reads outside of it, and unused pages go back to the system."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from typing import Final

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # from malloc.h
LARGE: Final = 96 << 10
"""Bytes from which a block is the system's own, and goes back to it at once."""
EVERY: Final = 60.0
"""Seconds after which what lies unused is given back: 0.1 to 0.4 ms each time, 4 ms after an attack."""


def keep_small() -> None:
    """Let all threads share one arena, and keep large blocks out of it: 3 MiB less over the demo.

    glibc gives each thread an arena of its own and moves its limit for large blocks up with each megabyte read;
    our threads mostly sleep, and the bank's mapped files are read again and again. Other C libraries lack the call.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def give_back() -> None:
    """Give the system every page that nothing lies on; glibc by itself gives back the heap's end only."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


async def give_back_now_and_then() -> None:
    """Do so until cancelled: after an attack or a large read 1 to 2 MiB would stay otherwise."""
    while True:
        await asyncio.sleep(EVERY)
        give_back()
