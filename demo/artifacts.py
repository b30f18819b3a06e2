"""ABI and bytecode of the contracts: the exchanges' from npm, our own from solc."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from demo.processes import HERE

MODULES = HERE / "node_modules"
BUILDS = {
    "UniswapV2Factory": "@uniswap/v2-core",
    "UniswapV2Pair": "@uniswap/v2-core",
    "UniswapV2Router02": "@uniswap/v2-periphery",
    "WETH9": "@uniswap/v2-periphery",
}


class CompileError(Exception):
    """The Solidity compiler did not run or found an error."""


@dataclass(frozen=True, slots=True)
class Artifact:
    abi: list[dict[str, Any]]
    bytecode: str  # creation code, 0x…


@cache
def load(name: str) -> Artifact:
    """The contract of that name; compiles our own ones when they have changed."""
    package = BUILDS.get(name)
    if package is None:
        found = _compiled()[name]
        return Artifact(found["abi"], found["bytecode"])
    found = json.loads((MODULES / package / "build" / f"{name}.json").read_text(encoding="utf-8"))
    return Artifact(found["abi"], "0x" + found["bytecode"].removeprefix("0x"))


def _compiled() -> dict[str, Any]:
    """What compile.cjs says, from the cache if the sources are still the same."""
    cached = MODULES / ".cache" / "arb-exporter-demo" / f"{_fingerprint()}.json"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(".partial")
        partial.write_text(_compile(), encoding="utf-8")
        partial.replace(cached)
    compiled: dict[str, Any] = json.loads(cached.read_text(encoding="utf-8"))
    return compiled


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    return [HERE / "compile.cjs", HERE / "package.json", *sorted((HERE / "contracts").glob("*.sol"))]


def _compile() -> str:
    command = ["node", str(HERE / "compile.cjs")]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError:
        raise CompileError("node is not on the PATH") from None
    if result.returncode != 0:
        raise CompileError(f"compile.cjs failed:\n{result.stderr.strip()}")
    return result.stdout
