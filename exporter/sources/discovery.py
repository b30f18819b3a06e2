"""What contracts are, asked by web3 in a process of its own: the only module that imports web3.

The child reads `{"urls", "chain_id", "pools", "tokens"}` from its standard input and answers JSON on its output.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from exporter.log import scrub
from exporter.metrics import OTHER, label
from exporter.sources.pairs import pair_of_tokens

if TYPE_CHECKING:
    from web3 import Web3

ZERO: Final = "0x0000000000000000000000000000000000000000"
TIMEOUT: Final = 8.0
FACTORIES: Final = {
    "0x33128a8fc17869897dce68ed026d694621f6fdfd": "uniswap",
    "0x420dd381b31aef6683db6b902084cb0ffece40da": "aerodrome",
    "0x5e7bb104d84c7cb9b682aac2f3d509f5f406809a": "aerodrome",
    "0x0bfbcf9fa4f9c56b0f40a671ad40e0805a091865": "pancakeswap",
    "0xfda619b6d20975be80a10332cd39b9a4b0faa8bb": "baseswap",
    "0x71524b4f93c58fcbf659783284e38825f0622859": "sushiswap",
    "0x8909dc15e40173ff4699343b6eb8132c65e18ec6": "uniswap",
}
UNISWAP_V2_FEE: Final = 3000
_SELECTORS: Final = {
    "token0": "0x0dfe1681", "token1": "0xd21220a7", "getReserves": "0x0902f1ac", "stable": "0x22be3de1",
    "slot0": "0x3850c7bd", "tickSpacing": "0xd0c93a7c", "fee": "0xddca3f43", "factory": "0xc45a0155",
    "decimals": "0x313ce567", "symbol": "0x95d89b41",
}  # fmt: skip
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_GET_FEE: Final = "0xcc56b2c5"


class Unanswered(Exception):
    """No node answered, so that nothing is known, not even that there is nothing."""


class Inspector:
    """Asks contracts of one chain what they are."""

    def __init__(self, w3: Web3) -> None:
        self._w3 = w3

    def chain_id(self) -> int:
        """The chain's id."""
        return int(self._w3.eth.chain_id)

    def token(self, address: str) -> dict[str, Any] | None:
        """Symbol, decimals and checksummed address of an ERC-20 token; None if it is none."""
        decimals = self._word(address, _SELECTORS["decimals"])
        symbol = self._symbol(address)
        if decimals is None or decimals > 77 or symbol is None:
            return None
        return {"symbol": symbol, "decimals": decimals, "checksum": self._w3.to_checksum_address(address)}

    def pool(self, address: str) -> dict[str, Any] | None:
        """Kind, tokens, fee in hundredths of a bip, and factory of a pool; None if it is none that we know."""
        tokens = [self._word(address, _SELECTORS[name]) for name in ("token0", "token1")]
        kind = self._kind(address)
        if kind is None or None in tokens or 0 in tokens:
            return None
        token0, token1 = (f"0x{token:040x}" for token in tokens if token is not None)
        factory = self._word(address, _SELECTORS["factory"]) or 0
        fee = self._fee(address, kind, factory)
        checksum = self._w3.to_checksum_address(address)
        return {"kind": kind, "token0": token0, "token1": token1, "fee": fee, "factory": f"0x{factory:040x}",
                "checksum": checksum}  # fmt: skip

    def _kind(self, address: str) -> str | None:
        if self._call(address, _SELECTORS["getReserves"]) is not None:
            return "solidly" if self._word(address, _SELECTORS["stable"]) is not None else "uniswap_v2"
        slot0 = self._call(address, _SELECTORS["slot0"])
        if slot0 is None:
            return None
        return "slipstream" if len(slot0) == 6 * 32 else "uniswap_v3"

    def _fee(self, address: str, kind: str, factory: int) -> int:
        if kind == "uniswap_v2":
            return UNISWAP_V2_FEE  # its contracts hold the fee as a constant and tell it to nobody
        if kind != "solidly":
            return self._word(address, _SELECTORS["fee"]) or 0
        stable = self._word(address, _SELECTORS["stable"]) or 0
        bps = self._word(f"0x{factory:040x}", f"{_GET_FEE}{int(address, 16):064x}{stable:064x}")
        return (bps or 0) * 100

    def _symbol(self, address: str) -> str | None:
        """A symbol as a string, or as the bytes32 of old tokens."""
        raw = self._call(address, _SELECTORS["symbol"])
        if raw is None:
            return None
        if len(raw) == 32:
            return _clean(raw.rstrip(b"\0"))
        length = int.from_bytes(raw[32:64], "big")
        return _clean(raw[64 : 64 + min(length, 256)])

    def _word(self, address: str, data: str) -> int | None:
        raw = self._call(address, data)
        return None if raw is None else int.from_bytes(raw[:32], "big")

    def _call(self, address: str, data: str) -> bytes | None:
        """Returned data of at least a word; None if the contract reverts or is not there."""
        from web3.exceptions import ContractLogicError, Web3RPCError

        to = self._w3.to_checksum_address(address)
        try:
            raw = bytes(self._w3.eth.call({"to": to, "data": data}))  # type: ignore[typeddict-item]  # hex text is taken
        except ContractLogicError:
            return None
        except Web3RPCError as error:
            # Nodes word a revert in many ways; code 3 and the execution range are reverts, the rest is trouble.
            if _error_code(error) in (3, -32000, -32015):
                return None
            raise
        return raw if len(raw) >= 32 else None


