"""Sessions, as a log shows them: where each stands, and which of its reads may leave the primary.

The rules are those of `proxy.session.holding` and `way`, as far as a log tells what they need: a
transaction is held back until its first statement that is no proven read; reads in front of that
are served beside it, and everything behind it is at the primary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, NamedTuple

from proxy.routing.plan import NOTHING, Plan
from proxy.sql.session_commands import Discard, Reset, Set, read_command, read_name_list
from proxy.sql.statement import Effect, Kind
from proxy.sql.transaction_control import read_begin, read_end
from proxy.types import ALL_OID, Reason, Table


@unique
class Standing(Enum):
    """Where a session's transaction stands."""

    NONE = "none"
    HELD = "held"  # begun by the client, known to no server
    OPEN = "open"  # at the primary


READ_COMMITTED: Final = "read committed"
REPEATABLE_READ: Final = "repeatable read"


class Terms(NamedTuple):
    """What the configuration says of transactions.

    Attributes:
        levels: The levels of isolation at which reads may leave the primary.
        late: Whether transactions are held back.
    """

    levels: frozenset[str] = frozenset((READ_COMMITTED,))
    late: bool = True


_SAVEPOINTS: Final = frozenset((Kind.SAVEPOINT, Kind.RELEASE, Kind.ROLLBACK_TO))
_ENDS: Final = frozenset((Kind.COMMIT, Kind.ROLLBACK, Kind.PREPARE_TRANSACTION))
_SETTINGS: Final = frozenset((Kind.SET, Kind.RESET, Kind.DISCARD, Kind.SET_LOCAL))
_PINNING: Final = frozenset((Effect.TEMPORARY, Effect.UNTRACKED))

Settings = tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class Visit:
    """One session.

    Attributes:
        user: As the log said when it began; None: it did not say.
        database: The same.
        standing: Of its transaction.
        writes: What that has written so far.
        settings: What it has SET, by name.
        search_path: What names are looked up in; None: the default.
        isolation: Of its transactions, where they name none.
        is_pinned: Whether something of it lives on one connection.
        ahead: Seconds that were spent on preparing the next statement.
        last: What its last statement was counted as, while no time is known of it.
    """

    user: str | None = None
    database: str | None = None
    standing: Standing = Standing.NONE
    writes: frozenset[Table] = NOTHING
    settings: Settings = ()
    search_path: tuple[str, ...] | None = None
    isolation: str = READ_COMMITTED
    is_pinned: bool = False
    ahead: float = 0.0
    last: object | None = None

    def judge(self, plan: Plan, terms: Terms, *, clock: bool, is_several: bool) -> Reason:
        """Say where a statement would be served: REPLICA, or why at the primary."""
        if plan.read_set is None:
            return plan.reason
        if self.standing is Standing.OPEN:
            return Reason.TRANSACTION
        if is_several:
            return Reason.SEVERAL
        if self.isolation not in terms.levels:
            return Reason.ISOLATION
        if self.is_pinned:
            return Reason.PINNED
        if self.standing is Standing.HELD and (plan.tells_time or clock):
            return Reason.CLOCK
        return Reason.REPLICA

    def run(self, plan: Plan, text: bytes, reason: Reason, terms: Terms) -> frozenset[Table]:
        """Take in a statement.

        Args:
            plan: Of it.
            text: As it was sent.
            reason: What `judge` said.
            terms: Of transactions.

        Returns:
            What it has committed.
        """
        kind = plan.statement.kind
        if kind is Kind.BEGIN:
            self._begin(plan.statement.text, terms)
            return NOTHING
        if kind in _ENDS and self.standing is not Standing.NONE:
            return self._end(plan)
        if kind in _SETTINGS:
            self._set(text)
        if plan.statement.effects & _PINNING:
            self.is_pinned = True
        # What the server would be asked for, a log does not tell.
        is_alone = self.standing is Standing.NONE
        is_asked = plan.discovers_alone if is_alone else plan.discovers
        writes = plan.known if is_asked else plan.writes
        if is_alone:
            return writes
        if reason is not Reason.REPLICA and kind not in _SAVEPOINTS:
            self.standing = Standing.OPEN
        if plan.may_commit:
            return writes
        self.writes |= writes
        return NOTHING

    def fail(self) -> None:
        """Take in that a statement failed: the rest of its transaction is at the primary."""
        self.last = None
        if self.standing is Standing.HELD:
            self.standing = Standing.OPEN

    def _begin(self, text: bytes, terms: Terms) -> None:
        if self.standing is not Standing.NONE:
            return
        begin = read_begin(text)
        level = "" if begin is None else begin.isolation or self.isolation
        is_held = terms.late and level in terms.levels and self.isolation in terms.levels
        self.standing = Standing.HELD if is_held else Standing.OPEN
        self.writes = NOTHING

    def _end(self, plan: Plan) -> frozenset[Table]:
        statement = plan.statement
        written = NOTHING if statement.kind is Kind.ROLLBACK else self.writes
        is_chained = bool(read_end(statement.text))
        if not is_chained:
            self.standing = Standing.NONE
        self.writes = NOTHING
        return written

    def _set(self, text: bytes) -> None:
        command = read_command(text)
        if isinstance(command, Set) and not command.is_local:
            value = command.value
            self._keep(command.name, None if value.lower() == "default" else value)
        elif isinstance(command, Reset) and command.name is not None:
            self._keep(command.name, None)
        elif isinstance(command, Reset) or command == Discard("all"):
            self.settings = ()
            self.search_path = None
            self.isolation = READ_COMMITTED
            self.is_pinned = self.is_pinned and not isinstance(command, Discard)
        elif command == Discard("temp"):
            self.is_pinned = False

    def _keep(self, name: str, value: str | None) -> None:
        settings = dict(self.settings)
        settings.pop(name, None)
        if value is not None:
            settings[name] = value
        self.settings = tuple(sorted(settings.items()))
        if name == "search_path":
            self.search_path = None if value is None else read_name_list(value)
        elif name == "default_transaction_isolation":
            self.isolation = READ_COMMITTED if value is None else value.strip("'\"").lower()


def are_unseen(tables: Iterable[Table]) -> bool:
    """Tell whether some of these stand for tables that nobody can tell."""
    return any(table.oid <= ALL_OID for table in tables)
