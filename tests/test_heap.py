"""What the heap gives back, seen from outside: a program that takes much and lets most of it go."""

import asyncio
import subprocess
import sys

import pytest

from exporter import heap

HOLES = """
import ctypes, sys
from exporter import heap
heap.keep_small()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [libc.malloc(32 << 10) for _ in range(1024)]
for block in blocks:
    ctypes.memset(block, 1, 32 << 10)
for number, block in enumerate(blocks):
    if number % 8:  # what stays keeps the heap's end where it is
        libc.free(block)
full = resident()
heap.give_back()
print(full - resident())
"""


def test_what_lies_unused_between_what_is_used_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > 16 << 20, "28 of 32 MiB are unused"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    heap.keep_small()
    heap.give_back()


async def test_it_is_done_again_and_again_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    done = asyncio.Event()
    times: list[None] = []

    def note() -> None:
        times.append(None)
        if len(times) == 3:
            done.set()

    monkeypatch.setattr(heap, "EVERY", 0.001)
    monkeypatch.setattr(heap, "give_back", note)
    task = asyncio.create_task(heap.give_back_now_and_then())
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
