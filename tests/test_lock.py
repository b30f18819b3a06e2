"""The lock file of the image: all that is needed, above the floors, each file by its hash, from no particular place."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [*PROJECT["dependencies"], *(r for e in ("fast", "scale") for r in PROJECT["optional-dependencies"][e])]
BLOCKS = [block for block in re.split(r"\n(?=\S)", LOCK) if "==" in block.partition("\n")[0]]
LOCKED = {canonicalize_name(block.partition("==")[0]): block for block in BLOCKS}


@pytest.mark.parametrize("line", NEEDED)
def test_what_is_needed_is_locked_above_its_floor(line: str) -> None:
    wanted = Requirement(line)
    version = re.split(r"[ ;\\]", LOCKED[canonicalize_name(wanted.name)].partition("==")[2], maxsplit=1)[0]
    assert wanted.specifier.contains(version), version


@pytest.mark.parametrize("name", LOCKED)
def test_every_file_is_known_by_its_hash(name: str) -> None:
    hashes = re.findall(r"--hash=(\S+)", LOCKED[name])
    assert hashes
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)


def test_no_place_is_named() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^--(?!hash)", LOCK, re.MULTILINE)
