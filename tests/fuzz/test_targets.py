"""Every parser on its seeds, cut off at every byte, with bytes changed, and on what hypothesis makes of them."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS
from tests.tiers import FULL

NO_ATHERIS = os.environ.get("ARB_ATHERIS") == "none"
ATHERIS_RUNS = 20_000


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_whole_and_cut_off_at_every_byte(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        target.run(seed)
        for length in range(min(len(seed), 400)):
            target.run(seed[:length])


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_with_bytes_changed(name: str) -> None:
    target, rng = TARGETS[name], random.Random(name)
    for seed in target.seeds:
        for _ in range(2_000 if FULL else 60):
            changed = bytearray(seed or b"x")
            for _ in range(rng.randint(1, 4)):
                place = rng.randrange(len(changed))
                changed[place : place + rng.choice((0, 1, 1, 5))] = rng.choice(
                    (b"", rng.randbytes(2), b"\0", b'"', b"9" * 40)
                )
                changed = changed or bytearray(b"x")
            target.run(bytes(changed))


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name: str) -> None:
    @settings(max_examples=5_000 if FULL else 60, deadline=None)
    @given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode) | st.sampled_from(TARGETS[name].seeds))
    def run(data: bytes) -> None:
        TARGETS[name].run(data)

    run()


@pytest.mark.skipif(not FULL, reason="part of the long tests")
@pytest.mark.skipif(NO_ATHERIS, reason="ARB_ATHERIS=none says that there is no atheris for this machine")
@pytest.mark.parametrize("name", TARGETS)
def test_what_coverage_leads_to(name: str, tmp_path: Path) -> None:
    """By atheris, which has to be there: `make fuzz` installs it. It is made for few machines; on others,
    ARB_ATHERIS=none passes this over.
    """
    assert importlib.util.find_spec("atheris"), "pip install atheris; where there is none for it, ARB_ATHERIS=none"
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    options = f"-runs={ATHERIS_RUNS}", "-max_len=2000", f"-artifact_prefix={tmp_path}/"
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.explore", name, corpus, *options],
        capture_output=True, text=True, timeout=900, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
