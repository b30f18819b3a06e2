"""How the sum of a source's net profits went: where it is, and the highest it ever was, in the order of counting."""

from __future__ import annotations

import sqlite3

from exporter.ledger import fetch


class Course:
    """The course of one source inside one transaction; amounts in wei.

    A ledger from before courses were kept has the trades themselves: they are walked through, once.
    """

    def __init__(self, db: sqlite3.Connection, bot: str, source: str) -> None:
        self._db, self._of = db, (bot, source)
        self._found = False
        self.net_wei = self.peak_wei = 0

    def find(self) -> None:
        """Take up what is known; to be called before the next trade is in the ledger."""
        if self._found:
            return
        self._found = True
        known = fetch(self._db, "SELECT net_wei, peak_wei FROM course WHERE bot=? AND source=?", *self._of)
        if known:
            self.net_wei, self.peak_wei = map(int, known[0])
        else:
            self._walk()

    def _walk(self) -> None:
        query = "SELECT net_wei FROM trade WHERE bot=? AND source=? AND net_wei IS NOT NULL ORDER BY id"
        for (net,) in self._db.execute(query, self._of):
            self.add(int(net))

    def add(self, net_wei: int) -> None:
        """A trade more."""
        self.net_wei += net_wei
        self.peak_wei = max(self.peak_wei, self.net_wei)

    def save(self) -> None:
        """Put it down."""
        self.find()
        row = *self._of, str(self.net_wei), str(self.peak_wei)
        self._db.execute("INSERT OR REPLACE INTO course VALUES (?,?,?,?)", row)


def read(db: sqlite3.Connection, bot: str) -> dict[str, tuple[int, int]]:
    """(net profit so far, its highest) of every source, in wei."""
    rows = fetch(db, "SELECT source, net_wei, peak_wei FROM course WHERE bot=?", bot)
    return {source: (int(net), int(peak)) for source, net, peak in rows}
