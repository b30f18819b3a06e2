"""Blocks and the states they leave: a tree of which one branch is the chain, until another one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.model import deeds
from tests.model.deeds import Log, Reverted, State
from tests.model.orders import BRIDGED, ETHER, Order, Rules, name

START = 1_750_000_000
"""Epoch seconds of block 0."""
GAS_LIMIT = 60_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction in a block, and what became of it. Amounts in wei; holdings are those of our addresses."""

    order: Order
    index: int
    succeeded: bool
    gas_used: int
    gas_before: int
    price: int
    l1_fee: int
    operator_fee: int
    logs: tuple[Log, ...]
    first_log: int
    before: State
    after: State

    @property
    def fees(self) -> int:
        """Everything paid."""
        return self.gas_used * self.price + self.l1_fee + self.operator_fee


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block with its state."""

    number: int
    hash: str
    parent: Block | None
    timestamp: int
    base_fee: int
    entries: tuple[Entry, ...]
    state: State
    far: Block | None = None
    """An older one that is some way down, for those who look far back."""

    @property
    def gas_used(self) -> int:
        """Of all its transactions."""
        return sum(entry.gas_used for entry in self.entries)

    def back(self, blocks: int) -> Block:
        """So many blocks earlier, or the first."""
        wanted, found = max(self.number - blocks, 0), self
        while found.number > wanted:
            near = found.parent or found
            found = found.far if found.far is not None and found.far.number >= wanted else near
        return found

    def at(self, number: int) -> Block | None:
        """The block of that height on the branch that ends here."""
        return self.back(self.number - number) if 0 <= number <= self.number else None


class World:
    """The chain. `ours` are the addresses whose holdings are noted around each transaction."""

    def __init__(
        self, ours: Iterable[str], pools: Sequence[deeds.Pool], *, chain_id: int = 8453, interval: float = 2.0,
        rules: Rules | None = None, depth: int = 8, multicall: bool = True,
    ) -> None:  # fmt: skip
        self.ours, self.pools, self.chain_id, self.interval = frozenset(ours), tuple(pools), chain_id, interval
        self.rules, self.depth, self.multicall = rules or Rules(), depth, multicall
        self.by_data: dict[str, Order] = {}
        self.mined: dict[str, list[Block]] = {}
        """Blocks that a transaction has ever been in, by its hash."""
        self.by_hash: dict[str, Block] = {}
        self.pending: list[Order] = []
        self.listeners: list[Callable[[], None]] = []
        self._branch = 0
        self.head = Block(0, name("genesis", chain_id), None, START, 5_000_000, (), State())
        self.by_hash[self.head.hash] = self.head
        self.final = 0
        """Number of the newest final block; it never falls."""

    def fund(self, cells: dict[deeds.Cell, int]) -> None:
        """Balances and reserves from the first block on."""
        self.head.state.update(cells)
        for cell, amount in cells.items():
            if cell[0] == "reserve":
                self.head.state["token", cell[2], cell[1]] = amount

    def mine(self, orders: Iterable[Order] = ()) -> Block:
        """A block on top; what cannot be mined now (nonce, price, funds) is left out."""
        self._become(self.extend(self.head, orders))
        return self.head

    def reorg(self, depth: int, blocks: Sequence[Iterable[Order]], *, below: bool = False) -> list[Order]:
        """Other blocks in place of the last `depth`; the orders that are no longer mined."""
        return self.replace(self.head.back(depth), blocks, below=below)

    def replace(self, start: Block, blocks: Sequence[Iterable[Order]], *, below: bool = False) -> list[Order]:
        """Blocks on top of an older one become the chain."""
        tip = self.fork(self.head.number - start.number)
        for orders in blocks:
            tip = self.extend(tip, orders)
        return self.switch(tip, below=below)

    def fork(self, depth: int) -> Block:
        """The block so far down; what is built on it from now on has other hashes than what was."""
        self._branch += 1
        return self.head.back(depth)

    def rollback(self, depth: int) -> list[Order]:
        """The last blocks are gone, with nothing in their place."""
        return self.switch(self.fork(depth))

    def switch(self, tip: Block, *, below: bool = False) -> list[Order]:
        """Let the chain end with a block that was made before; the orders that are no longer mined."""
        removed, added = difference(self.head, tip)
        assert below or tip.number - len(added) >= self.final, "a reorg below finality has to be meant"
        mined = {entry.order.hash for block in added for entry in block.entries}
        self._become(tip)
        return [e.order for b in reversed(removed) for e in b.entries if e.order.hash not in mined and e.order.kind < 5]

    def _become(self, tip: Block) -> None:
        self.head = tip
        self.final = max(self.final, tip.number - self.depth)
        mined = {entry.order.hash for entry in tip.entries}
        self.pending = [o for o in self.pending if o.hash not in mined and o.nonce >= tip.state["nonce", o.sender]]
        for listener in list(self.listeners):
            listener()

    def extend(self, parent: Block, orders: Iterable[Order]) -> Block:
        """A block that is known, but not on the chain yet."""
        number = parent.number + 1
        timestamp = max(parent.timestamp, int(START + number * self.interval))
        base_fee = 5_000_000 + int(name(parent.hash)[-4:], 16)
        making = Making(self, number, base_fee, State(parent.state))
        for order in orders:
            making.try_order(order)
        own = name(parent.hash, number, self._branch, timestamp, *(e.order.hash for e in making.entries))
        far = parent if parent.number % 64 == 0 else parent.far
        block = Block(number, own, parent, timestamp, base_fee, tuple(making.entries), making.state, far)
        self.by_hash[block.hash] = block
        for entry in block.entries:
            self.mined.setdefault(entry.order.hash, []).append(block)
        return block


class Making:
    """A block while it is made."""

    def __init__(self, world: World, number: int, base_fee: int, state: State) -> None:
        self._world, self._number, self._base_fee, self.state = world, number, base_fee, state
        self.entries: list[Entry] = []
        self._logs = 0

    def try_order(self, order: Order) -> None:
        """Execute it, if its sender can send it now."""
        price = 0 if order.kind == BRIDGED else order.price(self._base_fee)
        enough = self.state["ether", order.sender] >= order.value + order.gas_limit * price + ETHER // 100
        gas_left = sum(e.gas_used for e in self.entries) + order.gas_limit <= GAS_LIMIT
        if order.kind == BRIDGED:
            order = self._bridged(order)
        elif order.nonce != self.state["nonce", order.sender] or order.most < self._base_fee or not enough:
            return
        if gas_left:
            self._world.by_data[order.data] = order
            self._execute(order, price)

    def _bridged(self, order: Order) -> Order:
        """From L1: ether is made for it, and its nonce is whatever comes next."""
        self.state["ether", order.sender] += order.value
        nonce = self.state["nonce", order.sender]
        return Order(order.sender, nonce, order.to, order.deed, order.value, BRIDGED, order.gas_limit, 0, 0, order.salt)

    def _execute(self, order: Order, price: int) -> None:
        before = self._holdings()
        self.state["nonce", order.sender] += 1
        undo = State(self.state)
        gas = min(21_000 + order.deed.gas + int(order.hash[-2:], 16), order.gas_limit)
        try:
            self.state.move(("ether",), order.sender, order.to, order.value)
            logs, succeeded = tuple(order.deed.run(self.state)), True
        except Reverted as reverted:
            self.state, logs, succeeded = undo, (), False
            gas = order.gas_limit if reverted.burns else gas
        free = order.kind == BRIDGED
        l1 = 0 if free else self._world.rules.l1_fee(order, self._number, self._world.chain_id)
        operator = 0 if free else self._world.rules.operator_fee(gas)
        self.state["ether", order.sender] -= gas * price + l1 + operator
        gas_before = sum(entry.gas_used for entry in self.entries)
        self.entries.append(
            Entry(order, len(self.entries), succeeded, gas, gas_before, price, l1, operator, logs, self._logs,
                  before, self._holdings())
        )  # fmt: skip
        self._logs += len(logs)

    def _holdings(self) -> State:
        ours = self._world.ours
        return State({cell: n for cell, n in self.state.items() if cell[0] in ("ether", "token") and cell[-1] in ours})


def difference(old: Block, new: Block) -> tuple[list[Block], list[Block]]:
    """Blocks that leave the chain, the newest first, and those that come in their place, the oldest first."""
    removed: list[Block] = []
    added: list[Block] = []
    while old is not new:
        if old.number >= new.number:
            removed.append(old)
            assert old.parent is not None
            old = old.parent
        else:
            added.append(new)
            assert new.parent is not None
            new = new.parent
    return removed, added[::-1]
