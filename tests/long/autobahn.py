"""The Autobahn suite's fuzzing client against an echo of `/ws`: first within its bounds, then without; then a table.

python -m tests.long.autobahn [--cases '1.*,6.4.1'] [--reports folder]

It needs a Python 2.7 (on the PATH or one of pyenv's); where there is none it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.long.echoing import Echo, Unbounded, echoing

SUITE: Final = Path("build/autobahn")
"""Where the suite is installed once."""
EXCLUDED: Final = ("12.*", "13.*")
"""Cases of compression, which `/ws` does not agree to."""
GOOD: Final = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
RAISED: Final = "RAISED"
PATIENCE: Final = 1_800.0
"""Seconds for all cases against one echo."""
KINDS: Final = {"bounded": Echo, "unbounded": Unbounded}
BEYOND: Final = frozenset({"1.1.6", "1.1.7", "1.1.8", "1.2.6", "1.2.7", "1.2.8", "10.1.1"})
"""Cases that say more than `/ws` takes, as do all of 9: more than 4 KiB at once, or more than 100 messages a second."""
BOUNDS: Final = frozenset({1008, 1009})
"""How they are ended: too many messages, too big a message."""
_RUN: Final = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


def pythons() -> Iterator[str]:
    """What may be a Python 2.7."""
    yield from ("python2.7", "python2")
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(root.glob("versions/2.7*/bin/python2.7")))


def python2() -> str | None:
    """The first one that runs: a shim may be there and not work."""
    check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    for name in filter(shutil.which, pythons()):
        if subprocess.run([name, "-c", check], capture_output=True).returncode == 0:
            return name
    return None


def install(python: str, folder: Path) -> None:
    """Put the suite into a folder of its own, unless it is there.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    done = folder / ".complete"
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        subprocess.run([python, "-m", "ensurepip", "--user"], check=True, stdout=sys.stderr)
    pip = [python, "-W", "ignore", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "--target", str(folder), "autobahntestsuite"], check=True, stdout=sys.stderr)
    done.touch()


def passes(kind: str, case: str, result: Mapping[str, Any]) -> bool:
    """Whether a case came out as it should, or was ended by a bound of `/ws` and had to be."""
    good = {result["behavior"], result["behaviorClose"]} <= GOOD
    return good or (kind == "bounded" and refused(case, result))


def run(python: str, kind: str, cases: list[str], reports: Path) -> dict[str, Any]:
    """The results of the cases; those that fail have another try, for the suite's clocks of 0.5 s suit no busy machine.

    Raises:
        TimeoutError, FileNotFoundError: the suite did not end, or ended without a result.
    """
    found = asyncio.run(fuzz(python, SUITE.resolve(), kind, cases, reports))
    again = [case for case, result in found.items() if result["behavior"] != RAISED and not passes(kind, case, result)]
    if again:
        print(f"{kind}: once more: {', '.join(again)}")
        found |= asyncio.run(fuzz(python, SUITE.resolve(), kind, again, reports / "again"))
    return found


async def fuzz(python: str, suite: Path, kind: str, cases: list[str], reports: Path) -> dict[str, Any]:
    """Run the cases against an echo; the suite's own index of results by case. What a callback raises is one, too.

    Raises:
        TimeoutError: it took too long.
        FileNotFoundError: the suite ended without a result.
    """
    folder = reports / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec, raised = folder / "spec.json", list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["message"]))
    async with echoing(KINDS[kind]) as url:
        spec.write_text(json.dumps({
            "outdir": str(folder), "servers": [{"agent": kind, "url": url}], "cases": cases,
            "exclude-cases": list(EXCLUDED), "exclude-agent-cases": {},
        }))  # fmt: skip
        command = [python, "-W", "ignore", "-c", _RUN, str(suite), "-m", "fuzzingclient", "-s", str(spec)]
        with (folder / "log.txt").open("wb") as log:
            client = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            await asyncio.wait_for(client.wait(), PATIENCE)
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
    found: dict[str, Any] = json.loads((folder / "index.json").read_text())[kind]
    return found | {words: {"behavior": RAISED, "behaviorClose": "OK"} for words in raised}


def refused(case: str, result: Mapping[str, Any]) -> bool:
    """Whether a case was ended by a bound of `/ws`, and had to be."""
    return (case in BEYOND or case.startswith("9.")) and result["remoteCloseCode"] in BOUNDS


def verdict(kind: str, results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the results: a line for each case."""
    wrong = [] if results else [f"{kind}: no case was run"]
    for case, result in sorted(results.items()):
        if not passes(kind, case, result):
            wrong.append(f"{kind} {case}: {result['behavior']}, close {result['behaviorClose']}")
    return wrong


def table(kind: str, results: Mapping[str, Mapping[str, Any]], seconds: float) -> str:
    """The figures of a run in one line."""
    counts = Counter(
        "refused by bounds" if kind == "bounded" and refused(case, result) else result["behavior"]
        for case, result in results.items()
    )
    each = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"{kind}: {len(results)} cases in {seconds:.0f} s: {each}"


def main(given: list[str] | None = None) -> int:
    """Run it all; the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", default="*", help="of the suite, with commas")
    options.add_argument("--reports", type=Path, default=Path("build/autobahn-reports"), help="a folder")
    options.add_argument("--only", choices=KINDS, help="one of the two echoes")
    chosen = options.parse_args(given)
    python = python2()
    if python is None:
        print("skipped: the Autobahn suite needs Python 2.7, and there is none on the PATH nor among pyenv's versions")
        return 0
    install(python, SUITE)
    wrong = []
    for kind in [chosen.only] if chosen.only else KINDS:
        began = time.monotonic()
        results = run(python, kind, chosen.cases.split(","), chosen.reports.resolve())
        print(table(kind, results, time.monotonic() - began), flush=True)
        wrong += verdict(kind, results)
    print("\n".join(wrong) or "all as it should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
