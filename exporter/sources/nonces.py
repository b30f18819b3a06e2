"""Whether a wallet's nonces agree with the transactions that were found. No input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def missed(
    before: Mapping[str, int | None], sent: Mapping[str, Sequence[int]], after: Mapping[str, int | None]
) -> bool:
    """Whether a wallet's next nonces say that it sent more, or less, than was found; None is a nonce not known."""
    return any(gap(before.get(wallet), sent.get(wallet, ()), then) for wallet, then in after.items())


def gap(before: int | None, sent: Sequence[int], after: int | None) -> bool:
    """The same of one wallet, whose transactions are in the order of the chain."""
    first = before if before is not None else (sent[0] if sent else after)
    if first is None:
        return False
    return list(sent) != list(range(first, first + len(sent))) or after not in (None, first + len(sent))


def following(
    before: Mapping[str, int | None], sent: Mapping[str, Sequence[int]], after: Mapping[str, int | None]
) -> dict[str, int | None]:
    """The next nonces after what is counted: the node's word, else what was seen."""
    seen = {wallet: nonces[-1] + 1 for wallet, nonces in sent.items()}
    return {a: n if n is not None else seen.get(a, before.get(a)) for a, n in after.items()}