def _error_code(error: Any) -> int:
    response = getattr(error, "rpc_response", None) or {}
    code = response.get("error", {}).get("code", 0)
    return code if isinstance(code, int) else 0


def _clean(raw: bytes) -> str | None:
    text = label(raw.decode("utf-8", "replace").strip())
    return None if text in ("", OTHER) else text


def connect(urls: list[str], chain_id: int | None) -> Inspector:
    """An inspector at the first node that answers and serves the chain.

    Raises:
        Unanswered: there is none.
    """
    from web3 import HTTPProvider, Web3

    for url in urls:
        provider = HTTPProvider(url, request_kwargs={"timeout": TIMEOUT, "allow_redirects": False},
                                exception_retry_configuration=None, cache_allowed_requests=True)  # fmt: skip
        # CCIP Read would let a contract send us to any address.
        provider.global_ccip_read_enabled = False
        inspector = Inspector(Web3(provider))
        with suppress(Exception):  # whatever a node does wrong, the next one may do right
            if inspector.chain_id() == (chain_id or inspector.chain_id()):
                return inspector
    raise Unanswered


def inspect(
    request: dict[str, Any], connected: Callable[[list[str], int | None], Inspector] = connect
) -> dict[str, Any]:
    """What the asked addresses are: pools, and tokens including those of the pools; None for what is neither.

    Raises:
        Unanswered, Exception: nothing was found out.
    """
    inspector = connected(request["urls"], request["chain_id"])
    pools = {address: inspector.pool(address) for address in request["pools"]}
    wanted = {*request["tokens"], *(pool[side] for pool in pools.values() if pool for side in ("token0", "token1"))}
    return {"pools": pools, "tokens": {address: inspector.token(address) for address in sorted(wanted)}}


def run(rpc: str, addresses: list[str]) -> int:
    """`arb-exporter discover`: print settings for addresses; 0 if all were recognised, else 1."""
    url = os.environ.get(rpc.removeprefix("env:"), "") if rpc.startswith("env:") else os.path.expandvars(rpc)
    scrub.learn([url])
    known = [a.lower() for a in addresses if _ADDRESS.fullmatch(a)]
    for wrong in (a for a in addresses if not _ADDRESS.fullmatch(a)):
        print(f"{scrub(wrong)[:80]}: is not an address (0x and 40 hexadecimal digits)", file=sys.stderr)
    try:
        inspector = connect([url], None)
        found = {a: inspector.pool(a) for a in known}
        tokens = {a: inspector.token(a) for a in known if found[a] is None}
        sides = {s: inspector.token(s) for p in found.values() if p for s in (p["token0"], p["token1"])}
    except Exception:
        print("the node does not answer; is the URL right and the node up?", file=sys.stderr)
        return 1
    strangers = [a for a in known if found[a] is None and tokens.get(a) is None]
    for stranger in strangers:
        print(f"{stranger}: is neither a pool nor a token on this chain", file=sys.stderr)
    print(yaml_of(inspector.chain_id(), found, tokens, sides), end="")
    return 1 if strangers or len(known) < len(addresses) else 0


def yaml_of(chain_id: int, pools: dict[str, Any], tokens: dict[str, Any], sides: dict[str, Any]) -> str:
    """Ready settings: what was found, under `chain:`."""
    lines = ["chain:", f"  chain_id: {chain_id}"]
    named = {a: t for a, t in (sides | tokens).items() if t is not None}
    if any(t is not None for t in tokens.values()):
        lines.append("  tokens:")
        lines += [f'    - "{t["checksum"]}"  # {t["symbol"]}, {t["decimals"]} decimals' for t in tokens.values() if t]
    found = {a: p for a, p in pools.items() if p is not None}
    if found:
        lines.append("  pools:")
    for pool in found.values():
        dex = FACTORIES.get(pool["factory"], "unknown")
        where = f'address: "{pool["checksum"]}"'
        lines.append(f"    - {{dex: {dex}, kind: {pool['kind']}, {where}}}  # {_about(pool, named)}")
    return "\n".join(lines) + "\n"


def _about(pool: dict[str, Any], tokens: dict[str, Any]) -> str:
    sides = [tokens.get(pool[side]) for side in ("token0", "token1")]
    if None in sides:
        return "a token without symbol"
    token0, token1 = ((t["symbol"], pool[s]) for t, s in zip(sides, ("token0", "token1"), strict=True) if t)
    return f"{pair_of_tokens(token0, token1)[0]}, fee {pool['fee'] / 10_000:g} %"


def main() -> int:
    """The child: one request in, one answer out, never a word of a third party."""
    try:
        json.dump(inspect(json.load(sys.stdin)), sys.stdout)
    except Exception:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
