"""Who leads servers that replicate by transaction ids, and how far the others are. Pure.

PostgreSQL says both in two numbers. MySQL and MariaDB say which servers take writes, whom they
follow and what they have executed; the rest is concluded here, for a whole group at once, and
told in PostgreSQL's terms (`group.Sighting`).

- *Primary*: takes writes, and follows no other that does. So a replica that somebody forgot to
  make read-only is a replica, and of two that follow each other the one that takes writes leads.
- *Epoch*: begins when a primary is first seen, and again with each incarnation of it; `_start` is
  what it had executed then. A successor must have followed, or have everything that is known.
- *Following*: a replica has all of `_start`, and nothing that the primary doesn't have. The
  latter would be an *errant* transaction, written past the primary.
- *Position*: the number of the primary's own last commit. What others number (a second primary, a
  tag, another domain, a group) comes in between and has no place in that order, so each change
  of it begins a *generation*: position = (generation, own number). A replica is in a generation
  once it has both what others had numbered at its beginning and the own number of then; so of two
  positions the greater one has everything that the lesser one has.

A MySQL primary that gives its commits no GTIDs is followed *by its log*: there position = place in
its log (`binlog`), which is all its own, and only who follows it directly can be compared. What
anybody has besides is concluded in `log_history`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from proxy.topology import binlog
from proxy.topology.group import Server
from proxy.topology.gtid import GtidSet, largest_by
from proxy.topology.log_history import LogHistory
from proxy.types import Position, Role

NUMBERS: Final = 48
"""Bits of a position that hold the own number: 280 million million commits. A place in a log may
have more: no generation is ever counted there."""

_OWN: Final = (1 << NUMBERS) - 1

GENERATIONS: Final = 256
"""Kept. A replica that is further behind counts as being at the epoch's start."""

STRANGE: Final = 0
"""The timeline of who does not belong to the present epoch."""


class Source(NamedTuple):
    """Whom a replica follows: by what it calls itself, where that is known, and by address."""

    identity: str
    address: str


@dataclass(slots=True)
class Report:
    """What a server said of itself.

    Attributes:
        identity: MySQL's `server_uuid`, MariaDB's `server_id`.
        takes_writes: Whether it is not read-only.
        numbers_commits: Whether every commit gets a number there.
        sources: Whom it follows or tries to; those that were stopped don't count.
        own: How its own commits are numbered: a key of `executed`.
        writer: The same as a key of `written`.
        executed: What it has executed, and shows to queries.
        written: The same by writers, where a number alone doesn't say whose commit it is.
        by_log: Whether it has no GTIDs for its commits, but a log: `own` and `writer` name that.
        log: How far that is, where it was asked for.
        files: What there is of it, by files, where it was asked for.
        places: How much it has replayed of its source's log, where it was asked for.
        receives: Whether it is connected to its source.
    """

    identity: str
    takes_writes: bool
    numbers_commits: bool
    sources: Sequence[Source]
    own: str
    writer: str
    executed: GtidSet
    written: GtidSet
    by_log: bool = False
    log: GtidSet = field(default_factory=GtidSet)
    files: GtidSet = field(default_factory=GtidSet)
    places: GtidSet = field(default_factory=GtidSet)
    receives: bool = True


class Finding(NamedTuple):
    """What a report meant.

    Attributes:
        timeline: The epoch's number; `STRANGE` for who does not belong to it.
        complaint: What an operator should know; told once.
    """

    role: Role
    timeline: int
    position: Position
    complaint: str = ""


class _Generation(NamedTuple):
    """What has been executed at its beginning."""

    number: int
    others: GtidSet
    own: int


