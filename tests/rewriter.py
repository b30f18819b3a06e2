"""A program that rewrites a file again and again in one style of writing, and notes when each time was over.

`python -m tests.rewriter FILE STYLE COUNT NOTES`: a process of its own, for a thread would let go of the interpreter
only between two whole copies into memory.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from tests import bank


def generation(number: int) -> bytes:
    """Content of changing length that names its number at both ends and in between."""
    return json.dumps({"head": number, "body": [number] * (200 + number * 37 % 400), "tail": number}).encode()


def main(file: Path, style: str, count: int, notes: Path) -> None:
    """In bursts without a pause, and a few milliseconds between them; `notes` gets the monotonic time after each."""
    rng, over = random.Random(count), []
    for number in range(1, count + 1):
        bank.STYLES[style](file, generation(number))
        over.append(time.monotonic())
        time.sleep(rng.choice((0.0, 0.0, 0.0, 0.005)))
    notes.write_text(json.dumps(over))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
