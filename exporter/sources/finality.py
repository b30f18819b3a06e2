"""What counts as final: a block that only ever moves up, and the alarm when the chain breaks its word. No I/O."""

from __future__ import annotations

from exporter.sources.blocks import Header, Window


class Finality:
    """The newest final block; it never goes back, and while the chain contradicts it, it does not move at all."""

    def __init__(self) -> None:
        self.newest: Header | None = None
        self.violated = False
        """Whether the chain has another block now where one was final. Heals when the old chain is back."""

    def check(self, found: Header) -> None:
        """What the chain says now about the height of the newest final block."""
        if self.newest is not None and found.number == self.newest.number:
            self.violated = found.hash != self.newest.hash

    def recheck(self, window: Window) -> None:
        """The same, by what is known of the chain."""
        known = None if self.newest is None else window.get(self.newest.number)
        if known is not None:
            self.check(known)

    def offer(self, found: Header, window: Window) -> None:
        """Take a block that is said to be final, if it is later and fits what is known."""
        head = window.newest
        known = window.get(found.number)
        if head is None or found.number > head.number or (known is not None and known.hash != found.hash):
            return  # of a node that is ahead, behind or on another fork: the next look will tell
        self.recheck(window)
        if not self.violated and (self.newest is None or found.number > self.newest.number):
            self.newest = found
