"""What contracts are, asked by web3 in a process of its own: the only module that imports web3.

The child reads `{"urls", "chain_id", "pools", "tokens"}` from its standard input and answers JSON on its output.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from exporter.log import scrub
from exporter.metrics import OTHER, label
from exporter.sources.pairs import pair_of_tokens

if TYPE_CHECKING:
    from web3 import Web3

TIMEOUT: Final = 8.0
ENOUGH: Final = 40.0
"""Seconds after which a look-up ends with what it knows by then: a hundred pools of a far node take longer."""
MOST_TROUBLES: Final = 3
MEMORY: Final = 256 << 20  # three times what a hundred pools take
FACTORIES: Final = {
    "0x33128a8fc17869897dce68ed026d694621f6fdfd": "uniswap",
    "0x420dd381b31aef6683db6b902084cb0ffece40da": "aerodrome",
    "0x5e7bb104d84c7cb9b682aac2f3d509f5f406809a": "aerodrome",
    "0x0bfbcf9fa4f9c56b0f40a671ad40e0805a091865": "pancakeswap",
    "0xfda619b6d20975be80a10332cd39b9a4b0faa8bb": "baseswap",
    "0x71524b4f93c58fcbf659783284e38825f0622859": "sushiswap",
    "0x8909dc15e40173ff4699343b6eb8132c65e18ec6": "uniswap",
}
UNISWAP_V2_FEE, WHOLE = 3000, 1_000_000  # in hundredths of a bip
_SELECTORS: Final = {
    "token0": "0x0dfe1681", "token1": "0xd21220a7", "getReserves": "0x0902f1ac", "stable": "0x22be3de1",
    "slot0": "0x3850c7bd", "tickSpacing": "0xd0c93a7c", "fee": "0xddca3f43", "factory": "0xc45a0155",
    "decimals": "0x313ce567", "symbol": "0x95d89b41",
}  # fmt: skip
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_REVERT: Final = re.compile(r"(?i)revert|opcode|jump|stack|out of gas|execution|\bvm\b")
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
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
        kind = self._kind(address)
        token0, token1 = (self._address(address, _SELECTORS[name]) for name in ("token0", "token1"))
        if kind is None or token0 is None or token1 is None:
            return None
        factory = self._address(address, _SELECTORS["factory"])
        fee = self._fee(address, kind, factory)
        if fee > WHOLE:
            return None
        checksum = self._w3.to_checksum_address(address)
        return {"kind": kind, "token0": token0, "token1": token1, "fee": fee, "factory": factory, "checksum": checksum}

    def _kind(self, address: str) -> str | None:
        if len(self._call(address, _SELECTORS["getReserves"]) or b"") >= 3 * 32:
            return "solidly" if self._word(address, _SELECTORS["stable"]) is not None else "uniswap_v2"
        slot0 = self._call(address, _SELECTORS["slot0"]) or b""
        if len(slot0) < 2 * 32:
            return None
        return "slipstream" if len(slot0) == 6 * 32 else "uniswap_v3"

    def _fee(self, address: str, kind: str, factory: str | None) -> int:
        if kind == "uniswap_v2":
            return UNISWAP_V2_FEE  # its contracts hold the fee as a constant and tell it to nobody
        if kind != "solidly":
            return self._word(address, _SELECTORS["fee"]) or 0
        stable = self._word(address, _SELECTORS["stable"]) or 0
        asked = f"{_GET_FEE}{int(address, 16):064x}{stable:064x}"
        return ((self._word(factory, asked) if factory else None) or 0) * 100

    def _address(self, address: str, data: str) -> str | None:
        """An address that a contract tells; zero, or a word that is none, is nothing."""
        word = self._word(address, data)
        return f"0x{word:040x}" if word and word < 2**160 else None

    def _symbol(self, address: str) -> str | None:
        """A symbol as a string, or as the bytes32 of old tokens."""
        raw = self._call(address, _SELECTORS["symbol"])
        if raw is None:
            return None
        if len(raw) == 32:
            return _clean(raw.rstrip(b"\0"))
        return _clean(raw[64 : 64 + min(int.from_bytes(raw[32:64], "big"), 256)])

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
            if not _reverted(error):
                raise
            return None
        return raw if len(raw) >= 32 else None


def _reverted(error: Any) -> bool:
    """Whether the contract failed, and not the node: -32000 can be either, and a passing trouble is no answer."""
    told = (getattr(error, "rpc_response", None) or {}).get("error")
    code, message = (told.get("code"), str(told.get("message", ""))) if isinstance(told, dict) else (0, "")
    return code in (3, -32015) or (code == -32000 and _REVERT.search(message[:300]) is not None)


def _clean(raw: bytes) -> str | None:
    text = label(raw.decode("utf-8", "replace").strip())
    return text if text.isprintable() and text not in ("", OTHER) else None


def connect(urls: list[str], chain_id: int | None) -> Inspector:
    """An inspector at the first node that answers and serves the chain.

    Raises:
        Unanswered: there is none.
    """
    import requests
    from web3 import HTTPProvider, Web3

    for url in urls:
        session = requests.Session()
        session.trust_env = False  # no proxies, no .netrc: as in the running process
        provider = HTTPProvider(url, request_kwargs={"timeout": TIMEOUT, "allow_redirects": False}, session=session,
                                exception_retry_configuration=None, cache_allowed_requests=True)  # fmt: skip
        # CCIP Read would let a contract send us to any address.
        provider.global_ccip_read_enabled = False
        inspector = Inspector(Web3(provider))
        with suppress(Exception):  # whatever a node does wrong, the next one may do right
            if inspector.chain_id() == (chain_id or inspector.chain_id()):
                return inspector
    raise Unanswered


class LookUp:
    """Asks about many addresses; ends with what it knows when there is too much trouble, or not enough time."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._until = time.monotonic() + ENOUGH
        self._troubles = 0
        self.pools: dict[str, dict[str, Any] | None] = {}
        self.tokens: dict[str, dict[str, Any] | None] = {}

    def ask(self, pools: Iterable[str], tokens: Iterable[str]) -> None:
        """Find out what pools are, each with its tokens, so that what is known is always of use; then tokens.

        Raises:
            Unanswered: nothing was found out.
        """
        for address in pools:
            self._add(self.pools, address, self._inspector.pool)
            pool = self.pools.get(address)
            for side in (pool["token0"], pool["token1"]) if pool else ():
                self._add(self.tokens, side, self._inspector.token)
        for address in tokens:
            self._add(self.tokens, address, self._inspector.token)
        if self._troubles and not self.pools and not self.tokens:
            raise Unanswered

    def _add(self, found: dict[str, Any], address: str, ask: Callable[[str], Any]) -> None:
        if address not in found:
            try:
                if self._troubles >= MOST_TROUBLES or time.monotonic() > self._until:
                    raise Unanswered
                found[address] = ask(address)
            except Exception:  # of one contract, or of the node: what it is stays unknown
                self._troubles += 1


