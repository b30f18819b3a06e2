"""One parser under atheris, which looks for inputs that reach new code: `python -m tests.fuzz.explore TARGET FOLDER …`.

What follows the folder of the corpus goes to libFuzzer, as `-runs=100000` or `-max_total_time=600`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["exporter"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """The command line."""
    name, folder, *options = sys.argv[1:]
    corpus = Path(folder)
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), *options], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
