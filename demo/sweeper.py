"""Clean up after a demo that was killed: reads `group PGID`, `directory PATH` and `done` from standard input."""

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE_SECONDS = 3.0


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end(groups: list[int]) -> None:
    """Ask all process groups to end; kill what is left after the grace time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(alive(group) for group in groups) and time.monotonic() < deadline:
            time.sleep(0.05)


def main() -> None:
    groups: list[int] = []
    directories: list[str] = []
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "done":
            return
        if word == "group":
            groups.append(int(rest))
        elif word == "ended":
            groups.remove(int(rest))
        else:
            directories.append(rest)
    end(groups)  # end of input without `done`: the demo is gone
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