def inspect(
    request: dict[str, Any], connected: Callable[[list[str], int | None], Inspector] = connect
) -> dict[str, Any]:
    """What the asked addresses are: pools, and tokens including those of the pools; None for what is neither.

    Raises:
        Unanswered: nothing was found out; what was not found out of single addresses is left out.
    """
    looked = LookUp(connected(request["urls"], request["chain_id"]))
    looked.ask(request["pools"], request["tokens"])
    return {"pools": looked.pools, "tokens": looked.tokens}


def run(rpc: str, addresses: list[str]) -> int:
    """`arb-exporter discover`: print settings for addresses; 0 if all were recognised, else 1.

    `rpc` is a URL, or `env:NAME` or `${NAME}`, which keep it out of the arguments.
    """
    url = _from_environment(rpc)
    if not url:
        print("--rpc: the environment variable is not set", file=sys.stderr)
        return 1
    scrub.learn([url])
    wrong = [a for a in addresses if not _ADDRESS.fullmatch(a)]
    for word in wrong:
        print(f"{ascii(scrub(word)[:80])[1:-1]}: is not an address (0x and 40 hexadecimal digits)", file=sys.stderr)
    asked = list(dict.fromkeys(a.lower() for a in addresses if a not in wrong))
    try:
        inspector = connect([url], None)
        looked = LookUp(inspector)
        looked.ask(asked, ())
        looked.ask((), (a for a in asked if a in looked.pools and looked.pools[a] is None))
        text = yaml_of(inspector.chain_id(), looked.pools, {a: looked.tokens.get(a) for a in asked}, looked.tokens)
    except Exception:
        print("the node does not answer; is the URL right and the node up?", file=sys.stderr)
        return 1
    print(text, end="")
    return 1 if _tell_strangers(asked, looked) or wrong else 0


def _from_environment(rpc: str) -> str:
    """The URL with variables replaced; nothing if one of them is not set."""
    text = re.sub(r"^env:(\w+)$", r"${\1}", rpc)
    found = {name: os.environ.get(name, "") for name in _VARIABLE.findall(text)}
    return _VARIABLE.sub(lambda match: found[match[1]], text) if all(found.values()) else ""


def _tell_strangers(asked: list[str], looked: LookUp) -> bool:
    """One line for each address that has no place in the settings."""
    strangers = [a for a in asked if not looked.pools.get(a) and not looked.tokens.get(a)]
    for address in strangers:
        words = "is neither a pool nor a token on this chain" if address in looked.tokens else "was not answered for"
        print(f"{address}: {words}", file=sys.stderr)
    return bool(strangers)


def yaml_of(chain_id: int, pools: dict[str, Any], tokens: dict[str, Any], sides: dict[str, Any]) -> str:
    """Ready settings: what was found, under `chain:`."""
    lines = ["chain:", f"  chain_id: {chain_id}"]
    named = {a: t for a, t in (sides | tokens).items() if t is not None}
    if any(t is not None for t in tokens.values()):
        lines.append("  tokens:")
        lines += [f'    - "{t["checksum"]}"  # {t["symbol"]}, {t["decimals"]} decimals' for t in tokens.values() if t]
    found = [pool for pool in pools.values() if pool is not None]
    lines += ["  pools:"] if found else []
    for pool in found:
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
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # a node that sends a bomb costs the child only
    sys.exit(main())
