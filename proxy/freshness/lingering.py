"""Tables that are written all the time: their tokens linger, and later commits ride on them.

A token that lingers is pending at all other members, though its commit is done. So the next
commits on its tables need not be announced, and are not told one by one: what they have changed is
gathered, and goes out when the token is cleared, behind the last of them. Meanwhile the others read
these tables at the primary, and this member reads them as if it were alone. docs/fleet.md, "A
commit".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final, final

from proxy.freshness.frames import Claim, Wrote
from proxy.freshness.mark import Mark
from proxy.freshness.tables import VERSION_MASK, hash_token
from proxy.types import ALL_OID, SCHEMA_OID, Position, Table, Token

HOT: Final = 1.0
"""A table is hot that is left alone between two commits for no longer than so many times what the
first of them took, from its announcement to its end: at best the others could read it fast for
half of the time."""

STAYS: Final = 4.0
"""A token lingers while each of its tables is written once in so many times what a commit took."""

MOST_KEPT: Final = 256
"""Ids of commits that are kept until they are told: each takes some bytes of a message."""

_REMEMBERED: Final = 4096
"""Tables, of whose last commits it is known when they were."""


@final
class Lingering:
    """A token that stays pending at the others.

    Attributes:
        token: It.
        tables: What its commit was announced with.
        steps: By how much versions have changed since the others were told.
        rows: What was written since.
        claims: The ids of those who wrote it, by the tables that they were announced with; as far
            as they have not been told.
        position: Behind all that was done; None: not known.
        riders: How many commits under way have not been announced because of it.
        ridden: When each table was written last.
        stays: Seconds that it lingers between two commits.
    """

    __slots__ = (
        "claims",
        "position",
        "ridden",
        "riders",
        "rows",
        "stays",
        "steps",
        "tables",
        "token",
    )

    def __init__(self, mark: Mark, position: Position | None, now: float, stays: float) -> None:
        self.token = mark.token
        self.tables = mark.tables
        self.steps: dict[Table, int] = {}
        self.rows: dict[Table, int] = {}
        self.claims: dict[frozenset[Table], list[str]] = {}
        self.position = position
        self.riders = 0
        self.stays = stays
        self.ridden = dict.fromkeys(mark.tables, now)

    def done(self, token: Token, changed: Iterable[Table], position: Position | None) -> None:
        """One commit is done: its own, or a rider."""
        step = hash_token(token)
        for table in changed:
            if table in self.tables:
                self.steps[table] = (self.steps.get(table, 0) + step) & VERSION_MASK
        if position is None or self.position is None:
            self.position = None
        elif position > self.position:
            self.position = position

    def wrote(self, written: Wrote) -> None:
        """Keep what a rider has written of our tables."""
        for table, number in written.rows:
            if table in self.tables:
                self.rows[table] = self.rows.get(table, 0) + number
        for claim in written.claims:
            ours = claim.tables & self.tables
            if ours:
                self.claims.setdefault(ours, []).extend(claim.gtids)

    def take_written(self) -> Wrote | None:
        """Take out what has been kept, to be told."""
        if not self.rows and not self.claims:
            return None
        rows, self.rows = tuple(self.rows.items()), {}
        claims = tuple([Claim(tables, tuple(gtids)) for tables, gtids in self.claims.items()])
        self.claims = {}
        return Wrote(self.token, rows, claims)

    @property
    def ends_at(self) -> float:
        """When it stops, if nothing is written before."""
        return min(self.ridden.values()) + self.stays


@final
class _Commit:
    """One of ours that is under way.

    Attributes:
        at: When it was announced, or began to ride.
        stays: For how long its token is to linger between two commits; 0: not at all.
        on: What it rides on.
    """

    __slots__ = ("at", "on", "stays")

    def __init__(self, on: tuple[Lingering, ...]) -> None:
        self.at = -inf
        self.stays = 0.0
        self.on = on


@final
class Hot:
    """The tokens of ours that linger, and when one is to.

    Args:
        longest: Seconds that a token lingers at most between two commits, however long these take.
        patience: Multiplies `HOT` and `STAYS`.
    """

    __slots__ = (
        "_by_table",
        "_commits",
        "_ends_at",
        "_kept",
        "_longest",
        "_patience",
        "_settled",
        "_times",
        "_tokens",
    )

    def __init__(self, longest: float, patience: float = 1.0) -> None:
        self._longest = longest
        self._patience = patience
        self._tokens: dict[Token, Lingering] = {}
        self._by_table: dict[Table, Lingering] = {}  # whom a commit may ride on
        self._commits: dict[Token, _Commit] = {}
        self._times: dict[Table, tuple[float, float]] = {}  # its last commit's end, and length
        self._settled: list[tuple[frozenset[Table], float]] = []  # since the time was known last
        self._kept = 0  # ids of riders, about
        self._ends_at = inf  # or later

    def carries(self, mark: Mark) -> bool:
        """Have a commit ride if it may: then it is not announced, and its COMMIT may be sent."""
        by_table = self._by_table
        on: set[Lingering] = set()
        for table in mark.tables:
            token = by_table.get(table)
            if token is None:
                return False
            on.add(token)
        for token in on:
            token.riders += 1
        self._commits[mark.token] = _Commit(tuple(on))
        return True

    def begun(self, mark: Mark, now: float) -> bool:
        """Note when a commit was marked; tell whether it rides."""
        commit = self._commits.get(mark.token)
        if commit is None:
            commit = self._commits[mark.token] = _Commit(())
            commit.stays = self._stay_of(mark.tables, now)
        commit.at = now
        for token in commit.on:
            for table in mark.tables:
                if table in token.ridden:
                    token.ridden[table] = now
        return bool(commit.on)

    def _stay_of(self, tables: frozenset[Table], now: float) -> float:
        longest = 0.0
        for table in tables:
            if table.oid == ALL_OID or table.oid == SCHEMA_OID:
                return 0.0
            end, length = self._times.get(table, (-inf, 0.0))
            if now - end > min(HOT * self._patience * length, self._longest):
                return 0.0
            longest = max(longest, length)
        return min(STAYS * self._patience * longest, self._longest)

    def committed(self, mark: Mark, changed: frozenset[Table], position: Position | None) -> bool:
        """Note that a commit is done; False: the others are to be told."""
        commit = self._commits.pop(mark.token, None)
        if commit is None:
            return False
        if commit.at > -inf:
            self._settled.append((mark.tables, commit.at))
        if not commit.on and (not commit.stays or mark.waiting):
            return False
        for token in commit.on:
            token.riders -= 1
            token.done(mark.token, changed, position)
        if not commit.on:
            token = Lingering(mark, position, commit.at, commit.stays)
            token.done(mark.token, changed, position)
            self._tokens[token.token] = token
            for table in token.tables:
                before = self._by_table.get(table)
                if before is not None:
                    self._retire(before)  # each is for all of its tables, or for none
                self._by_table[table] = token
        self._ends_at = -inf
        return True

    def undone(self, token: Token) -> bool:
        """Note that a commit never was; False: the others are to be told."""
        commit = self._commits.pop(token, None)
        if commit is None or not commit.on:
            return False
        for lingering in commit.on:
            lingering.riders -= 1
        self._ends_at = -inf
        return True

    def wrote(self, written: Wrote) -> bool:
        """Keep what a commit has written if it rides; False: the others are to be told."""
        commit = self._commits.get(written.token)
        if commit is None or not commit.on:
            return False
        self._kept += len(written.claims)
        for token in commit.on:
            token.wrote(written)
        return True

    def take_written(self) -> list[Wrote]:
        """Take out what is kept, if it is much: there is no end to it while tables are written."""
        if self._kept < MOST_KEPT:
            return []
        self._kept = 0
        told: list[Wrote] = []
        for token in self._tokens.values():
            written = token.take_written()
            if written is not None:
                told.append(written)
        return told

    def ended(self, now: float) -> list[Lingering]:
        """Take out the tokens that linger no longer, with what is to be told of them.

        To be asked whenever something is said: by that it is known how long commits take.
        """
        self._date(now)
        if now < self._ends_at:
            return []
        ended: list[Lingering] = []
        self._ends_at = inf
        for token in list(self._tokens.values()):
            ends_at = token.ends_at
            if now < ends_at:
                self._ends_at = min(self._ends_at, ends_at)
                continue
            self._retire(token)
            if not token.riders:
                del self._tokens[token.token]
                ended.append(token)
        return ended

    def stop(self) -> None:
        """Let none linger any longer."""
        for token in self._tokens.values():
            self._retire(token)
        self._ends_at = -inf

    def _retire(self, token: Lingering) -> None:
        """Let nobody ride on a token any more; it ends when those are done who do."""
        token.stays = -inf
        for table in token.tables:
            if self._by_table.get(table) is token:
                del self._by_table[table]

    def due(self) -> float:
        """When one may end, if nothing happens before; perhaps later."""
        return self._ends_at

    def clear(self) -> None:
        """Forget all: nobody has them pending any more."""
        self._tokens.clear()
        self._by_table.clear()
        self._commits.clear()
        self._settled.clear()
        self._kept = 0
        self._ends_at = inf

    def tokens(self) -> Iterable[Lingering]:
        """List those that linger."""
        return self._tokens.values()

    def is_riding(self, token: Token) -> bool:
        """Tell whether a commit under way rides."""
        commit = self._commits.get(token)
        return commit is not None and bool(commit.on)

    def told_of(self, sums: Mapping[Table, int]) -> dict[Table, int]:
        """Take what the others have not been told out of our sums."""
        told = dict(sums)
        for token in self._tokens.values():
            for table, step in token.steps.items():
                told[table] = (told.get(table, 0) - step) & VERSION_MASK
        return told

    def _date(self, now: float) -> None:
        if not self._settled:
            return
        settled, self._settled = self._settled, []
        for tables, began in settled:
            for table in tables:
                self._times[table] = now, now - began
        if len(self._times) > _REMEMBERED:
            newest = sorted(self._times, key=self._when)[-_REMEMBERED // 2 :]
            self._times = {table: self._times[table] for table in newest}

    def _when(self, table: Table) -> float:
        return self._times[table][0]