@final
class GtidHistory:
    """What is known of a group's servers together; see the module."""

    __slots__ = (
        "_ahead",
        "_complained",
        "_epoch",
        "_followers",
        "_generations",
        "_highest",
        "_leader",
        "_logs",
        "_looks",
        "_primary",
        "_reports",
        "_servers",
        "_start",
        "_suspects",
    )

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._reports: dict[Server, Report] = {}
        self._primary: Server | None = None  # in office
        self._epoch = 0
        self._leader: Server | None = None  # of the epoch, in office or not
        self._start = Report("", False, False, (), "", "", GtidSet(), GtidSet())
        self._generations: deque[_Generation] = deque(maxlen=GENERATIONS)
        self._highest = 0  # own number that somebody was told a position for
        self._followers: set[Server] = set()
        self._looks = 0  # at the primary
        self._suspects: dict[Server, int] = {}
        self._ahead: set[Server] = set()
        self._complained: set[tuple[Server, str]] = set()
        self._logs = LogHistory()

    @property
    def by_log(self) -> bool:
        """Whether places in logs are to be told by servers that have GTIDs, too."""
        return self._start.by_log or bool(self._logs.anonymous)

    def is_primary(self, server: Server) -> bool:
        """Tell whether a server was the primary when it was last seen."""
        return server is self._primary

    def lost(self, server: Server) -> None:
        """A server is out of sight; what it said last is kept in mind."""
        if server is self._primary:
            self._primary = None
            if self._start.by_log:
                self._logs.lost(server, self._start.own)

    def saw(self, server: Server, report: Report) -> Finding:
        """Take in what a server said."""
        known = self._reports.get(server)
        if known is not None and known.identity != report.identity:
            self._logs.forget(server)
        self._logs.note(server, report.places)
        self._reports[server] = report
        if self._leads(server, report):
            if report.by_log:
                report.executed = report.log
            return self._saw_primary(server, report, known)
        if server is self._primary:
            self._primary = None
            if report.by_log:
                self._logs.note(server, report.log)
        return self._saw_replica(server, report)

    def told(self, gtids: str) -> Position | None:
        """Return the position of commits that the primary acknowledged; None: it must be asked.

        Args:
            gtids: That it gave them, as it says so itself.
        """
        if not self._generations or not self._start.numbers_commits or self._start.by_log:
            return None
        number = largest_by(self._start.writer, gtids)
        if number is None or number >= 1 << NUMBERS:
            return None
        self._highest = max(self._highest, number)
        return _position(self._generations[-1].number, number)

    def contents(self, position: Position) -> GtidSet | None:
        """Return what a server has executed that is at a position; None: nobody can be asked.

        It is not known any more, or is a place in a log: a server that is asked for that does not
        say whose log it means (`SOURCE_POS_WAIT`).
        """
        if self._start.by_log:
            return None
        number, own = position >> NUMBERS, position & _OWN
        for generation in self._generations:
            if generation.number == number:
                runs = self._start.executed.intervals.get(self._start.own, ())
                base = self._start.executed.largest(self._start.own)
                mine = [*runs, (base + 1, own)] if own > base else runs
                return generation.others.plus(GtidSet({self._start.own: mine}))
        return None

    @property
    def executed(self) -> GtidSet | None:
        """What the primary had executed when it was last seen; None: there is none.

        Nothing where its commits get no numbers.
        """
        if self._primary is None:
            return None
        return self._reports[self._primary].executed if self._start.numbers_commits else GtidSet()

    def position_of(self, contents: GtidSet) -> Position | None:
        """Return the least position at which a server has all this; see `contents`.

        None: the primary was not seen to have it.
        """
        executed = self.executed
        if executed is None or not executed.covers(contents):
            return None
        own = contents.largest(self._start.own)
        others = contents.without(self._start.own)
        found: Position | None = None
        for generation in reversed(self._generations):
            if not generation.others.covers(others):
                break
            found = _position(generation.number, own)
            if generation.own < own:
                break  # in an earlier one that number had not been given yet
        return found

    def shown(self, position: Position) -> str:
        """A position, for people: the number of the primary's own last commit, or a place."""
        if self._start.by_log:
            return binlog.shown(self._start.own, position)
        return f"commit {position & _OWN}"

    def behind(self, lag: int) -> str:
        """By how much one position is behind another, for people.

        In commits of the primary's own, unless others' came in between.
        """
        if self._start.by_log:
            return binlog.behind(lag)
        if lag > _OWN:
            return "behind commits that are not the primary's own"
        return f"{lag} commit{'' if lag == 1 else 's'} behind"

    # The primary

    def _leads(self, server: Server, report: Report) -> bool:
        """Tell whether a server takes writes and follows nobody of the group who does."""
        if not report.takes_writes:
            return False
        seen = {server}
        ahead = list(report.sources)
        while ahead:
            source = self._find(ahead.pop())
            if source is None:
                # Somebody outside of the group, or one of it that was never seen.
                if len(self._reports) < len(self._servers) and server is not self._primary:
                    return False
            elif source not in seen:
                if self._reports[source].takes_writes:
                    return False
                seen.add(source)
                ahead += self._reports[source].sources
        return True

    def _find(self, source: Source) -> Server | None:
        for server, report in self._reports.items():
            if source.identity == report.identity or source.address == server.name:
                return server
        return None

    def _saw_primary(self, server: Server, report: Report, known: Report | None) -> Finding:
        if server is not self._primary:
            if self._epoch and (self._primary is not None or not self._may_succeed(server, report)):
                position = _position(0, report.executed.largest(report.own))
                # In office beside another, the number would be taken for the same history.
                timeline = STRANGE if self._primary is None else self._epoch
                return Finding(Role.PRIMARY, timeline, position)
            self._begin(server, report)
        elif known is None or not _goes_on(known, report):
            self._begin(server, report)
        self._looks += 1
        own = report.executed.largest(report.own)
        self._highest = max(self._highest, own)
        others = report.executed.without(report.own)
        if others != self._generations[-1].others:
            number = self._generations[-1].number + 1
            self._generations.append(_Generation(number, others, self._highest))
        return Finding(Role.PRIMARY, self._epoch, _position(self._generations[-1].number, own))

    def _may_succeed(self, server: Server, report: Report) -> bool:
        """Tell whether a server may be the primary, now that there is none.

        One that comes back after it was replaced may not, unless it has caught up: what was
        written since would be lost.
        """
        if server in self._followers:
            return True
        return not self._start.by_log and report.executed.covers(self._latest().executed)

    def _latest(self) -> Report:
        """Return what is known of the epoch's primary, in office or not."""
        return self._reports[self._leader] if self._leader is not None else self._start

    def _begin(self, server: Server, report: Report) -> None:
        # The primary of the epoch may come back as itself; who follows its log follows it on.
        heirs = {server}
        if report.by_log:
            heirs |= self._begin_log(server, report)
        elif self._start.by_log:
            self._logs.anonymous = report.log
        self._epoch += 1
        self._primary = self._leader = server
        self._start = report
        self._highest = report.executed.largest(report.own)
        self._generations.clear()
        others = report.executed.without(report.own)
        self._generations.append(_Generation(0, others, self._highest))
        self._followers = heirs
        self._suspects.clear()
        written = report.written.largest(report.writer)
        self._ahead = {
            other
            for other, said in self._reports.items()
            if other is not server and said.written.largest(report.writer) > written
        }

    def _begin_log(self, server: Server, report: Report) -> set[Server]:
        """A primary that is followed by its log begins an epoch; returns who does so already."""
        own = report.own
        places = {it: said.places.largest(own) for it, said in self._reports.items()}
        goes_on = own == self._start.own
        is_anew = goes_on and report.log.largest(own) < self._highest
        self._logs.begin(server, own, report.log, report.files, places, is_anew=is_anew)
        return self._followers if goes_on and not is_anew else set()

    # The replicas

    def _saw_replica(self, server: Server, report: Report) -> Finding:
        if self._start.by_log:
            place = report.places.largest(self._start.own)
            self._logs.check(server, self._start.own, self._start.files, place)
            if not self._is_connected(server, report):
                return self._saw_stranger(server, report)
        has = report.places if self._start.by_log else report.executed
        complaint = self._objection(server, report)
        is_behind = not has.covers(self._start.executed)
        if complaint is not None or is_behind:
            if complaint is not None or not self._start.by_log:
                self._followers.discard(server)
            return Finding(Role.REPLICA, STRANGE, Position(0), complaint or "")
        self._followers.add(server)
        return Finding(Role.REPLICA, self._epoch, self._reached(has))

    def _is_connected(self, server: Server, report: Report) -> bool:
        """Tell whether a replica follows this very primary; or did, where there is none just now.

        What it says of its source may be of long ago otherwise, and of a log that is no more.
        """
        if not report.places.largest(self._start.own):
            return False
        return report.receives or (self._primary is None and server in self._followers)

    def _saw_stranger(self, server: Server, report: Report) -> Finding:
        """A replica is not connected to the primary, of which alone it could tell the place.

        It may have been, and be about to succeed it.
        """
        complaint = ""
        if report.sources and not report.places.largest(self._start.own):
            complaint = self._once(server, "is not read: without GTIDs it must follow the primary")
        return Finding(Role.REPLICA, STRANGE, Position(0), complaint)

    def _reached(self, executed: GtidSet) -> Position:
        base = self._start.executed.largest(self._start.own)
        own = executed.unbroken(self._start.own, base)
        for generation in reversed(self._generations):
            if own >= generation.own and executed.covers(generation.others):
                return _position(generation.number, own)
        return _position(0, base)

    def _objection(self, server: Server, report: Report) -> str | None:
        """Say why a replica can't be trusted; None: it can, "": not sure yet, or said before."""
        if not self._epoch:
            return ""
        if not self._start.numbers_commits:
            return self._once(
                server, "is not read: its primary has neither GTIDs nor a log that it tells of"
            )
        if not self._logs.has_anonymous(server):
            return self._once(server, "was not seen to have what was committed without GTIDs")
        if self._start.by_log and self._leader is not None:
            complaint = self._logs.objection(server, self._leader, self._start.own)
            if complaint:
                return self._once(server, complaint)
        writer = self._start.writer
        if server in self._ahead:
            if report.written.largest(writer) > self._start.written.largest(writer):
                return self._once(server, "has commits that the primary lost in its crash")
            self._ahead.discard(server)
        errant = report.written.minus(self._latest().written)
        errant = errant.without(writer).without(self._start.identity)
        if not errant:
            self._suspects.pop(server, None)
            return None
        # The primary may have it by now; so it is asked again before anything is said.
        if self._suspects.setdefault(server, self._looks) == self._looks:
            return ""
        return self._once(server, f"has commits that the primary has not: {errant}")

    def _once(self, server: Server, complaint: str) -> str:
        if (server, complaint) in self._complained:
            return ""
        self._complained.add((server, complaint))
        return complaint


def _goes_on(known: Report, report: Report) -> bool:
    """Tell whether a primary goes on numbering as it did: no setting was changed, no log reset."""
    return (
        report.writer == known.writer
        and report.numbers_commits == known.numbers_commits
        and report.executed.covers(known.executed)
    )


def _position(generation: int, own: int) -> Position:
    return Position(generation << NUMBERS | own)
